"""Moments of an activation of a Gaussian signal: its effect on signal and gradient."""

import math
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.activation_functions import ACTIVATIONS, Function, numpy_activation
from keras_initcheck.theory.gaussian import GaussianIntegrals, integrate_gaussian
from keras_initcheck.theory.quadrature import Array

__all__ = [
    "ACTIVATIONS",
    "FLOAT32_PRECISION",
    "FLOAT64_PRECISION",
    "ActivationMoments",
    "Function",
    "activation_moments",
    "numpy_activation",
]

FLOAT64_PRECISION = float(np.finfo(np.float64).eps)
FLOAT32_PRECISION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class ActivationMoments:
    """Moments of `f(z)` for `z ~ N(mean, q - mean²)`.

    Attributes:
        input_second_moment: `q = E z²`.
        mean: `E f`.
        variance: `Var f`.
        second_moment: `E f²`, the second moment of the next layer's input.
        derivative_second_moment: `E f'²`. Jumps of `f` are left out.
        chi_q: `d ln E f² / d ln q` when the signal is scaled: below 1 the variance map attracts,
            above 1 it repels (Poole et al. 2016, section 2). `E[z f f'] / E f²`, with jumps of `f`
            counted.
        activation_noise: `Var(f²/E f² - z²/q)`: `n` times the relative variance that the activation
            of `n` independent units adds to the ratio of second moments. 0 for linear, 3 for ReLU.
    """

    input_second_moment: float
    mean: float
    variance: float
    second_moment: float
    derivative_second_moment: float
    chi_q: float
    activation_noise: float

    @property
    def forward_factor(self) -> float:
        """`E f² / q`; times `n_in E w²` it is the forward ratio.

        1/2 for ReLU (He et al. 2015, section 2.2).
        """
        return self.second_moment / self.input_second_moment

    @property
    def backward_factor(self) -> float:
        """`E f'²`; times `n_out E w²` it is the backward ratio.

        1/2 for ReLU (He et al. 2015, section 2.2).
        """
        return self.derivative_second_moment

    @property
    def gain(self) -> float:
        """`sqrt(q / E f²)`: weights of standard deviation `gain / sqrt(n_in)` keep the signal."""
        return 1.0 / math.sqrt(self.forward_factor) if self.forward_factor else math.inf

    @property
    def chi1(self) -> float:
        """`q E f'² / E f²`, the gradient factor of square layers that keep `q`.

        Schoenholz et al. 2017, section 5.
        """
        return _divide(self.backward_factor, self.forward_factor)


def activation_moments(
    function: Function,
    second_moment: float = 1.0,
    mean: float = 0.0,
    *,
    precision: float = FLOAT64_PRECISION,
) -> ActivationMoments:
    """Moments of an element-wise function of a Gaussian, by quadrature.

    Good to eight digits wherever `function` has kinks and jumps, and to four if it computes in
    float32. For a signal of standard deviation below 0.002 (0.07 in float32) the slope is taken
    over an interval of that length, on the side away from zero; only a kink inside it, other than
    one at zero, blurs the slope.

    >>> relu = activation_moments(numpy_activation("relu"))
    >>> round(relu.second_moment, 6), round(relu.derivative_second_moment, 6), round(relu.gain, 6)
    (0.5, 0.5, 1.414214)
    >>> tanh = activation_moments(numpy_activation("tanh"))
    >>> round(tanh.second_moment, 6), round(tanh.derivative_second_moment, 6), round(tanh.chi_q, 6)
    (0.394294, 0.464403, 0.461071)

    Args:
        function: Maps an array `(points,)` to one of the same shape. It is called 4 to 50 times,
            with 2 000 to 4 000 points in all, and seven times as many for those small signals.
        second_moment: `q = E z²`, above `mean²`.
        mean: `E z`.
        precision: Relative precision of `function`: `FLOAT32_PRECISION` if it computes in float32.

    Returns:
        The moments; `inf` where they overflow, and `nan` for differences and quotients of those.

    Raises:
        ValueError: The variance is not positive and finite, or `function` is not element-wise.
    """
    variance = second_moment - mean * mean
    if not 0.0 < variance < math.inf:
        raise ValueError(
            "`second_moment` must be finite and larger than the square of `mean`. "
            f"Received: second_moment={second_moment}, mean={mean}. Pass `E[z²]`, not the variance."
        )
    integrals = GaussianIntegrals(function, mean, math.sqrt(variance), precision)
    with np.errstate(all="ignore"):
        return _assemble(integrals, integrate_gaussian(integrals), second_moment)


def _assemble(integrals: GaussianIntegrals, columns: Array, q: float) -> ActivationMoments:
    centered_square, square, fourth, uu_square, slope_square, u_square, centered = columns.tolist()
    mean, std = integrals.mean, integrals.std
    share = mean * mean / q
    # E[f² z²] / q
    z_square = share * square + 2.0 * mean * std / q * u_square + (1.0 - share) * uu_square
    z_fourth = share * share + 6.0 * share * (1.0 - share) + 3.0 * (1.0 - share) ** 2  # E z⁴ / q²
    # d/ds E f(s z)² at s = 1 is E[f² (z (z - mean)/std² - 1)]: Stein's lemma, which needs no slope
    # of f.
    scaling = uu_square + mean / std * u_square - square
    return ActivationMoments(
        input_second_moment=q,
        mean=integrals.center + centered,
        variance=max(centered_square - centered * centered, 0.0),
        second_moment=square,
        derivative_second_moment=slope_square,
        chi_q=_divide(scaling, 2.0 * square),
        activation_noise=_divide(fourth, square * square)
        - 2.0 * _divide(z_square, square)
        + z_fourth,
    )


def _divide(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
