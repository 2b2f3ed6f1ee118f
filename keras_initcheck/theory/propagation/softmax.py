"""Softmax over independent Gaussian logits: exact moments, and its rule."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential
from keras_initcheck.theory.quadrature import Array

_LARGEST_STD = 10.0
"""Standard deviation of the logits beyond which one probability is close to one.

With two logits, `E a²` is within 6% of its limit `1/n` there.
"""

_REACH = 9.0  # standard deviations: the Gaussian beyond holds 2e-19
_STEP = 0.4
"""Distance of the quadrature's points, in logits and in `ln t`.

The error of the trapezoidal rule is about `e^(-π²/0.4)` = 2e-11, since `e^-e^x` is the sharpest
feature.
"""


@dataclass(frozen=True)
class SoftmaxMoments:
    """Moments of `n` probabilities `a_i`, from independent logits of one variance.

    Attributes:
        second_moment: `E a²`; it tends to `e^(s²) / n²` where `n` is far above `e^(s²)`.
        gradient_factor: `E sum_j (d a_j / d z_i)²`, the ratio of mean squared gradients, logits
            over probabilities.
    """

    second_moment: float
    gradient_factor: float


@functools.lru_cache(maxsize=256)
def softmax_moments(num_units: int, logit_variance: float) -> SoftmaxMoments:
    """Exact moments for `z ~ N(mean, s²)`, by quadrature.

    The powers of the sum in the denominator are Gamma integrals: with
    `L_j(t) = E[e^(jz) e^(-t e^z)]`,
    `E[a_1^j a_2^k] = ∫ t^(j+k-1) / (j+k-1)! L_j(t) L_k(t) L_0(t)^(n-2) dt`. It costs a millisecond
    for logits of unit variance, a tenth of a second for the largest that count.

    >>> round(softmax_moments(1_000_000, 1.0).second_moment * 1_000_000**2, 3)  # e
    2.718
    >>> softmax_moments(4, 0.0).second_moment
    0.0625

    Args:
        num_units: `n`, at least one.
        logit_variance: `s²`, around the mean of the logits.
    """
    if num_units == 1:
        return SoftmaxMoments(1.0, 0.0)
    std = min(math.sqrt(logit_variance), _LARGEST_STD)
    if std < 1e-6:
        share = 1.0 / num_units
        return SoftmaxMoments(share**2, share**2 * (1.0 - share))
    mixed = functools.partial(_mixed_moment, _laplace_transforms(std, num_units), num_units)
    square, cube, fourth, pair = mixed(2, 0), mixed(3, 0), mixed(4, 0), mixed(2, 2)
    return SoftmaxMoments(square, square - 2.0 * cube + fourth + (num_units - 1) * pair)


def _laplace_transforms(std: float, num_units: int) -> Array:
    """Rows `ln E[t^j e^(jz) e^(-t e^z)]` for `j` from 0 to 4, over a grid of `ln t`."""
    logits = np.arange(-_REACH * std, _REACH * std, _STEP * min(std, 1.0))
    weights = np.exp(-0.5 * (logits / std) ** 2)
    weights /= weights.sum()
    # From where even the largest logit is far below 1/t to where n of the smallest are far above
    log_t = np.arange(-_REACH * std - 45.0 - math.log(num_units), _REACH * std + 7.0, _STEP)
    exponents = log_t[:, None] + logits[None, :]
    decay = -np.exp(np.minimum(exponents, 50.0))
    rows = [
        np.exp(np.clip(power * exponents + decay, -700.0, None)) @ weights for power in range(5)
    ]
    return np.asarray(np.log(np.maximum(np.stack(rows), 1e-300)), dtype=np.float64)


def _mixed_moment(transforms: Array, num_units: int, first: int, second: int) -> float:
    """`E[a_1^first a_2^second]`."""
    integrand = np.exp(transforms[first] + transforms[second] + (num_units - 2) * transforms[0])
    return float(integrand.sum() * _STEP / math.factorial(first + second - 1))


@dataclass(frozen=True)
class Softmax(PropagationRule):
    """`mean -> 1/n`, `q -> E a²`, which depends on the variance of the logits alone.

    Assumes independent Gaussian logits.

    >>> round(Softmax(num_units=1000).forward(Signal(-math.inf)).second_moment * 1000**2, 9)
    1.0

    Attributes:
        num_units: `n`.
    """

    num_units: int

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln E sum_j (d a_j / d z_i)²`."""
        factor = self._moments(inputs[0]).gradient_factor if inputs[0].is_known else math.nan
        return (math.log(factor) if factor else -math.inf,)

    def _moments(self, logits: Signal) -> SoftmaxMoments:
        return softmax_moments(
            self.num_units, min(exponential(logits.log_variance), _LARGEST_STD**2)
        )

    def _forward(self, *inputs: Signal) -> Signal:
        mean = 1.0 / self.num_units
        return Signal.from_moments(
            mean, max(self._moments(inputs[0]).second_moment - mean * mean, 0.0)
        )
