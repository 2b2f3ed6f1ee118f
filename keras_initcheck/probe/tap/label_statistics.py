"""Statistics of one output's labels, on the host.

Labels are small beside the activations of a network.
"""

import math

import numpy as np

from keras_initcheck.records.data import Labels

LARGEST_ROUNDING = 1e-2
"""Largest distance from one of the sum of a row of class probabilities. bfloat16 and float16 round
sums of many classes by less.
"""


def statistics(
    values: np.ndarray, width: int, loss: str, ignored_class: int | None = None
) -> Labels | None:
    """The statistics of labels for an output of `width` units; `None` where no label is left.

    Args:
        values: The labels, as the batch holds them.
        width: Number of the output's units.
        loss: Keras' name of the loss.
        ignored_class: Class that the loss leaves out, or `None`.
    """
    values = np.asarray(values, "float64")
    is_sparse = loss == "sparse_categorical_crossentropy"
    if ignored_class is not None:
        values = values[values != ignored_class]
    if not values.size:
        return None
    rows = values.reshape(-1, 1 if is_sparse else width)
    finite = rows[np.isfinite(rows).all(axis=1)]
    if not len(finite):
        return Labels(
            math.nan,
            math.nan,
            math.nan,
            math.nan,
            math.nan,
            share_nonfinite=float(1 - np.isfinite(values).mean()),
        )
    invalid = _invalid(finite, width, loss)
    return Labels(
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=float(finite.mean()),
        deviation=math.sqrt(float(finite.var(axis=0).mean())),
        absolute_deviation=float(np.abs(finite - np.median(finite, axis=0)).mean()),
        share_nonfinite=float(1 - np.isfinite(values).mean()),
        share_invalid=float(invalid.mean()),
        is_multi_hot=not is_sparse and _are_multi_hot(finite),
    )


def _invalid(rows: np.ndarray, width: int, loss: str) -> np.ndarray:
    """A mask of the rows that are out of range."""
    if loss == "sparse_categorical_crossentropy":
        return np.asarray((rows < 0) | (rows >= width) | (rows != np.floor(rows)))
    if loss == "binary_crossentropy":
        return (rows < 0) | (rows > 1)
    if loss == "categorical_crossentropy":
        is_distribution = (np.abs(rows.sum(axis=1) - 1) <= LARGEST_ROUNDING) & (rows >= 0).all(
            axis=1
        )
        return np.asarray(~is_distribution & rows.any(axis=1))
    return np.zeros(len(rows), bool)


def _are_multi_hot(rows: np.ndarray) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) > 1).any())
