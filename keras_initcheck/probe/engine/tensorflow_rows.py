"""Fast rows on TensorFlow: begun where their tensors are, and put together for all of a pass.

An operation on a few numbers takes microseconds, and a tenth of a millisecond to trace: each tensor
gets one or two of its own, and the rest is done on stacks. Nothing here reads the device.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_initcheck.probe.engine import defaults
from keras_initcheck.probe.engine.statistics_rows import (
    FAST_GRADIENT,
    FAST_SAMPLE_SIZE,
    FAST_SIGNAL,
    FAST_WEIGHT,
    fast_sample,
)
from keras_initcheck.probe.keras_types import Tensor

LARGEST_WHOLE = FAST_SAMPLE_SIZE
"""Elements of a weight or a gradient that is kept as it is until rows are put together: all small
ones together take no more memory than the samples of the signals."""
WIDTHS = {"signal": len(FAST_SIGNAL), "gradient": len(FAST_GRADIENT), "weight": len(FAST_WEIGHT)}


@dataclass(frozen=True)
class FastRow:
    """A row that is not put together yet.

    Attributes:
        kind: A key of `WIDTHS`.
        size: Number of elements of its tensor.
        kept: The sample of a signal, `(samples, units)`, or a whole small tensor; else `None`.
        half_square_sum: Half the sum of squares; `None` of a small tensor that is kept.
        mean: The mean of a large weight; else `None`.
    """

    kind: str
    size: int
    kept: Tensor | None = None
    half_square_sum: Tensor | None = None
    mean: Tensor | None = None

    @property
    def group(self) -> Hashable:
        """Equal for rows that are put together."""
        if self.kept is None:
            return self.kind
        return self.kind, tuple(self.kept.shape), self.kept.dtype


def fast_signal_row(tensor: Any) -> FastRow:
    """See `statistics_rows.FAST_SIGNAL`; a sample of the tensor is kept."""
    samples = tensor.shape[0] if len(tensor.shape) else 1
    flat = tf.reshape(tensor, [samples, math.prod(tensor.shape[1:])])
    sample = flat[fast_sample(tensor.shape)]
    return FastRow("signal", _size(tensor), sample, _half_square_sum(tensor))


def fast_gradient_row(tensor: Any) -> FastRow:
    """See `statistics_rows.FAST_GRADIENT`."""
    if _size(tensor) <= LARGEST_WHOLE:
        return FastRow("gradient", _size(tensor), tensor)
    return FastRow("gradient", _size(tensor), half_square_sum=_half_square_sum(tensor))


def fast_weight_row(tensor: Any) -> FastRow:
    """See `statistics_rows.FAST_WEIGHT`."""
    if _size(tensor) <= LARGEST_WHOLE:
        return FastRow("weight", _size(tensor), tensor)
    mean = _single(tf.reduce_mean(_accumulating(tensor)))
    return FastRow("weight", _size(tensor), None, _half_square_sum(tensor), mean)


def join_rows(rows: list[Any], dtype: str) -> Any:
    """See `Engine.join_rows`; a fast row alone waits for those of other tensors."""
    if not isinstance(rows[0], FastRow):
        return defaults.join_rows(rows, dtype)
    return rows[0] if len(rows) == 1 else put_together(rows, dtype)


def put_together(rows: Iterable[Any], dtype: str) -> Tensor:
    """All rows as one vector.

    Args:
        rows: Tensors `(columns,)` and fast rows, in order.
        dtype: The vector's dtype.
    """
    ordered = list(rows)
    groups: dict[Hashable, list[int]] = {}
    for place, row in enumerate(ordered):
        groups.setdefault(row.group if isinstance(row, FastRow) else None, []).append(place)
    parts = [_join([ordered[place] for place in places]) for places in groups.values()]
    joined = tf.concat([tf.cast(part, dtype) for part in parts], axis=0)
    if len(groups) == 1:
        return joined
    widths = [WIDTHS[row.kind] if isinstance(row, FastRow) else row.shape[0] for row in ordered]
    starts = np.cumsum([0, *widths])
    found = [np.arange(starts[i], starts[i + 1]) for places in groups.values() for i in places]
    return tf.gather(joined, np.argsort(np.concatenate(found)))


def _join(rows: Sequence[Any]) -> Tensor:
    """Rows of one group as a vector."""
    if not isinstance(rows[0], FastRow):
        return tf.concat([tf.cast(row, "float64") for row in rows], axis=0)
    columns = _signal_columns(rows) if rows[0].kind == "signal" else _columns(rows)
    return tf.reshape(tf.stack(columns, axis=1), [-1])


def _signal_columns(rows: Sequence[FastRow]) -> list[Tensor]:
    sample = _stack(rows)
    unit_means = tf.reduce_mean(sample, axis=1)
    return [
        _second_moments(rows),
        tf.reduce_mean(unit_means, axis=1),
        tf.reduce_mean(tf.square(sample), axis=[1, 2]),
        tf.reduce_mean(tf.square(unit_means), axis=1),
        tf.reduce_mean(tf.cast(tf.equal(sample, 0), sample.dtype), axis=[1, 2]),
    ]


def _columns(rows: Sequence[FastRow]) -> list[Tensor]:
    """The columns of gradients and of weights."""
    if rows[0].kept is None:
        second_moments = _second_moments(rows)
        if rows[0].kind == "gradient":
            return [second_moments, tf.ones_like(second_moments)]
        return [tf.stack([row.mean for row in rows]), second_moments]
    kept = tf.reshape(_stack(rows), [len(rows), rows[0].size])
    second_moments = tf.reduce_mean(tf.square(kept), axis=1)
    if rows[0].kind == "gradient":
        return [second_moments, tf.ones_like(second_moments)]
    return [tf.reduce_mean(kept, axis=1), second_moments]


def _stack(rows: Sequence[FastRow]) -> Tensor:
    return tf.cast(tf.stack([row.kept for row in rows]), "float32")


def _second_moments(rows: Sequence[FastRow]) -> Tensor:
    factors = np.array([2 / row.size for row in rows], "float32")
    return tf.stack([row.half_square_sum for row in rows]) * factors


def _half_square_sum(tensor: Any) -> Tensor:
    return _single(tf.nn.l2_loss(_accumulating(tensor)))


def _accumulating(tensor: Any) -> Tensor:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _single(value: Any) -> Tensor:
    return tf.cast(value, tf.float32)


def _size(tensor: Any) -> int:
    size: int = max(math.prod(tensor.shape), 1)
    return size
