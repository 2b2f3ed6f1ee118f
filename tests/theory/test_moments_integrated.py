"""Moments of random signals against scipy's quadrature over pieces without kinks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from keras_initcheck.theory.activations import activation_moments, numpy_activation

KINKS = {
    "relu": (0.0,),
    "relu6": (0.0, 6.0),
    "leaky_relu": (0.0,),
    "elu": (0.0,),
    "selu": (0.0,),
    "hard_tanh": (-1.0, 1.0),
    "hard_sigmoid": (-3.0, 3.0),
    "hard_silu": (-3.0, 3.0),
    "soft_shrink": (-0.5, 0.5),
    "sparse_plus": (-1.0, 1.0),
    "tanh": (),
    "sigmoid": (),
    "gelu": (),
    "silu": (),
    "mish": (),
    "softplus": (),
    "softsign": (0.0,),
    "squareplus": (),
    "tanh_shrink": (),
}
REACH = 10.0  # standard deviations

names = st.sampled_from(sorted(KINKS))
stds, offsets = st.floats(0.05, 5.0), st.floats(-3.0, 3.0)  # an offset is mean / std


def expect(function, mean, std, kinks):
    """`E function(z)` of `z ~ N(mean, std²)`, piece by piece."""
    low, high = mean - REACH * std, mean + REACH * std
    edges = np.linspace(low, high, 11).tolist()
    edges = sorted({*edges, *(kink for kink in kinks if low < kink < high)})

    def integrand(z):
        return function(z) * norm.pdf(z, mean, std)

    return math.fsum(
        quad(integrand, *piece, epsabs=1e-13, epsrel=1e-11)[0]
        for piece in itertools.pairwise(edges)
    )


def scalar(name):
    function = numpy_activation(name)
    return lambda z: float(function(np.array([z]))[0])


@settings(max_examples=12, deadline=None)
@given(names, offsets, stds)
def test_mean_and_second_moment_are_scipy_s(name, offset, std):
    mean = offset * std
    function, kinks = scalar(name), KINKS[name]
    found = activation_moments(numpy_activation(name), mean**2 + std**2, mean)
    second_moment = expect(lambda z: function(z) ** 2, mean, std, kinks)
    assert found.second_moment == pytest.approx(second_moment, rel=1e-8)
    root = math.sqrt(second_moment)
    assert found.mean == pytest.approx(expect(function, mean, std, kinks), abs=1e-8 * root + 1e-15)


@settings(max_examples=12, deadline=None)
@given(names, offsets, stds)
def test_slope_is_that_of_difference_quotients(name, offset, std):
    mean = offset * std
    function, kinks = scalar(name), KINKS[name]

    def slope_square(z):
        return ((function(z + 1e-5) - function(z - 1e-5)) / 2e-5) ** 2

    found = activation_moments(numpy_activation(name), mean**2 + std**2, mean)
    # A quotient across a kink errs over 2e-5 of the axis, where the density is 0.4 / std at most.
    assert found.derivative_second_moment == pytest.approx(
        expect(slope_square, mean, std, kinks), rel=1e-6, abs=1e-5 / std * (1.0 + len(kinks))
    )


@settings(max_examples=150, deadline=None)
@given(names, offsets, stds)
def test_chi_q_is_the_slope_of_the_second_moment(name, offset, std):
    mean = offset * std
    function, step, q = numpy_activation(name), 1e-4, mean**2 + std**2
    above, below = (
        activation_moments(function, q * scale**2, mean * scale).second_moment
        for scale in (math.exp(step), math.exp(-step))
    )
    found = activation_moments(function, q, mean)
    assert found.chi_q == pytest.approx(math.log(above / below) / (4.0 * step), rel=1e-5, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(names, offsets, stds)
def test_moments_fit_together(name, offset, std):
    mean = offset * std
    found = activation_moments(numpy_activation(name), mean**2 + std**2, mean)
    assert found.variance + found.mean**2 == pytest.approx(found.second_moment, rel=1e-8)
    # Poincaré: the variance of a function of a Gaussian is at most std² E f'².
    assert found.variance <= std**2 * found.derivative_second_moment * (1.0 + 1e-6)
    assert found.activation_noise >= -1e-9


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["relu", "leaky_relu", "linear"]), offsets, stds, st.floats(-8.0, 8.0))
def test_homogeneous_activations_scale(name, offset, std, log10_scale):
    mean = offset * std
    function, scale, q = numpy_activation(name), 10.0**log10_scale, mean**2 + std**2
    found = activation_moments(function, q, mean)
    scaled = activation_moments(function, q * scale**2, mean * scale)
    assert scaled.second_moment == pytest.approx(found.second_moment * scale**2, rel=1e-7)
    assert scaled.backward_factor == pytest.approx(found.backward_factor, rel=1e-7)
