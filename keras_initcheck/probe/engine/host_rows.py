"""Exact rows of arrays that lie in the host's memory; the columns are those of `statistics_rows`.

NumPy takes them block by block, so that each block is read from memory once and stays in the
processor's cache meanwhile. Nothing here calls a framework: an engine may run it inside of a
compiled program.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.engine.protocol import HostRow
from keras_initcheck.probe.engine.statistics_rows import NUM_COLUMNS

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_SIZE = 2**17
"""Elements of a block: half a megabyte, which the second cache of a processor holds."""
FEWEST_UNITS = 64
"""Units of a block at least: fewer would be too short a piece of memory to read at once."""
MOST_SUMMANDS = 2**8
"""Samples that are summed in the tensor's own precision; more are summed in float64."""
PLAIN_RANGE = (2.0**-40, 2.0**40)
"""Largest magnitudes whose squares float32 can sum as they are: 2**17 squares of 2**40 stay below
its largest number, and what vanishes below 2**-40 is less than its rounding."""


def exact_row(tensor: Array) -> Array:
    """`statistics_rows.exact_row` of an array, `(NUM_COLUMNS,)`."""
    return _row(_prepare(tensor), None)


def exact_weight_row(tensor: Array, signs: Array) -> Array:
    """`statistics_rows.exact_weight_row` of an array and its signs, `(NUM_COLUMNS,)`."""
    return _row(_prepare(tensor), signs)


EXACT_ROW = HostRow(exact_row, NUM_COLUMNS)
EXACT_WEIGHT_ROW = HostRow(exact_weight_row, NUM_COLUMNS)


def _prepare(tensor: Array) -> Array:
    """The array in float32 or float64, with samples along its first axis and units along others."""
    tensor = np.asarray(tensor)
    if tensor.dtype not in (np.float32, np.float64):
        tensor = tensor.astype(np.float32)
    return tensor.reshape(-1, 1) if tensor.ndim < 2 else tensor


def _row(tensor: Array, signs: Array | None) -> Array:
    low, high = float(tensor.min()), float(tensor.max())
    share_nonfinite, is_finite = 0.0, None
    if not (math.isfinite(low) and math.isfinite(high)):
        is_finite = np.isfinite(tensor)
        share_nonfinite = 1 - np.count_nonzero(is_finite) / tensor.size
        tensor = np.where(is_finite, tensor, tensor.dtype.type(0))
        low, high = float(tensor.min()), float(tensor.max())
    largest = max(-low, high)
    scale = _power_of_two(largest, tensor.dtype)
    factor = 1.0 if PLAIN_RANGE[0] <= largest <= PLAIN_RANGE[1] else 1 / scale
    unit = scale * factor  # by which the sums of blocks are too large
    unit_means, within, num_zeros = _sums(tensor, factor)
    mean, batch_variance = float(unit_means.mean()), within / tensor.size
    variance = batch_variance + float(np.square(unit_means - mean).mean())
    if is_finite is not None and share_nonfinite < 1:
        mean, variance = _of_finite(tensor[is_finite], factor)
        num_zeros -= round(share_nonfinite * tensor.size)
    return np.array(
        [
            scale,
            mean / unit,
            variance / unit**2,
            largest / scale,
            num_zeros / tensor.size if share_nonfinite < 1 else 0.0,
            share_nonfinite,
            batch_variance / unit**2,
            _share_dead(tensor) if num_zeros or is_finite is not None else 0.0,
            0.0 if signs is None else _mean_with_signs(tensor, signs) / scale,
            1.0,
        ]
    )


def _sums(tensor: Array, factor: float) -> tuple[Array, float, int]:
    """Means of units, sum of squared distances from them, and number of zeros.

    The first two are those of `tensor * factor`.
    """
    flat = tensor.reshape(len(tensor), -1)
    means, within, num_zeros = np.empty(flat.shape[1]), 0.0, 0
    for units, block in _blocks(flat):
        num_zeros += block.size - int(np.count_nonzero(block != 0))
        scaled = block if factor == 1 else block * block.dtype.type(factor)
        means[units] = _sum_over_samples(scaled) / len(flat)
        centered = (scaled - means[units].astype(block.dtype)).ravel()
        within += float(np.dot(centered, centered))
    return means, within, num_zeros


def _blocks(flat: Array) -> Iterator[tuple[slice, Array]]:
    """The slices of the units of all blocks, and the blocks."""
    width = max(FEWEST_UNITS, BLOCK_SIZE // len(flat))
    for start in range(0, flat.shape[1], width):
        units = slice(start, start + width)
        yield units, flat[:, units]


def _sum_over_samples(block: Array) -> Array:
    if len(block) <= MOST_SUMMANDS:
        return np.asarray(np.add.reduce(block, axis=0), np.float64)
    starts = range(0, len(block), MOST_SUMMANDS)
    sums = [np.add.reduce(block[start : start + MOST_SUMMANDS], axis=0) for start in starts]
    total: Array = np.add.reduce(sums, axis=0, dtype=np.float64)
    return total


def _of_finite(values: Array, factor: float) -> tuple[float, float]:
    """Mean and variance of `values * factor`."""
    scaled = values.astype(np.float64) * factor
    return float(scaled.mean()), float(scaled.var())


def _share_dead(tensor: Array) -> float:
    """Share of the channels that are zero throughout.

    Most channels show in a few positions that they are not; only the others are looked through.
    """
    is_first = tensor.ndim > 3 and keras.config.image_data_format() == "channels_first"
    by_channel = np.moveaxis(tensor, 1, -1) if is_first else tensor
    positions = by_channel.reshape(-1, by_channel.shape[-1])
    silent = np.flatnonzero(~(positions[:MOST_SUMMANDS] != 0).any(axis=0))
    is_dead = ~(positions[:, silent] != 0).any(axis=0)
    return float(np.count_nonzero(is_dead) / positions.shape[1])


def _mean_with_signs(tensor: Array, signs: Array) -> float:
    """The mean of the elements times `signs`, which are taken in turn."""
    flat, total = tensor.ravel(), 0.0
    for start in range(0, len(flat), len(signs)):
        part = flat[start : start + len(signs)]
        total += float(np.dot(part.astype(np.float64), signs[: len(part)].astype(np.float64)))
    return total / len(flat)


def _power_of_two(largest: float, dtype: Any) -> float:
    """The scale of a row, as `statistics_rows` takes it."""
    exponent = math.frexp(largest)[1] - 1 if largest > 0 else 0
    limit = 126 if dtype == np.float32 else 1022
    return math.ldexp(1.0, min(max(exponent, -126), limit))
