"""Random kernels of a given size."""

import numpy as np


def kernel(
    shape: tuple[int, ...],
    root_mean_square: float,
    generator: np.random.Generator,
    *,
    num_gates: int = 1,
    is_orthogonal: bool = False,
) -> np.ndarray:
    """A kernel as Keras stores it, `(*inputs, units)`, scaled to its root mean square exactly.

    Args:
        shape: Shape, of two axes or more.
        root_mean_square: `sqrt(E[w²])`.
        generator: Source of the random numbers.
        num_gates: Kernels side by side in the last axis; each is drawn on its own.
        is_orthogonal: True for a kernel that is a matrix with orthonormal rows or columns (Saxe et
            al. 2014), scaled; its rows are all axes but the last, flattened. Otherwise values are
            normal.
    """
    *inputs, units = shape
    parts = [
        _matrix(int(np.prod(inputs)), units // num_gates, generator, is_orthogonal)
        for _ in range(num_gates)
    ]
    values = np.concatenate(parts, axis=1).reshape(shape)
    scaled: np.ndarray = values * (root_mean_square / np.sqrt(np.mean(values**2)))
    return scaled


def _matrix(
    rows: int, columns: int, generator: np.random.Generator, is_orthogonal: bool
) -> np.ndarray:
    values = generator.standard_normal((rows, columns))
    if not is_orthogonal:
        return values
    q, r = np.linalg.qr(values if rows >= columns else values.T)
    # Without the signs the draw is not uniform over orthogonal matrices (Mezzadri 2007).
    q = q * np.where(np.diag(r) < 0.0, -1.0, 1.0)
    matrix: np.ndarray = q if rows >= columns else q.T
    return matrix
