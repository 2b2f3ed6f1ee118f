import math

import pytest

from keras_initcheck.theory.propagation.signal import (
    UNKNOWN,
    ZERO,
    Signal,
    common_scale,
    exponential,
    log_sum,
    logarithm,
)


def test_mean_and_variance_make_the_second_moment():
    signal = Signal.from_moments(mean=-3.0, variance=16.0)
    assert (signal.second_moment, signal.mean) == pytest.approx((25.0, -3.0))
    assert math.exp(signal.log_variance) == pytest.approx(16.0)


@pytest.mark.parametrize("log_scale", [-3000.0, 3000.0])
def test_scale_beyond_floats_keeps_its_logarithm(log_scale):
    signal = Signal.from_moments(mean=1.0, variance=3.0, log_scale=log_scale)
    assert signal.log_second_moment == pytest.approx(log_scale + math.log(4.0))
    assert signal.scaled(log_scale) == pytest.approx((1.0, 3.0))


def test_second_moment_beyond_floats_is_infinite():
    signal = Signal.from_moments(mean=-1.0, variance=0.0, log_scale=3000.0)
    assert (signal.second_moment, signal.mean) == (math.inf, -math.inf)


def test_tiny_variance_beside_a_mean_is_kept():
    signal = Signal.from_moments(mean=1.0, variance=1e-40)
    assert math.exp(signal.log_variance) == pytest.approx(1e-40)


def test_zeros_have_no_scale():
    assert Signal.from_moments(0.0, 0.0) == ZERO
    assert (ZERO.second_moment, ZERO.mean, ZERO.scaled(0.0), common_scale([ZERO])) == (
        0.0,
        0.0,
        (0.0, 0.0),
        0.0,
    )


def test_unknown_is_a_value_of_its_own():
    assert not UNKNOWN.is_known
    assert ZERO.is_known and Signal.from_moments(1.0, 1.0, 3000.0).is_known


def test_negative_variance_is_refused():
    with pytest.raises(
        ValueError,
        match=r"must not be negative\. Received: variance=-1\.0\. Pass `E\[x²\] - mean²`\.",
    ):
        Signal.from_moments(0.0, -1.0)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        pytest.param([1000.0, 1000.0], 1000.0 + math.log(2.0), id="beyond floats"),
        pytest.param([], -math.inf, id="nothing"),
        pytest.param([-math.inf, 1.0], 1.0, id="zero"),
        pytest.param([math.inf, 1.0], math.inf, id="infinite"),
        pytest.param([1.0, math.nan], math.nan, id="unknown"),
        pytest.param([math.inf, math.nan], math.nan, id="unknown and infinite"),
    ],
)
def test_log_sum(terms, expected):
    assert log_sum(terms) == pytest.approx(expected, nan_ok=True)


def test_logarithm_of_zero_and_exponential_beyond_floats_are_infinite():
    assert (logarithm(0.0), logarithm(1.0)) == (-math.inf, 0.0)
    assert (exponential(710.0), exponential(-math.inf)) == (math.inf, 0.0)
    assert exponential(709.0) == math.exp(709.0)
