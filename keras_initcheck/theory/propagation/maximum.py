"""The largest of several independent Gaussians: its moments, and whose value it is how often."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from keras_initcheck.theory.normal import normal_density
from keras_initcheck.theory.quadrature import Array, panel_nodes

_REACH = 9.0  # standard deviations: the Gaussian beyond holds 2e-19
_SPACING = 0.25  # of panels with ten nodes each, in standard deviations
_UNRECTIFIED_RANGE = -20.0, 1e4
"""`mean / std` beyond which the mean of the rectified Gaussian over its root mean square is 0 or 1
in float64."""
_SMALLEST_STD = 1e-8  # of a Gaussian that stands for a constant, relative to the largest scale


@dataclass(frozen=True)
class LargestGaussian:
    """The distribution of the largest of some independent Gaussians, as a quadrature.

    Attributes:
        points: Values of the largest, `(points,)`.
        shares: Probability of each value and of each kind to have it, `(kinds, points)`.
    """

    points: Array
    shares: Array

    def expect(self, values: Array) -> float:
        """The mean of a function of the largest, from its values `(points,)` at the points."""
        return float(self.shares.sum(axis=0) @ values)

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.expect(self.points)

    @property
    def variance(self) -> float:
        """Its variance."""
        return self.expect((self.points - self.mean) ** 2)

    def winning_probabilities(self) -> list[float]:
        """For each kind, the probability that one of that kind is the largest."""
        return [float(share) for share in self.shares.sum(axis=1)]


def largest_gaussian(
    means: Sequence[float], variances: Sequence[float], counts: Sequence[float] | None = None
) -> LargestGaussian:
    """The largest of independent Gaussians, by quadrature.

    Its density is `sum_i n_i φ_i Φ_i^(n_i - 1) prod_(j≠i) Φ_j^n_j`. Clark 1961 has the moments for
    two in closed form.

    >>> four = largest_gaussian([0.0], [1.0], [4])
    >>> round(four.mean, 5), round(four.variance, 5)
    (1.02938, 0.49172)

    Args:
        means: Mean of each kind.
        variances: Variance of each kind, 0 or more.
        counts: Number of Gaussians of each kind, which need not be whole: the mean number of cells
            of a window is not. 1 if not given.
    """
    center = np.asarray(means, dtype=np.float64)[:, None]
    scale = max(math.sqrt(max(variances)), float(np.ptp(center)), 1e-300)
    std = np.maximum(np.sqrt(np.asarray(variances, dtype=np.float64)), _SMALLEST_STD * scale)[
        :, None
    ]
    number = (
        np.ones_like(center) if counts is None else np.asarray(counts, dtype=np.float64)[:, None]
    )
    grid = np.arange(-_REACH, _REACH + _SPACING, _SPACING)
    edges = np.unique(center + std * grid[None, :])
    nodes, weights = panel_nodes(np.stack([edges[:-1], edges[1:]], axis=1))
    points = nodes.ravel()
    standardized = (points - center) / std
    below = np.maximum(ndtr(standardized), 1e-300)
    all_below = np.exp((number * np.log(below)).sum(axis=0))
    shares = number * normal_density(standardized) / std / below * all_below * weights.ravel()
    return LargestGaussian(points, np.asarray(shares, dtype=np.float64))


def rectified_moments(means: Array, std: float) -> tuple[Array, Array]:
    """`E max(z, 0)` and `E max(z, 0)²` of `z ~ N(mean, std²)`, in the shape of `means`.

    >>> first, second = rectified_moments(np.array([0.0]), 1.0)
    >>> round(float(first[0]), 6), float(second[0])
    (0.398942, 0.5)
    """
    if std == 0.0:
        positive = np.maximum(means, 0.0)
        return positive, positive**2
    ratio = means / std
    below, edge = np.asarray(ndtr(ratio), dtype=np.float64), normal_density(ratio)
    return means * below + std * edge, (means**2 + std**2) * below + means * std * edge


def unrectified_mean(relative_mean: float) -> float:
    """`mean / std` of the Gaussian whose rectified part has a given `mean / sqrt(q)`, 0..1.

    >>> abs(unrectified_mean(0.398942280401 / 0.5**0.5)) < 1e-9
    True
    """

    def excess(mean: float) -> float:
        first, second = rectified_moments(np.array([mean]), 1.0)
        return float(first[0]) - relative_mean * math.sqrt(float(second[0]))

    low, high = _UNRECTIFIED_RANGE
    if excess(low) >= 0.0:
        return low
    if excess(high) <= 0.0:
        return high
    return float(brentq(excess, low, high, xtol=1e-14))
