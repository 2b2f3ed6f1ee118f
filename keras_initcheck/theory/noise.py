"""How far measured and static ratios of a healthy network scatter, so that chance is not reported
as a fault.

Constants called empirical were fitted to, or checked on, simulated plain He-ReLU networks (width 16
to 1024, depth 5 to 100; square Dense layers and circular 3x3 convolutions). They are no theorem for
attention, skip connections or other activations.
"""

import math
from collections.abc import Iterable

RELU_ACTIVATION_NOISE = 3.0
"""`ActivationMoments.activation_noise` of ReLU: `Var(f²/E f² - z²/q)` = 3."""

SINGLE_SAMPLE = 1.0
"""Effective number of independent samples in a batch, `tr(G)² / tr(G²)` of the signal's Gram matrix
`G`. In deep ReLU networks samples become collinear and it tends to 1 whatever the batch size;
empirically, estimating it from the batch made more false alarms."""

TWO_SIDED_99 = 2.576
"""Normal quantile of a two-sided 1% level."""

STATIC_STANDARD_DEVIATIONS = 4.5
"""A two-sided level of 7e-6 for a normal weight statistic: no false alarm in a network of 1000
layers in 99% of cases."""

STATIC_FACTOR = 1.5
"""Empirical: a layer's variance within a factor of 1.5 is left alone. He and orthogonal weights of
width 16 and more stay inside."""

STATIC_FLOOR = math.log(STATIC_FACTOR)
"""The same as a logarithm."""


def layer_log_variance(
    width: float,
    input_width: float | None = None,
    activation_noise: float = RELU_ACTIVATION_NOISE,
    effective_samples: float = SINGLE_SAMPLE,
) -> float:
    """Variance of `ln(q_l / q_{l-1})`, the log ratio of successive pre-activation second moments.

    `v = v0 (1 + v0)` with `v0 = (2/n_l + V_a/n_{l-1}) / D`: 5/n for square ReLU layers, whose sum
    governs the fluctuations in Hanin & Rolnick 2018. Assumes independent Gaussian weights. The
    bracket is empirical: it was introduced after seeing width 16 and matters below about 64
    (simulated: .410 at 16, .081 at 64, .018 at 256).

    >>> round(layer_log_variance(64), 4), round(layer_log_variance(16), 4)
    (0.0842, 0.4102)

    Args:
        width: Units of the layer, channels of a convolution.
        input_width: The same of the layer before; `width` if not given.
        activation_noise: `V_a`, from `moments(...).activation_noise`.
        effective_samples: `D`, from 1 to the batch size.
    """
    previous_width = width if input_width is None else input_width
    variance = (2.0 / width + activation_noise / previous_width) / effective_samples
    return variance * (1.0 + variance)


def log_variance(widths: Iterable[float]) -> float:
    """`B`, the variance of `ln(q_L / q_1)` of a plain ReLU network: the sum over its layers.

    Its growth with `sum 1/n_l` is from Hanin & Rolnick 2018.

    >>> round(log_variance([64] * 100), 2)
    8.42
    """
    return sum(layer_log_variance(width) for width in widths)


def log_gain_band(widths: Iterable[float], z: float = TWO_SIDED_99) -> tuple[float, float]:
    """Range of `ln(q_L / q_1)` in healthy plain ReLU networks: `-B/2 ± z sqrt(B)`.

    The product of ratios is about log-normal with mean 1 (Hanin & Nica 2020), hence the median of a
    deep narrow network vanishes: a property of the architecture, not of the initialisation.

    >>> [round(end, 2) for end in log_gain_band([64] * 100)]
    [-11.69, 3.26]

    Args:
        widths: Width of each layer from the second on, one for each ratio.
        z: Normal quantile; 2.576 for 99%.
    """
    variance = log_variance(widths)
    return -0.5 * variance - z * math.sqrt(variance), -0.5 * variance + z * math.sqrt(variance)


def largest_of(num: int, level: float = 0.01) -> float:
    """Standard deviations that the largest magnitude of so many normal numbers exceeds with a
    probability of `level` at most.

    By Mills' bound on the tail, `sqrt(2 ln(2 num / level))`; correlated numbers stay below it all
    the more.

    >>> round(largest_of(1), 2), round(largest_of(100), 2)
    (3.26, 4.45)
    """
    return math.sqrt(2.0 * math.log(2.0 * num / level))


def static_relative_std(fan_in: float, fan_out: float, kurtosis: float = 0.0) -> float:
    """Relative standard deviation of `mean(w²)` over independent weights:
    `sqrt((kurtosis + 2) / N)`.

    >>> round(static_relative_std(64, 64), 4)
    0.0221

    Args:
        fan_in: Rows of the kernel as a matrix.
        fan_out: Its columns, so that `N = fan_in * fan_out` is the number of weights: for a
            convolution its filters, since the true fan counts a filter once for each position of
            the window.
        kurtosis: Excess kurtosis of the weights: 0 for a normal, -1.2 for a uniform distribution.
    """
    return math.sqrt((kurtosis + 2.0) / (fan_in * fan_out))


def static_tolerance(
    fan_in: float,
    fan_out: float,
    kurtosis: float = 0.0,
    factor: float = STATIC_FACTOR,
    standard_deviations: float = STATIC_STANDARD_DEVIATIONS,
) -> float:
    """Largest `|ln(static ratio)|` left alone: `ln 1.5`, or 4.5 of `static_relative_std` where that
    is more.

    >>> round(static_tolerance(64, 64), 4), round(static_tolerance(4, 4), 4)
    (0.4055, 1.591)

    Args:
        fan_in: As for `static_relative_std`.
        fan_out: As for `static_relative_std`.
        kurtosis: As for `static_relative_std`.
        factor: How many times more or less than predicted is left alone, 1 or more.
        standard_deviations: How much chance is left alone.
    """
    return max(
        math.log(factor), standard_deviations * static_relative_std(fan_in, fan_out, kurtosis)
    )
