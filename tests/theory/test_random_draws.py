"""Tests of draws keep what they promise: false alarms by chance, and power against other draws."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_initcheck.theory.random_draws import (
    DISTRIBUTIONS,
    TRUNCATED_DEVIATION,
    are_drawn_from,
    distance,
    identify,
    largest_distance,
    second_moment_band,
)

PARENTS = {
    "normal": stats.norm(),
    "truncated normal": stats.truncnorm(
        -2, 2, scale=1 / stats.truncnorm(-2, 2).std()
    ),  # cut before it is scaled
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
}


def draws(family, shape, seed=0):
    return PARENTS[family].rvs(size=shape, random_state=np.random.default_rng(seed))


def passes(z, family, level):
    facts = {"num": len(z), "mean": z.mean(), "second_moment": np.mean(z**2), "level": level}
    return are_drawn_from(z, family, **facts)


def test_deviation_of_a_cut_normal():
    assert pytest.approx(stats.truncnorm(-2, 2).std(), abs=1e-9) == TRUNCATED_DEVIATION


@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_distributions_are_those_of_scipy(family):
    z = np.linspace(-4, 4, 81)
    assert DISTRIBUTIONS[family](z) == pytest.approx(PARENTS[family].cdf(z), abs=1e-9)


@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_distance_is_that_of_scipy(family):
    z = draws(family, 300)
    assert distance(z, family) == pytest.approx(stats.kstest(z, PARENTS[family].cdf).statistic)


@pytest.mark.parametrize("num", [1, 10, 1000])
def test_largest_distance_is_exceeded_as_rarely_as_promised(num):
    assert stats.kstwo(num).sf(largest_distance(num, 0.01)) <= 0.01


@pytest.mark.parametrize("num", [1, 10, 1000, 10**6])
@pytest.mark.parametrize("level", [0.05, 1e-6])
def test_second_moment_leaves_its_band_as_rarely_as_promised(num, level):
    low, high = second_moment_band(num, level)
    chi2 = stats.chi2(num)
    assert chi2.sf(num * high) <= level / 2
    assert chi2.cdf(num * low) <= level / 2


@pytest.mark.parametrize("num", [3, 10, 100, 3000])
@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_true_draws_are_refused_as_rarely_as_promised(family, num):
    refused = sum(not passes(z, family, 0.1) for z in draws(family, (400, num)))
    assert refused <= stats.binom(400, 0.1).ppf(0.999)


@pytest.mark.parametrize("factor", [0.8, 1.25])
@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_other_size_is_refused(family, factor):
    assert not passes(factor * draws(family, 2000), family, 1e-6)


def test_other_mean_is_refused():
    assert not passes(draws("normal", 2000) + 0.2, "normal", 1e-6)


def test_other_shape_of_the_same_size_is_refused():
    assert not passes(draws("uniform", 2**14), "normal", 1e-6)


def test_rounding_widens_every_bound():
    z = np.round(draws("uniform", 2**14) * 16) / 16
    shift = 1 / 16
    assert not passes(z + shift, "uniform", 1e-3)
    facts = {"num": len(z), "mean": z.mean() + shift, "second_moment": np.mean((z + shift) ** 2)}
    assert are_drawn_from(z + shift, "uniform", level=1e-3, rounding=shift, **facts)


@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_family_is_identified_whatever_its_size(family):
    assert identify(3.0 + 0.01 * draws(family, 5000)) == family


def test_no_family_is_identified():
    assert identify(np.random.default_rng(0).standard_t(3, size=2000)) is None
    assert identify(np.ones(100)) is None
