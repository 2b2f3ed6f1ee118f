"""Predicates on rows of moments `(..., moments)`, as `Moments` has them for a single one.

Each is `False` for a row that was not measured.
"""

import numpy as np
import numpy.typing as npt

from keras_initcheck.records.measurement import MAX_ABS, SECOND_MOMENT, SHARE_NONFINITE, SHARE_ZERO

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def are_nonfinite(rows: FloatArray) -> BoolArray:
    """`(...)`, whether an element was NaN or infinite."""
    found: BoolArray = rows[..., SHARE_NONFINITE] > 0.0
    return found


def are_zero(rows: FloatArray) -> BoolArray:
    """`(...)`, whether every element is exactly zero, as `Moments.is_zero` decides it."""
    by_magnitude = rows[..., MAX_ABS] == 0.0
    by_share = (
        np.isnan(rows[..., MAX_ABS])
        & (rows[..., SHARE_ZERO] == 1.0)
        & (rows[..., SECOND_MOMENT] == 0.0)
    )
    found: BoolArray = (rows[..., SHARE_NONFINITE] == 0.0) & (by_magnitude | by_share)
    return found
