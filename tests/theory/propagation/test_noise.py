import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.noise import AlphaDropout, Dropout, GaussianNoise
from keras_initcheck.theory.propagation.signal import ZERO, Signal

SHAPE = (400, 500)  # standard errors below 1%
ALPHA = -1.7580993408473766  # of keras.layers.AlphaDropout


@pytest.fixture
def signal(generator):
    return generator.normal(0.8, 1.2, SHAPE)


PREDICTED_FROM = Signal.from_moments(0.8, 1.44)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["element", "channel", "gaussian"])
def test_dropout(kind, rate, signal, generator, assert_predicts):
    multipliers = {
        "element": (generator.random(SHAPE) >= rate) / (1.0 - rate),
        "channel": (generator.random((4000, 1)) >= rate) / (1.0 - rate),
        "gaussian": generator.normal(1.0, math.sqrt(rate / (1.0 - rate)), SHAPE),
    }
    multiplier = multipliers[kind]
    # Whole channels scatter most: 4000 of them, of which a tenth is left, by 5%.
    assert_predicts(
        Dropout(rate).forward(PREDICTED_FROM),
        signal.reshape(multiplier.shape[0], -1) * multiplier,
        rel=0.1 if kind == "channel" else 0.03,
    )
    assert math.exp(Dropout(rate).log_gradient_factors()[0]) == pytest.approx(
        np.mean(multiplier**2), rel=0.1
    )


def test_gaussian_noise(signal, generator, assert_predicts):
    assert_predicts(
        GaussianNoise(0.7).forward(PREDICTED_FROM),
        signal + generator.normal(0.0, 0.7, SHAPE),
        rel=0.01,
    )


def test_gaussian_noise_is_all_that_is_left_of_zeros():
    assert GaussianNoise(0.7).forward(ZERO).second_moment == pytest.approx(0.49)
    assert GaussianNoise(0.7).log_gradient_factors(ZERO) == (0.0,)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout(rate, signal, generator, assert_predicts):
    # As keras.layers.AlphaDropout has it.
    kept = generator.random(SHAPE) >= rate
    scale = ((1 - rate) * (1 + rate * ALPHA**2)) ** -0.5
    assert_predicts(
        AlphaDropout(rate).forward(PREDICTED_FROM),
        scale * np.where(kept, signal, ALPHA) - scale * ALPHA * rate,
        rel=0.01,
    )
    assert math.exp(AlphaDropout(rate).log_gradient_factors()[0]) == pytest.approx(
        np.mean((scale * kept) ** 2), rel=0.01
    )


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_alpha_dropout_keeps_the_fixed_point_of_selu(rate):
    output = AlphaDropout(rate).forward(Signal(0.0))
    assert (output.mean, output.second_moment) == pytest.approx((0.0, 1.0), abs=1e-12)


def test_alpha_dropout_of_a_vanished_signal_is_its_own_noise():
    scale = ((1 - 0.1) * (1 + 0.1 * ALPHA**2)) ** -0.5
    assert AlphaDropout(0.1).forward(Signal(-3000.0)).second_moment == pytest.approx(
        scale**2 * ALPHA**2 * 0.1 * 0.9
    )
    assert AlphaDropout(0.1).forward(Signal(3000.0)).log_second_moment == pytest.approx(
        3000.0 + math.log(scale**2 * 0.9)
    )
