"""How many directions a kernel has, from its product with a few random vectors: a small matrix on
the device, a count on the host.
"""

import math
from typing import Any

import numpy as np
from keras import ops

NUM_DIRECTIONS = 16
"""Random directions: ranks below it are told, larger ones are not. Cost: two products of the kernel
with so many vectors.
"""
NUM_COLUMNS = NUM_DIRECTIONS**2
SMALLEST_SHARE = 1e-4
"""Share of the largest squared singular value below which a direction counts as none: a hundredth
of it in size, above what the rounding of float32, TF32 and bfloat16 products leaves of a direction
that is not there."""


def is_sketched(variable: Any) -> bool:
    """Whether a variable is a kernel between four units and more on both sides, once all axes but
    the last are taken together.
    """
    shape = tuple(variable.shape)
    is_kernel = str(variable.name).rsplit("/", 1)[-1].endswith("kernel") and len(shape) > 1
    return is_kernel and smaller_side(shape) >= 4


def smaller_side(shape: tuple[int, ...]) -> int:
    """Largest rank of a kernel of that shape, whose last axis are its units."""
    return min(math.prod(shape[:-1]), shape[-1])


def row(kernel: Any) -> Any:
    """The Gram matrix of `kernel @ G`, flattened, `(NUM_COLUMNS,)`, with G of independent standard
    normal numbers; scaled by the largest.

    Its rank is that of the kernel, up to `NUM_DIRECTIONS` (Halko, Martinsson & Tropp 2011, section
    4.1).
    """
    matrix = ops.reshape(ops.cast(kernel, "float32"), (-1, kernel.shape[-1]))
    largest = ops.max(ops.abs(matrix))
    matrix = matrix / ops.where(largest > 0, largest, ops.ones_like(largest))
    directions = np.random.default_rng(0).standard_normal(
        (int(kernel.shape[-1]), NUM_DIRECTIONS)
    ) / math.sqrt(math.prod(kernel.shape))
    product = ops.matmul(matrix, ops.convert_to_tensor(directions, dtype="float32"))
    return ops.reshape(ops.matmul(ops.transpose(product), product), (-1,))


def rank(values: np.ndarray) -> int | None:
    """The number of directions in a row, at most `NUM_DIRECTIONS`; `None` where the kernel is not
    finite.
    """
    if not np.isfinite(values).all():
        return None
    squares = np.linalg.eigvalsh(values.reshape(NUM_DIRECTIONS, NUM_DIRECTIONS))
    return int((squares > SMALLEST_SHARE * squares[-1]).sum()) if squares[-1] > 0 else 0
