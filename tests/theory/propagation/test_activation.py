import math

import numpy as np
import pytest

from keras_initcheck.theory.activations import numpy_activation
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal

RELU = Activation(numpy_activation("relu"))
SIGMOID = Activation(numpy_activation("sigmoid"))
TANH = Activation(numpy_activation("tanh"))


def log_gradient_factor(rule, signal):
    return rule.log_gradient_factors(signal)[0]


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "sigmoid", "selu"])
@pytest.mark.parametrize("mean", [-0.7, 0.0, 1.5])
def test_activation_of_a_simulated_gaussian(name, mean, generator, assert_predicts):
    # Standard error of E f² from 100 000 values: below 1%.
    function, signal = numpy_activation(name), generator.normal(mean, 1.3, 100_000)
    rule, predicted_from = Activation(function), Signal.from_moments(mean, 1.3**2)
    assert_predicts(rule.forward(predicted_from), function(signal), rel=0.02)
    slope = (function(signal + 1e-6) - function(signal - 1e-6)) / 2e-6
    assert math.exp(log_gradient_factor(rule, predicted_from)) == pytest.approx(
        np.mean(slope**2), rel=0.02
    )


@pytest.mark.parametrize("log_q", [-2000.0, -300.0, 300.0, 2000.0])
def test_relu_halves_at_every_scale(log_q):
    assert RELU.forward(Signal(log_q)).log_second_moment == pytest.approx(
        log_q - math.log(2.0), abs=1e-6
    )
    assert log_gradient_factor(RELU, Signal(log_q)) == pytest.approx(-math.log(2.0), abs=1e-6)


def test_tanh_of_an_exploded_signal_is_a_step():
    # E tanh'² of N(0, q) is (4/3) / sqrt(2 pi q) for large q.
    assert TANH.forward(Signal(2000.0)).second_moment == pytest.approx(1.0)
    assert log_gradient_factor(TANH, Signal(2000.0)) == pytest.approx(
        math.log(4.0 / 3.0 / math.sqrt(2.0 * math.pi)) - 1000.0, abs=1e-3
    )


def test_tanh_of_a_vanished_signal_is_linear():
    assert TANH.forward(Signal(-2000.0)).log_second_moment == pytest.approx(-2000.0, abs=1e-6)
    assert log_gradient_factor(TANH, Signal(-2000.0)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("variance", [1e-6, 1e-20, 1e-60])
def test_small_deviation_from_a_mean_is_multiplied_by_the_slope(variance):
    slope = 1.0 / (2.0 * math.cosh(0.5)) ** 2
    signal = Signal.from_moments(1.0, variance)
    assert SIGMOID.forward(signal).log_variance == pytest.approx(
        math.log(slope**2 * variance), abs=1e-3
    )
    assert log_gradient_factor(SIGMOID, signal) == pytest.approx(2.0 * math.log(slope), abs=1e-3)


def test_constant_signal_gives_a_constant():
    output = SIGMOID.forward(Signal.from_moments(1.0, 0.0))
    assert (output.mean, output.variance_share) == (
        pytest.approx(1.0 / (1.0 + math.exp(-1.0))),
        0.0,
    )


def test_zeros_give_the_activation_of_zero():
    assert RELU.forward(ZERO) == ZERO
    assert SIGMOID.forward(ZERO).mean == pytest.approx(0.5)
    assert log_gradient_factor(SIGMOID, ZERO) == pytest.approx(math.log(1.0 / 16.0), abs=1e-4)


def test_dead_relu_is_zero():
    dead = Signal.from_moments(-100.0, 1.0)
    assert RELU.forward(dead) == ZERO
    assert log_gradient_factor(RELU, dead) == -math.inf


def test_unknown_signal_stays_unknown():
    assert not RELU.forward(UNKNOWN).is_known
    assert math.isnan(log_gradient_factor(RELU, UNKNOWN))
