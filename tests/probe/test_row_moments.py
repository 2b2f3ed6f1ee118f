"""Rows on the host, read as moments: numbers that are known without the code."""

import numpy as np
import pytest

from keras_initcheck.probe.tap import row_moments
from keras_initcheck.records.measurement import MEAN, SECOND_MOMENT, SIZE, VARIANCE, to_moments

SCALE = 2.0**15
"""By what a `LossScaleOptimizer` begins with: a power of two, so that dividing by it is exact."""


def test_scaled_gradient_has_the_moments_of_the_gradient():
    gradient = np.array([1.0, 2.0, 3.0, 6.0])
    scaled = gradient * SCALE
    block = np.array([[(scaled**2).mean(), 1.0]])
    (row,) = row_moments.fast_gradient_moments(block, np.array([4.0]), SCALE)
    assert row[[SECOND_MOMENT, SIZE]].tolist() == [12.5, 4.0]
    assert np.isnan(row[[MEAN, VARIANCE]]).all()


def test_gradient_that_reached_nothing_is_no_gradient_and_a_weight_of_zeros_is_a_weight():
    block, sizes = np.zeros((1, 2)), np.array([4.0])
    (gradient,) = row_moments.fast_gradient_moments(block, sizes)
    (weight,) = row_moments.fast_weight_moments(block, sizes)
    assert to_moments(gradient) is None
    assert to_moments(weight).second_moment == 0.0


def test_share_between_samples_is_of_the_units_means():
    samples = np.array([[1.0, 5.0], [3.0, 7.0]])  # means of the units 2 and 6, 1 around each
    second, of_unit_means = (samples**2).mean(), (samples.mean(axis=0) ** 2).mean()
    block = np.array([[second, samples.mean(), second, of_unit_means, 0.0]])
    (row,) = row_moments.fast_signal_moments(block, np.array([4.0]))
    assert to_moments(row).batch_share == pytest.approx(1.0 / samples.var(), rel=1e-12)  # float64


def test_sample_tells_which_part_of_the_second_moment_is_the_mean_s():
    sample = np.array([1.0, 1.0, 3.0, 3.0])  # mean 2, variance 1: four fifths are the mean's
    block = np.array([[500.0, sample.mean(), (sample**2).mean(), 4.0, 0.0]])
    (row,) = row_moments.fast_signal_moments(block, np.array([4.0]))
    assert row[[MEAN, VARIANCE, SECOND_MOMENT]] == pytest.approx([20.0, 100.0, 500.0])


def test_sample_of_zeros_alone_says_nothing_of_the_mean():
    (row,) = row_moments.fast_signal_moments(np.array([[0.5, 0.0, 0.0, 0.0, 1.0]]), np.array([4.0]))
    assert row[[MEAN, VARIANCE, SECOND_MOMENT]].tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("second_moment", "share_zero", "is_right"),
    [
        (1.0, 0.0, True),
        (1e-31, 0.0, False),
        (1e31, 0.0, False),
        (0.0, 0.5, False),
        (0.0, 1.0, True),
    ],
)
def test_fast_signal_is_right_within_float32_s_range(second_moment, share_zero, is_right):
    block = np.array([[second_moment, 0.0, 0.0, 0.0, share_zero]])
    assert row_moments.are_signals_reliable(block) is is_right
