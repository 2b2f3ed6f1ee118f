"""The rank of a kernel, from its product with a few random vectors.

A small matrix is made on the device, and its directions are counted on the host.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_initcheck.probe.engine.protocol import HostRow

NUM_DIRECTIONS = 16
"""Random directions. Ranks below that number are recognized, larger ones are not. Cost: two
products of the kernel with so many vectors.
"""
NUM_COLUMNS = NUM_DIRECTIONS**2
SMALLEST_SHARE = 1e-4
"""Share of the largest squared singular value below which a direction does not count. In size it is
a hundredth, above what the rounding of float32, TF32 and bfloat16 products leaves of a direction
that does not exist."""


def is_sketched(variable: Any) -> bool:
    """Whether a variable is a kernel with four units or more on both sides.

    All axes but the last are taken together as one side.
    """
    shape = tuple(variable.shape)
    is_kernel = str(variable.name).rsplit("/", 1)[-1].endswith("kernel") and len(shape) > 1
    return is_kernel and smaller_side(shape) >= 4


def smaller_side(shape: tuple[int, ...]) -> int:
    """Largest rank of a kernel of that shape, whose last axis is its units."""
    return min(math.prod(shape[:-1]), shape[-1])


def row(kernel: Any) -> Any:
    """The Gram matrix of `kernel @ G`, flattened, `(NUM_COLUMNS,)`, for a random matrix G.

    The kernel is divided by its largest magnitude; G holds independent standard normal numbers. The
    rank of the product is the rank of the kernel, up to `NUM_DIRECTIONS` (Halko, Martinsson & Tropp
    2011, section 4.1).
    """
    matrix = ops.reshape(ops.cast(kernel, "float32"), (-1, kernel.shape[-1]))
    largest = ops.max(ops.abs(matrix))
    matrix = matrix / ops.where(largest > 0, largest, ops.ones_like(largest))
    directions = ops.convert_to_tensor(_directions(kernel.shape), dtype="float32")
    product = ops.matmul(matrix, directions)
    return ops.reshape(ops.matmul(ops.transpose(product), product), (-1,))


def _host_row(kernel: np.ndarray) -> np.ndarray:
    """`row` of an array."""
    matrix = np.asarray(kernel, np.float32).reshape(-1, kernel.shape[-1])
    largest = np.abs(matrix).max()
    matrix = matrix / (largest if largest > 0 else np.float32(1))
    product = matrix @ _directions(kernel.shape).astype(np.float32)
    found: np.ndarray = (product.T @ product).ravel()
    return found


ON_HOST = HostRow(_host_row, NUM_COLUMNS)


def _directions(shape: Sequence[int]) -> np.ndarray:
    """`G`, divided by the square root of the kernel's size."""
    directions = np.random.default_rng(0).standard_normal((int(shape[-1]), NUM_DIRECTIONS))
    return directions / math.sqrt(math.prod(shape))


def rank(values: np.ndarray) -> int | None:
    """The number of directions in a row, 0..`NUM_DIRECTIONS`.

    `None` where the kernel is not finite.
    """
    if not np.isfinite(values).all():
        return None
    squares = np.linalg.eigvalsh(values.reshape(NUM_DIRECTIONS, NUM_DIRECTIONS))
    return int((squares > SMALLEST_SHARE * squares[-1]).sum()) if squares[-1] > 0 else 0
