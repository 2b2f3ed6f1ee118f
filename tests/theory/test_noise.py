import math

import numpy as np
import pytest

from keras_initcheck.theory.noise import (
    STATIC_FACTOR,
    largest_deviation,
    layer_log_variance,
    static_tolerance,
)


def simulate_log_gains(width, depth, num_networks, seed):
    """`ln(q_L / q_1)` of He-ReLU networks on one sample, `(networks,)`."""
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(num_networks, 1, width))
    first = np.mean(signal**2, axis=(1, 2))
    for _ in range(depth):
        weights = generator.normal(0.0, math.sqrt(2.0 / width), (num_networks, width, width))
        signal = np.maximum(signal, 0.0) @ weights
    return np.log(np.mean(signal**2, axis=(1, 2)) / first)


def polygamma(x):
    """`ψ(x)` and `ψ'(x)`, by their recurrences up to 20 and their asymptotic series there."""
    steps = np.arange(x, 20.0)
    x = steps[-1] + 1.0 if len(steps) else x
    digamma = math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4)
    trigamma = 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) - 1 / (30 * x**5)
    return digamma - np.sum(1 / steps), trigamma + np.sum(1 / steps**2)


def exact_log_ratio(width):
    """Mean and variance of `ln(q_l / q_(l-1))` of a He-ReLU layer on one sample, unless all its
    units are off.

    Given the layer before, pre-activations are independent Gaussians: `K ~ Bin(n, 1/2)` of them are
    on, the sum of their squares is chi-square with `K` degrees, and that of the next layer's with
    `n`; the sums over all units telescope.
    """
    active = np.arange(1, width + 1)
    weights = np.array([math.comb(width, count) / 2**width for count in active.tolist()])
    digamma, trigamma = np.transpose([polygamma(0.5 * count) for count in active.tolist()])
    weights /= weights.sum()
    mean = weights @ digamma
    return mean - math.log(width / 4), weights @ (trigamma + (digamma - mean) ** 2)


@pytest.mark.parametrize(
    ("width", "simulated"),
    [(16, 0.410), (64, 0.081), (256, 0.018), (1024, 0.0047)],
)
def test_layer_variance_is_that_of_simulated_deep_layers(width, simulated):
    # 11%, because the bracket is empirical and the simulation had a few hundred networks at most.
    assert layer_log_variance(width) == pytest.approx(simulated, rel=0.11)


def test_wide_square_relu_layers_have_five_over_n():
    assert layer_log_variance(1e6) == pytest.approx(5e-6, rel=1e-5)


def test_layer_variance_of_a_linear_layer_is_that_of_a_chi_square():
    # mean(y^2) of n independent normals has relative variance 2/n.
    assert layer_log_variance(1e6, activation_noise=0.0) == pytest.approx(2e-6, rel=1e-5)


def test_variance_of_simulated_networks_adds_up_over_layers():
    # The variance of 400 values has a standard error of 7%; three of them, since the tail is not
    # normal.
    gains = simulate_log_gains(width=32, depth=10, num_networks=400, seed=0)
    assert np.var(gains) == pytest.approx(10 * layer_log_variance(32), rel=0.21)


@pytest.mark.parametrize(("width", "depth", "num_networks"), [(16, 30, 1500), (32, 50, 500)])
def test_median_network_vanishes_with_depth_over_width(width, depth, num_networks):
    # Hanin & Rolnick 2018: both grow with sum 1/n. Three standard errors: of the mean sqrt(variance
    # / networks), of the variance relatively
    # sqrt(2 / networks), as of a normal distribution.
    gains, (mean, variance) = (
        simulate_log_gains(width, depth, num_networks, seed=2),
        exact_log_ratio(width),
    )
    assert np.mean(gains) == pytest.approx(
        depth * mean, abs=3 * math.sqrt(depth * variance / num_networks)
    )
    assert np.var(gains) == pytest.approx(depth * variance, rel=3 * math.sqrt(2 / num_networks))


@pytest.mark.parametrize("width", [16, 64, 256])
def test_layer_variance_is_the_exact_one(width):
    # 2.5%, because the bracket is empirical.
    assert layer_log_variance(width) == pytest.approx(exact_log_ratio(width)[1], rel=0.025)


@pytest.mark.parametrize(("width", "excess"), [(16, 0.163), (64, 0.050), (256, 0.013)])
def test_half_the_variance_is_more_than_the_mean_falls(width, excess):
    # It would be the fall of a log-normal ratio of mean one; the exact distribution is skew.
    assert layer_log_variance(width) / 2 / -exact_log_ratio(width)[0] - 1 == pytest.approx(
        excess, abs=5e-4
    )


def test_tolerance_of_a_small_kernel_is_the_scatter_of_drawn_ones():
    # A standard deviation from 4000 draws has a relative standard error of 1.1%.
    kernels = np.random.default_rng(2).normal(size=(4000, 12, 8))
    second_moments = np.mean(kernels**2, axis=(1, 2))
    measured = np.std(second_moments) / np.mean(second_moments)
    tolerance = static_tolerance(12 * 8, factor=1.0, standard_deviations=1.0)
    assert tolerance == pytest.approx(measured, rel=0.04)


def test_static_tolerance_of_a_large_kernel_is_a_factor_of_one_and_a_half():
    assert math.exp(static_tolerance(512 * 512)) == pytest.approx(1.5)


def test_static_tolerance_of_a_small_kernel_is_its_sampling_noise():
    assert static_tolerance(8) == pytest.approx(4.5 * 0.5)


def test_tolerances_meet_where_chance_makes_a_factor_of_one_and_a_half():
    # 4.5 sqrt(2 / N) = ln 1.5 at N = 246.3.
    assert static_tolerance(246) > math.log(STATIC_FACTOR)
    assert static_tolerance(247) == math.log(STATIC_FACTOR)


@pytest.mark.parametrize(("num", "level"), [(1, 0.01), (20, 0.01), (1000, 0.05)])
def test_largest_of_normal_numbers_stays_below_its_bound(num, level):
    # The probability in closed form, 1 - erf(x / sqrt(2))^num, and not looser than a twentieth.
    exceeded = 1.0 - math.erf(largest_deviation(num, level) / math.sqrt(2.0)) ** num
    assert level / 20.0 < exceeded <= level


def test_largest_deviation_by_default_has_a_level_of_one_percent():
    assert largest_deviation(50) == largest_deviation(50, 0.01) == pytest.approx(4.2919, abs=5e-5)
