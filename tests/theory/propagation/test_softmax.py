import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal
from keras_initcheck.theory.propagation.softmax import Softmax, softmax_moments


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("num_units", [2, 7, 50])
@pytest.mark.parametrize("std", [0.3, 1.0, 3.0])
def test_moments_of_simulated_logits(num_units, std, generator):
    # Standard errors from 6000 rows and more: up to 1.5%.
    logits, gradient = generator.normal(0.0, 1.0, (2, 300_000 // num_units, num_units))
    shares = softmax(4.0 + std * logits)
    to_logits = shares * (gradient - (shares * gradient).sum(axis=1, keepdims=True))
    found = softmax_moments(num_units, std**2)
    assert found.second_moment == pytest.approx(np.mean(shares**2), rel=0.03)
    assert found.gradient_factor == pytest.approx(np.mean(to_logits**2), rel=0.05)


@pytest.mark.parametrize("variance", [0.25, 1.0, 2.0])
def test_many_units_have_the_log_normal_moment(variance):
    assert softmax_moments(1_000_000, variance).second_moment * 1e12 == pytest.approx(
        math.exp(variance), rel=1e-3
    )


def test_equal_logits_share_alike():
    found = softmax_moments(10, 0.0)
    assert (found.second_moment, found.gradient_factor) == pytest.approx((0.01, 0.01 * 0.9))


def test_one_unit_has_it_all():
    assert Softmax(1).forward(Signal(0.0)).mean == 1.0
    assert Softmax(1).log_gradient_factors(Signal(0.0)) == (-math.inf,)


def test_exploded_logits_pick_one():
    # 1/n, less what near ties take.
    assert (
        softmax_moments(10, 1e30).second_moment
        == softmax_moments(10, 100.0).second_moment
        == pytest.approx(0.1, rel=0.2)
    )


def test_rule_does_not_ask_for_the_mean_of_the_logits():
    of_centered, of_shifted = (
        Softmax(10).forward(Signal(0.0)),
        Softmax(10).forward(Signal.from_moments(50.0, 1.0)),
    )
    assert of_centered.second_moment == pytest.approx(of_shifted.second_moment)
    assert of_centered.mean == pytest.approx(0.1)


def test_softmax_of_zeros_and_of_the_unknown():
    assert Softmax(10).forward(ZERO).second_moment == pytest.approx(0.01)
    assert not Softmax(10).forward(UNKNOWN).is_known
    assert math.isnan(Softmax(10).log_gradient_factors(UNKNOWN)[0])
