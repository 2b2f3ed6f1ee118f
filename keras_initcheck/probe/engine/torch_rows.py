"""Exact rows on PyTorch's CPU, in four passes over a tensor and without a copy of it.

`statistics_rows` and `update_rows` hold the columns, and the rows that serve any device and any
numbers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from keras_initcheck.probe.engine import statistics_rows, update_rows
from keras_initcheck.probe.engine.protocol import Row
from keras_initcheck.probe.keras_types import Tensor

IN_RANGE = {torch.float32: (1e-10, 1e15), torch.float64: (1e-100, 1e140)}
"""Largest magnitudes of tensors whose squares can be summed as they are, and those of deviations
that are a ten millionth as large."""
BLOCK = 2**12
"""Elements that are summed in the tensor's own precision; sums of blocks are added in float64. Of
2.4 million squares in float32 the sum has a relative error of 2e-9 then, else of 3e-5."""
BUFFER = 2**18
"""Elements that are compared with zero at once: as many as stay in a processor's cache."""
LEAST_SHARE = 1 / 4
"""Share of a second moment that the batch variance must have to be taken as a difference of two.
The means of units have relative errors of up to 1e-6 in float32, thus the difference of 1e-5."""


_OF_ZEROS = ("scale", "share_zero", "share_dead", "connected")
"""Columns that are 1, and not 0, where every element is zero."""
_ZERO_ROW = [float(name in _OF_ZEROS) for name in statistics_rows.COLUMNS]


@torch.no_grad()
def exact_row(tensor: Tensor) -> Row:
    """See `statistics_rows.exact_row`."""
    found = _row(tensor, lambda values: 0.0)
    return statistics_rows.exact_row(tensor) if found is None else found


@torch.no_grad()
def exact_weight_row(tensor: Tensor, signs: Any) -> Row:
    """See `statistics_rows.exact_weight_row`."""
    found = _row(tensor, lambda values: _product(values.reshape(-1), torch.as_tensor(signs)))
    return statistics_rows.exact_weight_row(tensor, signs) if found is None else found


@torch.no_grad()
def update_row(before: Tensor, after: Tensor, gradient: Tensor, epsilon: Tensor) -> Row:
    """See `update_rows.update_row`."""
    tensors = [gradient, after - before, before, after]
    flat = [tensor.reshape(-1).to(torch.float32) for tensor in tensors]
    is_simple = flat[0].device.type == "cpu" and flat[0].numel() > 0
    largest = [_largest(tensor) for tensor in flat] if is_simple else [math.nan]
    if not all(each == 0 or _is_in_range(each, torch.float32) for each in largest):
        return update_rows.update_row(before, after, gradient, epsilon)
    size = flat[0].numel()
    sizes = [each if each > 0 else 1.0 for each in largest]
    product = _sum_products(flat[0], flat[1]) / (sizes[0] * sizes[1])
    squares = [_sum_squares(each) / of**2 for each, of in zip(flat[1:], sizes[1:], strict=True)]
    num_zeros = _num_zeros(flat[0])
    num_below = _num_below(flat[0], float(epsilon)) - num_zeros
    means = [each / size for each in (product, *squares, max(num_below, 0), size - num_zeros)]
    return torch.tensor([*largest, *means, size], dtype=torch.float32)


def _row(tensor: Any, sum_signed: Callable[[Any], float]) -> Any | None:
    """The row of a tensor; `None` where its numbers or its device ask for another way.

    Args:
        tensor: Any tensor.
        sum_signed: The sum of its values, each times the sign of its place.
    """
    values = tensor if tensor.dtype in IN_RANGE else tensor.to(torch.float32)
    if values.device.type != "cpu" or not values.numel():
        return None
    values = values.reshape(-1, 1) if values.ndim < 2 else values
    ordered = _in_memory_order(values)
    largest = _largest(ordered)
    if largest == 0:
        return torch.tensor(_ZERO_ROW, dtype=torch.float64)
    if not _is_in_range(largest, values.dtype):
        return None
    size = values.numel()
    unit_means = values.mean(dim=0)
    mean = _sum(unit_means.reshape(-1)) / unit_means.numel()
    batch_variance = _batch_variance(values, ordered, unit_means)
    between = _sum_squares((unit_means - mean).reshape(-1)) / unit_means.numel()
    scale = 2.0 ** (math.frexp(largest)[1] - 1)
    return torch.tensor(
        [
            scale,
            mean / scale,
            (batch_variance + between) / scale**2,
            largest / scale,
            _num_zeros(ordered) / size,
            0.0,
            batch_variance / scale**2,
            _share_dead(values, unit_means),
            sum_signed(values) / (size * scale),
            1.0,
        ],
        dtype=torch.float64,
    )


