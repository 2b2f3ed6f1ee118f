"""Fast rows on PyTorch, which runs eagerly: few operations each, and the rest for all rows at once.

A row is begun where its tensor is at hand, and keeps nothing of it but a bounded sample. All rows
of a pass are finished together, and come to the host in one transfer.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from keras_initcheck.probe.engine.statistics_rows import FAST_SIGNAL, fast_sample
from keras_initcheck.probe.keras_types import Tensor

FloatArray = npt.NDArray[np.float64]
_sample_of = functools.lru_cache(maxsize=256)(fast_sample)


class FastRow:
    """A row that was begun.

    Attributes:
        size: Number of elements.
        squares: Sum of the squares.
        sample: `(samples, units)` of a signal, a copy.
        total: Sum of a weight's elements.
    """

    __slots__ = ("sample", "size", "squares", "total")

    def __init__(self, tensor: Any) -> None:
        self.size: int = tensor.numel()
        self.squares: Tensor = _sum_squares(tensor)
        self.sample: Any | None = None
        self.total: Tensor | None = None


def fast_signal_row(tensor: Tensor) -> FastRow:
    """See `statistics_rows.FAST_SIGNAL`."""
    row = FastRow(tensor)
    # A layer may write to the tensor later.
    row.sample = _samples(tensor)[_sample_of(tensor.shape)].to(_accumulator(tensor), copy=True)
    return row


def fast_gradient_row(tensor: Tensor) -> FastRow:
    """See `statistics_rows.FAST_GRADIENT`."""
    return FastRow(tensor)


def fast_weight_row(tensor: Tensor) -> FastRow:
    """See `statistics_rows.FAST_WEIGHT`."""
    row = FastRow(tensor)
    row.total = tensor.sum(dtype=_accumulator(tensor))
    return row


def to_host(rows: Sequence[Any], dtype: Any) -> FloatArray:
    """All rows, behind one another.

    Args:
        rows: Tensors, rows that were begun, and lists of both.
        dtype: The dtype in which they cross over.
    """
    flat = [part for row in rows for part in (row if isinstance(row, list) else (row,))]
    begun = [part for part in flat if isinstance(part, FastRow)]
    others = [part for part in flat if not isinstance(part, FastRow)]
    groups = _by_shape(begun)
    pieces = [*_sums(begun), *(_of_samples(begun, each) for each in groups), *others]
    arrived = torch.cat([piece.detach().reshape(-1).to(dtype) for piece in pieces])
    parts = iter(np.split(arrived.cpu().numpy(), np.cumsum([piece.numel() for piece in pieces])))
    finished = iter(_finish(begun, groups, parts))
    joined = [next(finished) if isinstance(part, FastRow) else next(parts) for part in flat]
    return np.concatenate(joined) if joined else np.zeros(0)


def _sum_squares(tensor: Any) -> Tensor:
    dtype = _accumulator(tensor)
    if tensor.dtype == dtype and tensor.is_contiguous():
        flat = tensor.view(-1)
        return torch.dot(flat, flat)
    return torch.linalg.vector_norm(tensor, dtype=dtype).square()


def _accumulator(tensor: Any) -> Any:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _samples(tensor: Any) -> Any:
    """A signal as `(samples, units)`, without a copy: units in the order in which they are stored.

    A convolution or a pooling may return another order of axes than it stores.
    """
    if not tensor.ndim:
        return tensor.reshape(1, 1)
    if not tensor.is_contiguous():
        axes = sorted(range(1, tensor.ndim), key=tensor.stride, reverse=True)
        tensor = tensor.permute(0, *axes)
    return tensor.reshape(tensor.shape[0], -1)


def _by_shape(begun: Sequence[FastRow]) -> list[list[int]]:
    """Positions of the rows with a sample, those of one shape together."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for position, row in enumerate(begun):
        if row.sample is not None:
            groups[row.sample.shape, row.sample.dtype].append(position)
    return list(groups.values())


def _sums(begun: Sequence[FastRow]) -> Iterator[Tensor]:
    """Sums of squares, then totals: a vector of each, where there are any."""
    totals = [row.total for row in begun if row.total is not None]
    for each in ([row.squares for row in begun], totals):
        if each:
            yield torch.stack(each)


def _of_samples(begun: Sequence[FastRow], group: Sequence[int]) -> Tensor:
    """The sampled columns of rows whose samples have one shape, `(columns, rows)`."""
    samples = torch.stack([begun[position].sample for position in group])
    unit_means = samples.mean(dim=1)
    num_others = torch.count_nonzero(samples, dim=(1, 2))
    return torch.stack(
        [
            unit_means.mean(dim=1),
            samples.square().mean(dim=(1, 2)),
            unit_means.square().mean(dim=1),
            1 - num_others / samples[0].numel(),
        ]
    )


def _finish(
    begun: Sequence[FastRow], groups: Sequence[Sequence[int]], parts: Iterator[FloatArray]
) -> list[FloatArray]:
    """The columns of rows, from what came to the host of all of them."""
    if not begun:
        return []
    sizes = np.array([row.size for row in begun], np.float64)
    second_moments = next(parts) / sizes
    table = np.ones((len(begun), len(FAST_SIGNAL)))  # a gradient's second column is 1
    table[:, 0] = second_moments
    weights = [position for position, row in enumerate(begun) if row.total is not None]
    if weights:
        table[weights, 1] = second_moments[weights]
        table[weights, 0] = next(parts) / sizes[weights]
    for group in groups:
        table[group, 1:] = next(parts).reshape(len(FAST_SIGNAL) - 1, len(group)).T
    widths = [2 if row.sample is None else len(FAST_SIGNAL) for row in begun]
    return [columns[:width] for columns, width in zip(table, widths, strict=True)]
