"""Merge rules for random operands against samples, within six standard errors of the samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initcheck.theory.propagation.merge import Concatenate, Maximum, Multiply, Sum
from keras_initcheck.theory.propagation.signal import Signal

NUM_SAMPLES = 20_000
STANDARD_ERRORS = 6.0  # one false alarm in 5e8 normal numbers, and the tails here are heavier
NOISE = np.random.default_rng(0).normal(size=(4, NUM_SAMPLES))

operands = st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(0.05, 3.0)), min_size=2, max_size=4)


def signals_of(operands):
    return [Signal.from_moments(mean, std**2) for mean, std in operands]


def samples_of(operands):
    means, stds = np.transpose(operands)[:, :, None]
    return means + stds * NOISE[: len(operands)]


def assert_mean(samples, expected, slack=0.0):
    """The expected value is the samples' mean within their own standard error."""
    error = STANDARD_ERRORS * np.std(samples) / math.sqrt(samples.size)
    assert np.mean(samples) == pytest.approx(expected, abs=error + slack)


def assert_moments(samples, signal):
    assert_mean(samples, signal.mean, slack=1e-9)
    assert_mean(samples**2, signal.second_moment, slack=1e-9)
    assert signal.variance_share == pytest.approx(1.0 - signal.relative_mean**2, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(operands, st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4))
def test_sum_has_the_moments_of_summed_samples(operands, coefficients):
    chosen = tuple(coefficients[: len(operands)])
    assert_moments(
        np.array(chosen) @ samples_of(operands), Sum(chosen).forward(*signals_of(operands))
    )


@settings(max_examples=80, deadline=None)
@given(operands)
def test_product_has_the_moments_of_multiplied_samples(operands):
    samples, signals = samples_of(operands), signals_of(operands)
    assert_moments(samples.prod(axis=0), Multiply().forward(*signals))
    for index, factor in enumerate(Multiply().log_gradient_factors(*signals)):
        others = np.delete(samples, index, axis=0).prod(axis=0)
        assert_mean(others**2, math.exp(factor))


@settings(max_examples=80, deadline=None)
@given(operands, st.booleans())
def test_maximum_has_the_moments_of_the_largest_samples(operands, is_minimum):
    samples, signals, rule = samples_of(operands), signals_of(operands), Maximum(is_minimum)
    extreme = samples.min(axis=0) if is_minimum else samples.max(axis=0)
    assert_moments(extreme, rule.forward(*signals))
    shares = [math.exp(factor) for factor in rule.log_gradient_factors(*signals)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)
    for sample, share in zip(samples, shares, strict=True):
        assert_mean((sample == extreme).astype(float), share, slack=10.0 / NUM_SAMPLES)


@settings(max_examples=80, deadline=None)
@given(operands, st.lists(st.integers(1, 9), min_size=4, max_size=4))
def test_concatenation_has_the_moments_of_joined_samples(operands, sizes):
    chosen = tuple(sizes[: len(operands)])
    repeated = np.repeat(samples_of(operands), chosen, axis=0)
    signal = Concatenate(tuple(map(float, chosen))).forward(*signals_of(operands))
    # Repeated samples are no independent ones: the error is that of the rows before.
    for values, expected in ((repeated, signal.mean), (repeated**2, signal.second_moment)):
        error = STANDARD_ERRORS * values.std(axis=1).max() / math.sqrt(NUM_SAMPLES)
        assert values.mean() == pytest.approx(expected, abs=error + 1e-9)


@settings(max_examples=100, deadline=None)
@given(operands, st.floats(-300.0, 300.0))
def test_rules_are_homogeneous_at_every_scale(operands, log_scale):
    signals = signals_of(operands)
    scaled = [
        Signal(each.log_second_moment + log_scale, each.relative_mean, each.variance_share)
        for each in signals
    ]
    rules = Sum(), Concatenate((1.0,) * len(signals)), Maximum()
    for rule in rules:
        unit, huge = rule.forward(*signals), rule.forward(*scaled)
        assert huge.log_second_moment - log_scale == pytest.approx(unit.log_second_moment, abs=1e-9)
        assert huge.relative_mean == pytest.approx(unit.relative_mean, abs=1e-9)