def _largest(flat: Any) -> float:
    """The largest magnitude; NaN where there is one."""
    return max(abs(float(bound.item())) for bound in torch.aminmax(flat))


def _is_in_range(largest: float, dtype: Any) -> bool:
    low, high = IN_RANGE[dtype]
    return low <= largest <= high


def _in_memory_order(values: Any) -> Any:
    """All elements, flat, in the order in which they are stored where that takes no copy."""
    axes = sorted(range(values.ndim), key=values.stride, reverse=True)
    return values.permute(axes).reshape(-1)


def _sum(flat: Any) -> float:
    blocks, rest = _blocks(flat)
    return float(blocks.sum(dim=1).sum(dtype=torch.float64).item() + rest.sum().item())


def _sum_squares(flat: Any) -> float:
    blocks, rest = _blocks(flat)
    norms = torch.linalg.vector_norm(blocks, dim=1).to(torch.float64)
    return float(torch.dot(norms, norms).item() + torch.dot(rest, rest).item())


def _sum_products(one: Any, other: Any) -> float:
    (blocks, rest), (others, rest_of_other) = _blocks(one), _blocks(other)
    found = torch.linalg.vecdot(blocks, others).sum(dtype=torch.float64)
    return float(found.item() + torch.dot(rest, rest_of_other).item())


def _blocks(flat: Any) -> tuple[Any, Any]:
    """`(blocks, BLOCK)` elements, and the rest, fewer than `BLOCK`."""
    whole = len(flat) // BLOCK * BLOCK
    return flat[:whole].view(-1, BLOCK), flat[whole:]


def _batch_variance(values: Any, ordered: Any, unit_means: Any) -> float:
    """The mean over units of the variance along axis 0."""
    size: int = values.numel()
    num_units: int = unit_means.numel()
    second_moment = _sum_squares(ordered) / size
    difference = second_moment - _sum_squares(unit_means.reshape(-1)) / num_units
    if difference >= LEAST_SHARE * second_moment:
        return difference
    return _sum_squares((values - unit_means).reshape(-1)) / size


def _num_zeros(flat: Any) -> int:
    """The number of zeros. `torch.count_nonzero` takes up to fifty times as long."""
    num_others, buffer = 0.0, flat.new_empty(min(len(flat), BUFFER))
    for part in flat.split(BUFFER):
        num_others += torch.ne(part, 0, out=buffer[: len(part)]).sum().item()
    return len(flat) - int(num_others)


def _num_below(flat: Any, bound: float) -> int:
    """The number of elements whose magnitude is below a bound; 0 where that is NaN."""
    found, buffer = 0.0, flat.new_empty(min(len(flat), BUFFER))
    for part in flat.split(BUFFER):
        magnitudes = torch.abs(part, out=buffer[: len(part)])
        found += torch.lt(magnitudes, bound, out=magnitudes).sum().item()
    return int(found)


def _share_dead(values: Any, unit_means: Any) -> float:
    """The share of units that are zero throughout. Only those whose means are can be."""
    axis = statistics_rows.unit_axis(values.ndim)
    others = [each for each in range(values.ndim - 1) if each != axis - 1]
    is_zero = unit_means == 0
    (candidates,) = (is_zero.all(dim=others) if others else is_zero).nonzero(as_tuple=True)
    if not len(candidates):
        return 0.0
    largest = values.index_select(axis, candidates).abs().amax(dim=[0, *(a + 1 for a in others)])
    return float((largest == 0).sum().item() / values.shape[axis])


def _product(flat: Any, signs: Any) -> float:
    """The sum of values, each times the sign at its place, which are taken in turn."""
    whole = len(flat) // len(signs) * len(signs)
    rest = flat[whole:]
    turns = flat[:whole].view(-1, len(signs)).sum(dim=0)
    return float(torch.dot(turns, signs).item() + torch.dot(rest, signs[: len(rest)]).item())
