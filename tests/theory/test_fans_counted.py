"""Fans of random layers against their connections, counted one by one."""

import itertools
import math
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initcheck.theory import fans
from keras_initcheck.theory.fans import BACKWARD, BALANCED, FORWARD, MEAN, Fans
from keras_initcheck.theory.kernel_layout import KernelLayout


@st.composite
def convolutions(draw):
    """Window, strides, groups, channels and filters of a convolution of one or two axes."""
    rank, groups = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    axes = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    channels, filters = (groups * draw(st.integers(1, 2)) for _ in range(2))
    return draw(axes), draw(axes), groups, channels, filters


def count_window(window, strides, num_places):
    """Pairs of a place and a position of a window on a torus of `num_places * stride` positions."""
    pairs = []
    for place in itertools.product(*(range(num_places) for _ in window)):
        for offset in itertools.product(*map(range, window)):
            position = tuple(
                (p * s + o) % (num_places * s)
                for p, s, o in zip(place, strides, offset, strict=True)
            )
            pairs.append((place, position))
    return len(pairs) / num_places ** len(window), len(pairs) / math.prod(
        num_places * s for s in strides
    )


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_fans_of_a_convolution_are_counted(convolution):
    window, strides, groups, channels, filters = convolution
    into, out = count_window(window, strides, num_places=4)
    counted = fans.conv((*window, channels // groups, filters), strides, groups)
    assert counted.fan_in == pytest.approx(into * channels / groups)
    assert counted.fan_out == pytest.approx(out * filters / groups)


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_transposed_convolution_exchanges_the_fans_of_the_convolution(convolution):
    window, strides, _, channels, filters = convolution
    forward = fans.conv((*window, channels, filters), strides)
    turned = fans.conv_transpose((*window, channels, filters), strides)
    assert (turned.fan_in, turned.fan_out) == pytest.approx((forward.fan_out, forward.fan_in))


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_layout_has_the_fans_of_its_convolution(convolution):
    window, strides, groups, channels, filters = convolution
    shape = (*window, channels // groups, filters)
    assert KernelLayout(strides, groups).fans(shape) == fans.conv(shape, strides, groups)


@st.composite
def equations(draw):
    """An `EinsumDense` equation, whose input axes are all in kernel or output, and axis sizes."""
    shared, summed, batch, new = (
        draw(st.integers(low, high)) for low, high in ((0, 1), (1, 2), (0, 2), (1, 2))
    )
    letters = iter(string.ascii_lowercase)
    groups = [[next(letters) for _ in range(count)] for count in (shared, summed, batch, new)]
    axes = groups[0] + groups[1] + groups[2] + groups[3]
    sizes = dict(
        zip(
            axes,
            draw(st.lists(st.integers(1, 3), min_size=len(axes), max_size=len(axes))),
            strict=True,
        )
    )
    inputs = draw(st.permutations(groups[0] + groups[1] + groups[2]))
    kernel = draw(st.permutations(groups[0] + groups[1] + groups[3]))
    outputs = draw(st.permutations(groups[0] + groups[2] + groups[3]))
    return ["".join(each) for each in (inputs, kernel, outputs)], sizes


@settings(max_examples=150, deadline=None)
@given(equations())
def test_fans_of_an_einsum_layer_are_counted(drawn):
    (inputs, kernel, outputs), sizes = drawn
    ones = [np.ones([sizes[axis] for axis in axes]) for axes in (inputs, kernel)]
    equation = f"{inputs},{kernel}->{outputs}"
    into = np.einsum(equation, *ones)  # with ones, an element is its number of connections
    counted = fans.einsum_dense(equation, [sizes[axis] for axis in kernel])
    assert np.all(into == counted.fan_in)
    assert into.sum() / ones[0].size == pytest.approx(counted.fan_out)


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6))
def test_balanced_fan_lies_between_the_others_and_below_their_mean(fan_in, fan_out):
    both = Fans(fan_in, fan_out)
    low, high = sorted([both.fan_for(FORWARD), both.fan_for(BACKWARD)])
    assert (low, high) == (min(fan_in, fan_out), max(fan_in, fan_out))
    tolerance = 1e-9 * high
    assert low - tolerance <= both.fan_for(BALANCED) <= both.fan_for(MEAN) + tolerance
    assert both.fan_for(MEAN) <= high + tolerance
