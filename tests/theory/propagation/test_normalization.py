import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.normalization import (
    RootMeanSquareNormalization,
    Standardization,
)
from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal

GROUPS, SIZE = 2000, 100  # Gaussian groups of 100: predictions miss terms of order 1/100


def standardize(x, epsilon):
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + epsilon)


def divide_by_rms(x, epsilon):
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + epsilon)


def measured_gradient_factor(function, x, generator):
    """Mean square of `J u` for random `u`: that of `J^T u` too, since both are the Frobenius norm
    of `J`, which is square.
    """
    step = 1e-5 * generator.normal(size=x.shape)
    return np.mean((function(x + step) - function(x - step)) ** 2) / np.mean((2.0 * step) ** 2)


@pytest.fixture
def signal(generator):
    return generator.normal(2.0, 0.5, (GROUPS, SIZE))


PREDICTED_FROM = Signal.from_moments(2.0, 0.25)


@pytest.mark.parametrize("epsilon", [1e-3, 0.25])
def test_standardization_of_simulated_groups(epsilon, signal, generator, assert_predicts):
    gamma, beta = generator.normal(1.0, 0.5, SIZE), generator.normal(0.4, 0.3, SIZE)
    rule = Standardization(epsilon, np.mean(gamma**2), beta.mean(), np.mean(beta**2))
    assert_predicts(
        rule.forward(PREDICTED_FROM), gamma * standardize(signal, epsilon) + beta, rel=0.01
    )
    measured = measured_gradient_factor(
        lambda x: gamma * standardize(x, epsilon), signal, generator
    )
    assert math.exp(rule.log_gradient_factors(PREDICTED_FROM)[0]) == pytest.approx(
        measured, rel=0.03
    )


@pytest.mark.parametrize("epsilon", [1e-6, 4.0])
def test_rms_normalization_of_simulated_groups(epsilon, signal, generator, assert_predicts):
    gamma = generator.normal(1.0, 0.5, SIZE)
    rule = RootMeanSquareNormalization(epsilon, gamma.mean(), np.mean(gamma**2))
    assert_predicts(rule.forward(PREDICTED_FROM), gamma * divide_by_rms(signal, epsilon), rel=0.01)
    measured = measured_gradient_factor(
        lambda x: gamma * divide_by_rms(x, epsilon),
        generator.normal(0.0, 2.0, (GROUPS, SIZE)),
        generator,
    )
    assert math.exp(rule.log_gradient_factors(Signal.from_moments(0.0, 4.0))[0]) == pytest.approx(
        measured, rel=0.03
    )


def test_unit_normalization_of_simulated_groups(signal, generator, assert_predicts):
    rule = RootMeanSquareNormalization.unit(SIZE)
    assert_predicts(
        rule.forward(PREDICTED_FROM),
        signal / np.linalg.norm(signal, axis=1, keepdims=True),
        rel=0.01,
    )


def test_batch_normalization_removes_the_variance_between_units(generator, assert_predicts):
    # Rows are units: each has its own mean over the batch, so that 1/5 of the variance is within.
    # Epsilon is as large as that.
    units = generator.normal(0.0, 2.0, (GROUPS, 1)) + generator.normal(0.0, 1.0, (GROUPS, SIZE))
    rule, signal = Standardization(epsilon=1.0, within_share=0.2), Signal.from_moments(0.0, 5.0)
    assert_predicts(rule.forward(signal), standardize(units, 1.0), rel=0.03)
    measured = measured_gradient_factor(lambda x: standardize(x, 1.0), units, generator)
    assert math.exp(rule.log_gradient_factors(signal)[0]) == pytest.approx(measured, rel=0.03)


def test_scale_is_set_anew_where_the_signal_is_unknown():
    rule = Standardization(1e-3, gamma_second_moment=4.0, beta_mean=1.0, beta_second_moment=1.0)
    assert rule.forward(UNKNOWN).second_moment == pytest.approx(5.0)
    assert RootMeanSquareNormalization(1e-3, 2.0, 4.0).forward(
        UNKNOWN
    ).second_moment == pytest.approx(4.0)
    assert math.isnan(rule.log_gradient_factors(UNKNOWN)[0])


@pytest.mark.parametrize("rule", [Standardization(1e-3), RootMeanSquareNormalization(1e-3)])
def test_vanished_signal_is_lost_in_epsilon(rule):
    assert rule.forward(ZERO) == ZERO
    assert rule.forward(Signal(-500.0)).log_second_moment == pytest.approx(-500.0 - math.log(1e-3))
    assert rule.log_gradient_factors(Signal(-500.0))[0] == pytest.approx(-math.log(1e-3))


@pytest.mark.parametrize("rule", [Standardization(1e-3), RootMeanSquareNormalization(1e-3)])
def test_exploded_signal_is_restored_and_its_gradient_divided(rule):
    assert rule.forward(Signal(3000.0)).second_moment == pytest.approx(1.0)
    assert rule.log_gradient_factors(Signal(3000.0))[0] == pytest.approx(-3000.0)


def test_gamma_of_zero_passes_nothing():
    rule = Standardization(1e-3, gamma_second_moment=0.0)
    assert rule.forward(Signal(0.0)) == ZERO
    assert rule.log_gradient_factors(Signal(0.0)) == (-math.inf,)
