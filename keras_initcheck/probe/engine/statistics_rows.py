"""A row: the statistics of one tensor as one small vector on the device.

Columns of an exact row, in this order:

* `scale`: a power of two near the largest magnitude; the moments are those of `tensor / scale`, so
  that squares neither overflow nor vanish where the tensor itself does not.
* `mean`, `variance` over the finite elements; `largest` magnitude.
* `share_zero`, `share_nonfinite`: 0..1.
* `batch_variance`: mean over units of the variance along axis 0.
* `share_dead`: share of units, along the channel axis, that are zero throughout.
* `fingerprint`: of a weight, the mean of `tensor / scale` times a fixed pseudo-random sign pattern;
  0 for other tensors.
* `connected`: 1. Where no gradient reaches a tensor its row is all zero.

Fast rows, which the engines make, are shorter, because each small operation counts: `FAST_SIGNAL`,
`FAST_GRADIENT` and `FAST_WEIGHT`. Their second moments are over all elements, so that a single one
that is not finite shows; what else a signal has comes from `fast_sample`. `tap.row_moments` reads
all kinds on the host.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.engine.protocol import Row
from keras_initcheck.probe.keras_types import Dtyped, Tensor

COLUMNS = (
    "scale",
    "mean",
    "variance",
    "largest",
    "share_zero",
    "share_nonfinite",
    "batch_variance",
    "share_dead",
    "fingerprint",
    "connected",
)
NUM_COLUMNS = len(COLUMNS)
FAST_SIGNAL = (
    "second_moment",
    "sampled_mean",
    "sampled_second_moment",
    "mean_square_of_sampled_unit_means",
    "share_zero",
)
"""Columns of a fast row of a signal, all unscaled; those behind the first are of `fast_sample`."""
FAST_GRADIENT = ("second_moment", "connected")
"""Columns of a fast row of a gradient: no rule and no log asks for its mean. `connected` is 1."""
FAST_WEIGHT = ("mean", "second_moment")
"""Columns of a fast row of a weight, over all elements: a mean of `1/n` of a kernel's second moment
makes a difference where `n` inputs are summed, and the sample's own error would be as large."""
FAST_SAMPLE_SIZE = 2**12
"""Elements behind the sampled columns of a fast row. The standard error of a share is below 0.8 per
cent; that of a mean is 1/64 of the standard deviation."""
FAST_SAMPLES = 2**8
"""Samples of the batch among them at most: the variance between so many is too small by 1/256."""
SAMPLE_SIZE = 2**14
"""Elements behind a histogram: the standard error of a share is below 0.4 per cent."""
NUM_BINS = 30
"""Bins of a histogram, as in Keras' and TensorBoard's own."""
MOST_TURNS = 2.5
"""A function of one variable varies by its range as often as it turns, plus one: relu and tanh 1,
gelu with its dip below 2. Tensors of `n` unrelated elements vary by their range about `n / 6`
times."""
LEAST_SHARE_OF_TURNS = 0.75
"""Share of its turns that a sample of half the density still shows where a function makes them:
0.82 to 0.96 of a sine with up to 100 radians of standard deviation. Of unrelated elements it shows
half, up to 0.57 in one of a thousand samples of 1,024 elements."""
LEAST_SAMPLE_WITH_TURNS = 2048
"""Elements that it takes to tell the one from the other, also where most of them are zeros."""
FAST_RANGE = (1e-30, 1e30)
"""Second moments that an unscaled float32 sum of squares gives reliably; a row outside is measured
again, exactly.
"""
_MOST_SIGNS = 2**16 + 1  # a prime: repeating them never lines up with an axis
_SMALLEST_EXPONENT = -126  # of a normal float32; below it a backend may flush to zero
_LARGEST_EXPONENT = {
    "float32": 126,
    "float64": 1022,
}  # the inverse of the scale must be a normal number too


