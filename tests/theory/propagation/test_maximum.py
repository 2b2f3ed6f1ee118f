import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.maximum import (
    largest_gaussian,
    rectified_moments,
    unrectified_mean,
)


def clark(means, variances):
    """Mean, second moment and the first one's share of the larger of two Gaussians (Clark 1961,
    equations 2 and 3).
    """
    distance = math.sqrt(sum(variances))
    ratio = (means[0] - means[1]) / distance
    share, edge = (
        0.5 * math.erfc(-ratio / math.sqrt(2.0)),
        math.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi),
    )
    squares = [mean**2 + variance for mean, variance in zip(means, variances, strict=True)]
    mean = means[0] * share + means[1] * (1 - share) + distance * edge
    return mean, squares[0] * share + squares[1] * (1 - share) + sum(means) * distance * edge, share


@pytest.mark.parametrize(
    ("means", "variances"),
    [
        pytest.param([0.0, 0.0], [1.0, 1.0], id="alike"),
        pytest.param([1.0, -0.5], [0.3, 2.0], id="unlike"),
        pytest.param([0.0, 0.5], [1.0, 1e-8], id="of unlike scales"),
        pytest.param([3.0, -3.0], [0.01, 0.01], id="far apart"),
    ],
)
def test_larger_of_two_is_that_of_clark(means, variances):
    largest = largest_gaussian(means, variances)
    mean, second_moment, share = clark(means, variances)
    assert (largest.mean, largest.mean**2 + largest.variance) == pytest.approx(
        (mean, second_moment), rel=1e-9
    )
    assert largest.winning_probabilities() == pytest.approx([share, 1 - share], abs=1e-9)


@pytest.mark.parametrize(
    ("count", "mean", "variance", "second_moment"),
    [(1, 0.0, 1.0, 1.0), (4, 1.02938, 0.49172, 1.55133), (9, 1.48501, 0.35735, 2.56262)],
)
def test_largest_of_many_standard_normals(count, mean, variance, second_moment):
    # Order statistics of the normal distribution, to five decimals.
    largest = largest_gaussian([0.0], [1.0], [count])
    assert (largest.mean, largest.variance) == pytest.approx((mean, variance), abs=1e-5)
    assert largest.mean**2 + largest.variance == pytest.approx(second_moment, abs=1e-5)


def test_larger_of_two_constants_is_the_larger():
    largest = largest_gaussian([1.0, 2.0], [0.0, 0.0])
    assert (largest.mean, largest.variance) == pytest.approx(
        (2.0, 0.0), abs=1e-7
    )  # Gaussians of standard deviation 1e-8


@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.7])
def test_rectified_moments_of_a_simulated_gaussian(mean, generator):
    sample = np.maximum(generator.normal(mean, 1.5, 1_000_000), 0.0)
    first, second = rectified_moments(np.array([mean]), 1.5)
    assert (first[0], second[0]) == pytest.approx((sample.mean(), np.mean(sample**2)), rel=0.01)


def test_rectified_constant_is_its_positive_part():
    first, second = rectified_moments(np.array([-1.0, 3.0]), 0.0)
    assert (first.tolist(), second.tolist()) == ([0.0, 3.0], [0.0, 9.0])


@pytest.mark.parametrize("mean", [-5.0, -0.3, 0.0, 2.0, 30.0])
def test_gaussian_is_found_from_its_rectified_part(mean):
    first, second = rectified_moments(np.array([mean]), 1.0)
    assert unrectified_mean(first[0] / math.sqrt(second[0])) == pytest.approx(
        mean, rel=1e-6, abs=1e-6
    )
