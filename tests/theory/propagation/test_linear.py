import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.linear import (
    IDENTITY,
    Affine,
    Cropping,
    Embedding,
    Repeat,
    Weight,
    ZeroPadding,
    significant_mean,
)
from keras_initcheck.theory.propagation.padding import conv_border
from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal


def gradient_factor(rule, *signals):
    return math.exp(rule.log_gradient_factors(*signals)[0])


def same_conv_matrix(kernel, size):
    """A 1D convolution with 'same' padding as a matrix `(size * channels, size * filters)`."""
    length, channels, filters = kernel.shape
    matrix = np.zeros((size + length - 1, channels, size, filters))
    for position in range(size):
        matrix[position : position + length, :, position] = kernel
    return matrix[length // 2 : length // 2 + size].reshape(size * channels, size * filters)


def test_dense_layer_with_means_everywhere(generator, assert_predicts):
    # The mean of 400 inputs scatters by 5% of their deviation; 32 samples share the weights.
    weights, bias = generator.normal(0.03, 0.05, (400, 2000)), generator.normal(0.5, 0.2, 2000)
    signal = generator.normal(1.0, 1.0, (32, 400))
    rule = Weight(400, 2000, np.mean(weights**2), np.mean(weights), np.mean(bias), np.mean(bias**2))
    assert_predicts(
        rule.forward(Signal.from_moments(signal.mean(), signal.var())),
        signal @ weights + bias,
        rel=0.02,
    )


def test_weights_of_zero_mean_keep_no_mean(generator, assert_predicts):
    weights, signal = generator.normal(0.0, 0.1, (400, 2000)), generator.normal(1.0, 1.0, (32, 400))
    rule = Weight(400, 2000, np.mean(weights**2))
    assert_predicts(rule.forward(Signal.from_moments(1.0, 1.0)), signal @ weights, rel=0.03)


def test_gradient_through_a_kernel(generator):
    weights, gradient = generator.normal(0.0, 0.1, (400, 700)), generator.normal(size=(64, 700))
    measured = np.mean((gradient @ weights.T) ** 2) / np.mean(gradient**2)
    assert gradient_factor(Weight(400, 700, np.mean(weights**2))) == pytest.approx(
        measured, rel=0.03
    )


def test_convolution_with_a_border(generator):
    # Every position takes part alike; 2% from 30 * 40 * 3 weights and 60 samples.
    kernel = generator.normal(size=(3, 30, 40))
    matrix, border = same_conv_matrix(kernel, 5), conv_border((5,), (3,), (1,), "same")
    rule = Weight(3 * 30, 3 * 40, np.mean(kernel**2), border=border)
    signal, gradient = generator.normal(size=(60, 150)), generator.normal(size=(60, 200))
    assert rule.forward(Signal(0.0)).second_moment == pytest.approx(
        np.mean((signal @ matrix) ** 2), rel=0.04
    )
    assert gradient_factor(rule) == pytest.approx(np.mean((gradient @ matrix.T) ** 2), rel=0.04)


def test_kernel_multiplies_beyond_floats():
    signal = Signal(5000.0)
    assert Weight(100, 100, 1.0, bias_second_moment=1.0).forward(
        signal
    ).log_second_moment == pytest.approx(5000.0 + math.log(100.0))


@pytest.mark.parametrize("signal", [ZERO, Signal(-5000.0)], ids=["zeros", "vanished"])
def test_bias_alone_is_left_of_a_vanished_signal(signal):
    output = Weight(100, 100, 1.0, bias_mean=0.5, bias_second_moment=0.5).forward(signal)
    assert (output.mean, output.second_moment) == pytest.approx((0.5, 0.5))


def test_kernel_of_zeros_makes_zeros():
    assert Weight(100, 100, 0.0).forward(Signal(0.0)) == ZERO
    assert Weight(100, 100, 0.0).log_gradient_factors(Signal(0.0)) == (-math.inf,)


def test_mean_counts_from_four_and_a_half_standard_errors_on():
    assert significant_mean(0.044, 1.0, 10_000) == 0.0
    assert significant_mean(-0.046, 1.0, 10_000) == -0.046


def test_embedding_does_not_ask_what_comes_in(generator, assert_predicts):
    table = generator.normal(0.3, 0.7, (500, 16))
    rule = Embedding(table.mean(), np.mean(table**2))
    assert_predicts(rule.forward(UNKNOWN), table[generator.integers(0, 500, 20_000)], rel=0.01)
    assert rule.log_gradient_factors(UNKNOWN) == (-math.inf,)


def test_affine_with_random_scales_and_offsets(generator, assert_predicts):
    scale, offset, signal = (
        generator.normal(0.5, 0.3, 20_000),
        generator.normal(-1.0, 0.4, 20_000),
        generator.normal(2.0, 1.0, (20, 20_000)),
    )
    rule = Affine(scale.mean(), np.mean(scale**2), offset.mean(), np.mean(offset**2))
    assert_predicts(rule.forward(Signal.from_moments(2.0, 1.0)), scale * signal + offset, rel=0.02)
    assert gradient_factor(rule) == pytest.approx(
        np.mean((scale * generator.normal(size=(20, 20_000))) ** 2), rel=0.02
    )


def test_affine_of_zeros_is_its_offset():
    assert Affine.constant(3.0, -2.0).forward(ZERO).mean == pytest.approx(-2.0)


def test_identity_keeps_signal_and_gradient():
    signal = Signal.from_moments(1.0, 2.0, 4000.0)
    output = IDENTITY.forward(signal)
    assert (output.log_second_moment, output.relative_mean) == pytest.approx(
        (signal.log_second_moment, signal.relative_mean)
    )
    assert gradient_factor(IDENTITY) == 1.0


def test_copies_add_their_gradients(generator):
    gradient = generator.normal(size=(20_000, 4))  # of the four copies of each element
    assert gradient_factor(Repeat(4)) == pytest.approx(np.mean(gradient.sum(axis=1) ** 2), rel=0.04)


def test_zero_padding(generator, assert_predicts):
    padded = np.pad(generator.normal(1.0, 1.0, (2000, 6)), ((0, 0), (1, 3)))
    rule = ZeroPadding(kept=0.6)
    assert_predicts(rule.forward(Signal.from_moments(1.0, 1.0)), padded, rel=0.03)
    assert (gradient_factor(rule), rule.forward(ZERO)) == (1.0, ZERO)


def test_cropping_keeps_the_signal_and_a_share_of_the_gradient():
    assert Cropping(kept=0.25).forward(Signal(1.0)) == Signal(1.0)
    assert gradient_factor(Cropping(kept=0.25)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "rule",
    [
        Weight(4, 4, 1.0, bias_second_moment=1.0),
        IDENTITY,
        Repeat(2),
        ZeroPadding(0.5),
        Cropping(0.5),
    ],
)
def test_unknown_signal_stays_unknown_and_its_gradient_does_not(rule):
    assert not rule.forward(UNKNOWN).is_known
    assert math.isfinite(rule.log_gradient_factors(UNKNOWN)[0])