def exact_row(tensor: Tensor) -> Row:
    """The statistics of every element of `tensor`, float32 or better, `(NUM_COLUMNS,)`.

    Cost: about ten passes over the tensor. The probe of `check` uses it, and a repeated probe whose
    fast rows left their range.
    """
    return ops.stack(_columns(tensor, fingerprint=lambda scaled: ops.zeros_like(ops.max(scaled))))


def exact_weight_row(tensor: Any, signs: Any) -> Any:
    """The same for a weight, with its fingerprint by `signs_for` it."""
    return ops.stack(
        _columns(
            tensor, fingerprint=lambda scaled: _mean(scaled * _repeated(signs, ops.shape(scaled)))
        )
    )


def signs_for(tensor: Any) -> np.ndarray:
    """Fixed pseudo-random signs, one for each value of `tensor`, or fewer that it takes in turn."""
    size = min(math.prod(tensor.shape), _MOST_SIGNS)
    return np.where(np.random.default_rng(0).integers(0, 2, size), 1.0, -1.0).astype(
        accumulator_dtype(tensor)
    )


def _columns(tensor: Any, fingerprint: Callable[[Any], Any]) -> tuple[Any, ...]:
    tensor = ops.cast(tensor, accumulator_dtype(tensor))
    tensor = ops.reshape(tensor, (-1, 1)) if len(tensor.shape) < 2 else tensor
    is_finite = ops.isfinite(tensor)
    share_nonfinite = _mean(
        ops.cast(ops.logical_not(is_finite), tensor.dtype)
    )  # exactly 0 where there is none; a mean of ones rounds
    share_zero = _mean(
        ops.cast(ops.logical_and(is_finite, ops.equal(tensor, 0)), tensor.dtype)
    )  # before small numbers vanish
    tensor = ops.where(is_finite, tensor, ops.zeros_like(tensor))
    largest_of_units = ops.max(ops.abs(tensor), axis=_all_but_units(tensor))
    largest = ops.max(largest_of_units)
    scale = _power_of_two(largest)
    tensor = tensor / scale
    finite = ops.maximum(1 - share_nonfinite, 1e-30)
    mean = _mean(tensor) / finite
    centered = ops.where(is_finite, tensor - mean, ops.zeros_like(tensor))
    batch_centered = tensor - ops.mean(tensor, axis=0, keepdims=True)
    return (
        scale,
        mean,
        _mean(ops.square(centered)) / finite,
        largest / scale,
        share_zero,
        share_nonfinite,
        _mean(ops.square(batch_centered)),
        ops.mean(ops.cast(ops.equal(largest_of_units, 0), tensor.dtype)),
        fingerprint(tensor),
        ops.ones_like(mean),
    )


def _all_but_units(tensor: Any) -> tuple[int, ...]:
    rank = len(tensor.shape)
    return tuple(axis for axis in range(rank) if axis != unit_axis(rank))


def unit_axis(rank: int) -> int:
    """The axis of the units in a tensor of that rank, 2 or more."""
    return 1 if rank > 3 and keras.config.image_data_format() == "channels_first" else rank - 1


def turns(before: Tensor, after: Tensor) -> Tensor:
    """How often `after` goes through its range while `before` goes through its own once.

    Both have the same shape, and a bounded sample is taken of them. The number is small where
    `after` is an element-wise function of `before`, and infinite where it is constant. It is 1 for
    a function that turns often, such as a sine of many periods: half the sample shows its turns
    too.
    """
    stride = sample_stride(before.shape)
    keys, values = (
        ops.reshape(ops.cast(tensor, "float32"), (-1,))[::stride] for tensor in (before, after)
    )
    values = ops.take(values, ops.argsort(keys))
    variation, extent = _variation(values), ops.max(values) - ops.min(values)
    found = ops.where(
        extent > 0, variation / ops.where(extent > 0, extent, ops.ones_like(extent)), float("inf")
    )
    if values.shape[0] < LEAST_SAMPLE_WITH_TURNS:
        return found
    is_function = (_variation(values[::2]) >= LEAST_SHARE_OF_TURNS * variation) & (extent > 0)
    return ops.where(is_function, ops.minimum(found, 1.0), found)


