"""Tests of numbers against the distribution that they are said to come from.

All bounds hold for any number of elements, none only in the limit. They are those of independent
draws from one of the three families of Keras' initializers, each symmetric and strictly
sub-Gaussian: `E exp(t (w - μ)) <= exp(t² σ² / 2)` with σ² the variance itself (for the uniform
distribution Arbel, Marchal & Nguyen 2020; for the normal one cut symmetrically Barreto, Marchal &
Arbel 2024).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.special import ndtr

from keras_initcheck.theory.noise import largest_deviation
from keras_initcheck.theory.quadrature import Array

NORMAL, TRUNCATED_NORMAL, UNIFORM = "normal", "truncated normal", "uniform"

TRUNCATED_DEVIATION = math.sqrt(
    1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(math.sqrt(2.0))
)
"""Standard deviation of a standard normal variable cut at ±2, as `keras.random.truncated_normal`
cuts: `sqrt(1 - 4 φ(2) / (2 Φ(2) - 1))`, 0.8796.
"""

LARGEST_FOURTH_MOMENT = 3.0
"""`E (w - μ)⁴ / σ⁴` of the normal distribution; the other two families have less."""

IDENTIFIED_DISTANCE = 1.4
"""Largest `sqrt(n) D` of a draw whose mean and deviation were estimated from itself. Simulated for
10 to 65,536 elements: at most 0.6% of the draws of each family exceed it, in agreement with
Stephens 1974 for the normal one. A draw that is missed so has no name."""


def _truncated_normal(z: Array) -> Array:
    tail = float(ndtr(-2.0))
    found: Array = (ndtr(np.clip(z * TRUNCATED_DEVIATION, -2.0, 2.0)) - tail) / (1.0 - 2.0 * tail)
    return found


def _uniform(z: Array) -> Array:
    found: Array = np.clip(0.5 + z / math.sqrt(12.0), 0.0, 1.0)
    return found


DISTRIBUTIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {NORMAL: ndtr, TRUNCATED_NORMAL: _truncated_normal, UNIFORM: _uniform}
)
"""Cumulative distributions of mean 0 and variance 1, by family."""


def distance(z: Array, family: str) -> float:
    """Kolmogorov's distance of numbers from a family of mean 0 and variance 1.

    >>> distance(np.array([0.0]), "normal")
    0.5
    """
    expected = DISTRIBUTIONS[family](np.sort(z).astype(np.float64))
    steps = np.arange(len(z) + 1) / len(z)
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))


def largest_distance(num: int, level: float) -> float:
    """Kolmogorov's distance that `num` draws exceed with a probability of `level` at most.

    `sqrt(ln(2 / level) / (2 num))`, for every continuous distribution (Massart 1990).

    >>> round(largest_distance(1000, 0.001), 4)
    0.0616
    """
    return math.sqrt(math.log(2.0 / level) / (2.0 * num))


def second_moment_band(num: int, level: float) -> tuple[float, float]:
    """Bounds of `mean((w - μ)²) / σ²` of `num` draws, left with a probability of `level` at most.

    With `x = ln(2 / level)` the mean exceeds `1 + 2 sqrt(x / num) + 2 x / num` with a probability
    of `level / 2` at most (Laurent & Massart 2000, Lemma 1, for the normal distribution; a strictly
    sub-Gaussian one has no larger `E exp(t w²)`), and falls below `1 - sqrt(2 E w⁴ x / num)`
    (Maurer 2003, Theorem 1).

    >>> [round(bound, 3) for bound in second_moment_band(10_000, 0.001)]
    [0.932, 1.057]
    """
    x = math.log(2.0 / level) / num
    return 1.0 - math.sqrt(2.0 * LARGEST_FOURTH_MOMENT * x), 1.0 + 2.0 * math.sqrt(x) + 2.0 * x


def are_drawn_from(
    sample: Array,
    family: str,
    *,
    num: int,
    mean: float,
    second_moment: float,
    level: float,
    rounding: float = 0.0,
) -> bool:
    """Whether nothing contradicts that numbers are drawn from a family of mean 0 and variance 1.

    Three tests share the level: of the mean, of the second moment and of the distribution.

    >>> z = np.random.default_rng(0).normal(size=4096)
    >>> facts = {"num": 4096, "mean": z.mean(), "second_moment": (z**2).mean(), "level": 0.001}
    >>> are_drawn_from(z, "normal", **facts), are_drawn_from(1.2 * z, "normal", **facts)
    (True, False)

    Args:
        sample: The numbers, or some of them.
        family: The family.
        num: How many numbers there are.
        mean: Their mean.
        second_moment: Their second moment.
        level: Probability, at most, that a true draw is refused.
        rounding: Relative error of one number, which widens the bounds.
    """
    share = level / 3.0
    low, high = second_moment_band(num, share)
    return (
        abs(mean) <= largest_deviation(1, share) / math.sqrt(num) + rounding
        and low - 2.0 * rounding <= second_moment <= high + 2.0 * rounding
        and distance(sample, family) <= largest_distance(len(sample), share) + rounding
    )


def identify(sample: Array, rounding: float = 0.0) -> str | None:
    """The family whose shape numbers have, whatever their mean and deviation; `None` for no family.

    Below some 500 numbers the families can hardly be told from each other.

    >>> identify(np.random.default_rng(0).uniform(size=4096))
    'uniform'

    Args:
        sample: The numbers.
        rounding: Relative error of one of them.
    """
    deviation = float(sample.std())
    if not deviation > 0.0:
        return None
    z = (sample - sample.mean()) / deviation
    distances = {family: distance(z, family) for family in DISTRIBUTIONS}
    nearest = min(distances, key=distances.__getitem__)
    excess = distances[nearest] - rounding
    is_close = excess * math.sqrt(len(sample)) <= IDENTIFIED_DISTANCE
    return nearest if is_close else None
