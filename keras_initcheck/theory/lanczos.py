"""The largest eigenvalue of an operator that is known only by what it makes of vectors."""

import math
from collections.abc import Callable

import numpy as np

from keras_initcheck.theory.quadrature import Array

_EXHAUSTED = 1e-6
"""Size of what is new in a product, relative to the largest so far, below which it is float32's
rounding: the vectors span all there is.
"""


def largest_eigenvalue(
    apply: Callable[[Array], Array], start: Array, num_steps: int
) -> tuple[float, float, int]:
    """Lanczos' method with full reorthogonalisation (Golub & Van Loan 2013, sections 10.1 and
    10.3).

    It finds in as many products at least what the power method finds, because it takes the best of
    all vectors met on the way.

    >>> numbers = np.linspace(0.0, 1.0, 100)
    >>> value, error, num = largest_eigenvalue(lambda vector: numbers * vector, np.ones(100), num_steps=20)
    >>> 0.999 < value <= 1.0 + 1e-9, error < 0.01, num
    (True, True, 20)

    Args:
        apply: Product with a symmetric operator without negative eigenvalues.
        start: `(n,)` vector to begin with, not orthogonal to the eigenvector: a random one.
        num_steps: Most products to take, 1 or more.

    Returns:
        A lower bound on the largest eigenvalue, how close to that number an eigenvalue lies at the
        most, and the number of products.
    """
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(num_steps, len(start))):
        product = np.asarray(apply(basis[-1]), np.float64)
        diagonal.append(float(product @ basis[-1]))
        for _ in range(2):  # once leaves what rounding makes of a large projection
            product = product - sum((vector @ product) * vector for vector in basis)
        beside.append(float(np.linalg.norm(product)))
        if beside[-1] <= _EXHAUSTED * max(map(abs, diagonal)):
            break
        basis.append(product / beside[-1])
    matrix = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return max(float(values[-1]), 0.0), abs(beside[-1] * float(vectors[-1, -1])), len(diagonal)


def singular_value(eigenvalue: float, error: float) -> tuple[float, float]:
    """The singular value that belongs to an eigenvalue of `J Jᵀ`, and how close to it one lies:
    `|s² - t²| >= |s - t| t`.

    >>> singular_value(4.0, 0.1)
    (2.0, 0.05)
    """
    value = math.sqrt(eigenvalue)
    return value, error / value if value > 0.0 else math.sqrt(error)
