"""Weights and gradients that are zero: which there are, and which of them the first step moves."""

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.measurement import SECOND_MOMENT, SHARE_NONFINITE, SIZE
from keras_initcheck.records.structure import Weight

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def have_no_size(rows: FloatArray) -> BoolArray:
    """`(...)`, by the second moment: repeated probes take no largest magnitude."""
    found: BoolArray = (rows[..., SHARE_NONFINITE] == 0.0) & (rows[..., SECOND_MOMENT] == 0.0)
    return found


def zero_weights(evidence: Evidence, is_wanted: BoolArray) -> list[int]:
    """Positions of the wanted weights that are zero."""
    is_zero = is_wanted & have_no_size(evidence.measurement.weights)
    found: list[int] = is_zero.nonzero()[0].tolist()
    return found


def zero_gates(evidence: Evidence) -> list[int]:
    """Positions of trained weights that are zero and let nothing through.

    These are the kernels of all heads, or scales and gates as in ReZero. Queries and keys are no
    heads, though what receives them is not known.
    """
    analysis = evidence.analysis
    asking = {index for _, *projections in analysis.attention for index in projections}
    heads = dict.fromkeys(
        site.layer for site in analysis.sites if site.is_head and site.index not in asking
    )
    if heads and all(map(evidence.has_zero_kernel, heads)):
        return [position for layer in heads for position in analysis.kernels[layer]]
    return [
        position
        for position in zero_weights(evidence, analysis.is_trained_weight)
        if analysis.weights[position].role in ("scale", "other")
        and not is_offset(analysis.weights[position])
    ]


def gets_no_gradient(evidence: Evidence) -> bool:
    """Whether the loss's gradient was measured and is zero for every trained weight."""
    gradients = evidence.measurement.weight_gradients
    is_measured = evidence.analysis.is_trained_weight & (gradients[:, SIZE] >= 0)
    return bool(is_measured.any() and have_no_size(gradients[is_measured]).all())


def moves(evidence: Evidence, position: int) -> bool:
    """Whether the first step may change a weight.

    Zeros in a row, or behind ReLU, keep the gradient from one another. Without labels it may.
    """
    return not bool(have_no_size(evidence.measurement.weight_gradients[position]))


def is_offset(weight: Weight) -> bool:
    """Whether a weight is what a normalization adds."""
    return weight.name.rsplit("/", 1)[-1] == "beta"