def _variation(values: Tensor) -> Row:
    return ops.sum(ops.abs(values[1:] - values[:-1]))


def accumulator_dtype(tensor: Dtyped) -> str:
    """float64 for float64 tensors, float32 for every other."""
    return "float64" if keras.backend.standardize_dtype(tensor.dtype) == "float64" else "float32"


def _mean(tensor: Tensor) -> Row:
    """The mean in two steps, which keeps the rounding of a long float32 sum small."""
    return ops.mean(ops.mean(tensor, axis=0))


def _power_of_two(largest: Any) -> Any:
    exponent = ops.floor(ops.log2(ops.where(largest > 0, largest, ops.ones_like(largest))))
    dtype = keras.backend.standardize_dtype(largest.dtype)
    return ops.power(
        ops.cast(2.0, dtype), ops.clip(exponent, _SMALLEST_EXPONENT, _LARGEST_EXPONENT[dtype])
    )


def tiled(values: np.ndarray, shape: tuple[int, ...], dtype: Any) -> Any:
    """A tensor of a shape, filled with `values` in turn: a large constant from a small one."""
    return (
        _repeated(ops.convert_to_tensor(values, dtype=dtype), shape)
        if len(values)
        else ops.zeros(shape, dtype)
    )


def _repeated(values: Any, shape: tuple[Any, ...]) -> Any:
    """Values in turn, in a shape whose sizes are tensors while a row is traced for all shapes."""
    size = math.prod(shape)
    return ops.reshape(ops.tile(values, (size // ops.shape(values)[0] + 1,))[:size], shape)


def fast_sample(shape: Sequence[int]) -> tuple[slice, slice]:
    """The elements behind the sampled columns: slices of a signal's `(samples, units)`.

    Of each sample that is taken the same units are, so that the means of units show what samples
    have in common.
    """
    samples = shape[0] if shape else 1
    every = -(-samples // FAST_SAMPLES)
    units = max(1, FAST_SAMPLE_SIZE * every // max(1, samples))
    return slice(None, None, every), slice(None, None, sample_stride(shape[1:], units))


def sample_stride(shape: Sequence[int], sample_size: int = SAMPLE_SIZE) -> int:
    """A stride that leaves about `sample_size` elements of a flattened tensor.

    It is coprime to every axis: else a sample could consist of a single channel.
    """
    size = math.prod(shape)
    stride = max(1, size // sample_size)
    while math.gcd(stride, size) > 1:
        stride += 1
    return stride


def histogram_row(tensor: Tensor) -> Row:
    """The histogram of a bounded sample, `(2 + NUM_BINS,)`.

    It holds the smallest and the largest finite value, then the counts, scaled to the whole tensor.
    """
    size = math.prod(tensor.shape)
    sample = ops.reshape(ops.cast(tensor, accumulator_dtype(tensor)), (-1,))[
        :: sample_stride(tensor.shape)
    ]
    is_finite = ops.isfinite(sample)
    sample = ops.where(is_finite, sample, ops.zeros_like(sample))
    low, high = ops.min(sample), ops.max(sample)
    edges = (
        low / 2
        + (high / 2 - low / 2) * ops.cast(np.arange(1, NUM_BINS) / NUM_BINS, sample.dtype)
        + low / 2
    )
    below = ops.mean(ops.cast(sample[:, None] < edges[None, :], sample.dtype), axis=0)
    cumulative = ops.concatenate([ops.zeros_like(below[:1]), below, ops.ones_like(below[:1])])
    return ops.concatenate([ops.stack([low, high]), (cumulative[1:] - cumulative[:-1]) * size])
