"""Rows on the host as arrays of moments, all rows of a section at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.engine.statistics_rows import FAST_RANGE
from keras_initcheck.records.measurement import (
    BATCH_SHARE,
    MEAN,
    SECOND_MOMENT,
    SHARE_NONFINITE,
    SHARE_ZERO,
    SIZE,
    VARIANCE,
)
from keras_initcheck.records.statistics import MOMENTS, Histogram

FloatArray = npt.NDArray[np.float64]


def exact_moments(block: FloatArray, sizes: FloatArray, divisor: float = 1.0) -> FloatArray:
    """Moments of `tensor / divisor` from exact rows of `tensor`.

    Computed in float64, where the square of any float32 is representable.

    Args:
        block: `(rows, NUM_COLUMNS)`.
        sizes: `(rows,)`, numbers of elements.
        divisor: Factor by which the tensors had been multiplied.

    Returns:
        `(rows, moments)`, `nan` throughout where no gradient reached a tensor.
    """
    scale, mean, variance, largest, zero, nonfinite, batch_variance, dead, _, connected = block.T
    with np.errstate(all="ignore"):  # tensors may hold infinities, and a variance may be zero
        scale = scale / divisor
        mean, scaled_variance = mean * scale, np.maximum(variance, 0.0) * scale * scale
        batch_share = np.where(variance > 0, batch_variance / variance, np.nan)
        second_moment = scaled_variance + mean * mean
        columns = (mean, scaled_variance, second_moment, largest * scale, zero, nonfinite)
        moments = np.stack((*columns, batch_share, sizes, dead), axis=1)
    return np.where(connected[:, None] != 0, moments, np.nan)


def fast_signal_moments(block: FloatArray, sizes: FloatArray) -> FloatArray:
    """Moments `(rows, moments)` from fast rows of signals, `(rows, len(FAST_SIGNAL))`.

    The second moment is that of all elements. The sample tells which part of it is the mean's, and
    of a sample of zeros alone nothing is.
    """
    second, sampled_mean, sampled, of_unit_means, share_zero = block.T
    with np.errstate(all="ignore"):  # a signal may be infinite, and constant
        variance = sampled - sampled_mean * sampled_mean
        batch_share = np.where(variance > 0, (sampled - of_unit_means) / variance, np.nan)
        to_all = np.where(sampled > 0, np.sqrt(second / sampled), 0.0)
        found = _moments(sampled_mean * to_all, second, sizes)
    found[:, BATCH_SHARE] = batch_share
    found[:, SHARE_ZERO] = share_zero
    return found


def fast_weight_moments(block: FloatArray, sizes: FloatArray) -> FloatArray:
    """Moments `(rows, moments)` from fast rows of weights, `(rows, len(FAST_WEIGHT))`."""
    return _moments(block[:, 0], block[:, 1], sizes)


def fast_gradient_moments(block: FloatArray, sizes: FloatArray, divisor: float = 1.0) -> FloatArray:
    """Moments of `gradient / divisor` from fast rows of gradients, `(rows, len(FAST_GRADIENT))`.

    Returns:
        `(rows, moments)`, of which the second moment was taken; `nan` throughout where no gradient
        reached a tensor.
    """
    second, connected = block.T
    found = np.full((len(second), len(MOMENTS)), np.nan)
    found[:, SECOND_MOMENT] = second / divisor**2
    found[:, SHARE_NONFINITE], found[:, SIZE] = 0.0, sizes
    found[connected == 0] = np.nan
    return found


def are_signals_reliable(block: FloatArray) -> bool:
    """Whether fast rows of signals are in the range where unscaled float32 squares are right.

    All zero is right too; its share of zeros tells it from a signal whose squares vanished.
    """
    second, share_zero = block[:, 0], block[:, -1]
    return _are_in_range(second, (second == 0) & (share_zero == 1))


def are_weights_reliable(block: FloatArray) -> bool:
    """The same for fast rows of weights; a mean of zero tells that all are zero."""
    mean, second = block.T
    return _are_in_range(second, (mean == 0) & (second == 0))


def are_gradients_reliable(block: FloatArray) -> bool:
    """The same for fast rows of gradients, of which none tells that all elements are zero."""
    second = block[:, 0]
    return _are_in_range(second, second == 0)


def to_histogram(columns: FloatArray, divisor: float = 1.0) -> Histogram:
    """The histogram of `tensor / divisor` from the columns that `histogram_row` made."""
    values: Sequence[float] = columns.tolist()
    return Histogram(values[0] / divisor, values[1] / divisor, tuple(values[2:]))


def _moments(mean: FloatArray, second_moment: FloatArray, sizes: FloatArray) -> FloatArray:
    found = np.full((len(mean), len(MOMENTS)), np.nan)
    with np.errstate(all="ignore"):
        square = mean * mean
        variance = np.maximum(second_moment - square, 0.0)
    found[:, MEAN], found[:, VARIANCE], found[:, SECOND_MOMENT] = mean, variance, variance + square
    found[:, SHARE_NONFINITE], found[:, SIZE] = 0.0, sizes
    return found


def _are_in_range(second_moment: FloatArray, is_zero: npt.NDArray[np.bool_]) -> bool:
    low, high = FAST_RANGE
    return bool(np.all(is_zero | ((second_moment > low) & (second_moment < high))))
