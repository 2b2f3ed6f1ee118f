"""Scatter of measured and static ratios in a healthy network.

A rule compares with it, so that chance is not reported as a fault. Constants called empirical were
fitted to, or checked on, simulated plain He-ReLU networks (width 16 to 1024, depth 5 to 100; square
Dense layers and circular 3x3 convolutions). They are no theorem for attention, skip connections or
other activations.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = float | npt.NDArray[np.float64]

RELU_ACTIVATION_NOISE = 3.0
"""`ActivationMoments.activation_noise` of ReLU: `Var(f²/E f² - z²/q)` = 3."""

TWO_SIDED_99 = 2.576
"""Normal quantile of a two-sided 1% level."""

STATIC_STANDARD_DEVIATIONS = 4.5
"""A two-sided level of 7e-6 for a normal weight statistic: no false alarm in a network of 1000
layers in 99% of cases."""

STATIC_FACTOR = 1.5
"""Empirical: a layer's variance within a factor of 1.5 is left alone. He and orthogonal weights of
width 16 and more stay inside."""

STATIC_FLOOR = math.log(STATIC_FACTOR)
"""`STATIC_FACTOR` as a natural logarithm."""


def layer_log_variance(width: Numbers, activation_noise: Numbers = RELU_ACTIVATION_NOISE) -> Any:
    """Variance of `ln(q_l / q_{l-1})`, the log ratio of successive pre-activation second moments.

    `v = v0 (1 + v0)` with `v0 = (2 + V_a) / n`: 5/n for ReLU layers, whose sum governs the
    fluctuations in Hanin & Rolnick 2018. Assumes independent Gaussian weights, as many units in the
    layer before, and a batch that counts as one sample: in deep ReLU networks samples become
    collinear, and estimating their effective number from the batch made more false alarms. The
    bracket is empirical: it was introduced after seeing width 16 and matters below about 64
    (simulated: .410 at 16, .081 at 64, .018 at 256).

    >>> round(layer_log_variance(64), 4), round(layer_log_variance(16), 4)
    (0.0842, 0.4102)

    Args:
        width: `n`, units of the layer, channels of a convolution.
        activation_noise: `V_a`, `ActivationMoments.activation_noise`.

    Returns:
        A number, or an array if one of the two is an array.
    """
    variance = (2.0 + activation_noise) / width
    return variance * (1.0 + variance)


def largest_deviation(num: int, level: float = 0.01) -> float:
    """Standard deviations that the largest of `num` normal magnitudes hardly ever exceeds.

    The probability is `level` at most, by Mills' bound on the tail, `sqrt(2 ln(2 num / level))`;
    correlated numbers stay below it all the more.

    >>> round(largest_deviation(1), 2), round(largest_deviation(100), 2)
    (3.26, 4.45)
    """
    return math.sqrt(2.0 * math.log(2.0 * num / level))


def static_tolerance(
    num_weights: float,
    factor: float = STATIC_FACTOR,
    standard_deviations: float = STATIC_STANDARD_DEVIATIONS,
) -> float:
    """Largest `|ln(static ratio)|` that is left alone: `ln 1.5`, or chance where that is more.

    The mean square of `N` independent normal weights has the relative standard deviation
    `sqrt(2 / N)`.

    >>> round(static_tolerance(64 * 64), 4), round(static_tolerance(4 * 4), 4)
    (0.4055, 1.591)

    Args:
        num_weights: `N`, elements of the kernel.
        factor: Ratio to the prediction, or its inverse, that is left alone; 1 or more.
        standard_deviations: Scatter by chance that is left alone.
    """
    return max(math.log(factor), standard_deviations * math.sqrt(2.0 / num_weights))
