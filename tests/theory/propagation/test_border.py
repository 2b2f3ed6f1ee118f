import numpy as np
import pytest

from keras_initcheck.theory.propagation.padding import (
    Overlap,
    conv_border,
    conv_transpose_border,
    overlap,
)


@pytest.mark.parametrize(("size", "kept"), [(8, 0.840), (4, 0.694), (2, 0.444), (1, 0.111)])
def test_same_padding_of_a_3x3_kernel_costs_small_images_most(size, kept):
    border = conv_border((size, size), (3, 3), (1, 1), "same")
    assert (border.forward, border.backward) == pytest.approx((kept, kept), abs=5e-4)


@pytest.mark.parametrize("length", [3, 5, 7])
@pytest.mark.parametrize("size", [4, 9, 30])
def test_same_padding_of_odd_kernels_in_closed_form(length, size):
    assert conv_border((size,), (length,), (1,), "same").forward == pytest.approx(
        1 - (length**2 - 1) / (4 * length * size)
    )


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation", "expected"),
    [
        # Windows written out by hand: positions that are on the axis.
        pytest.param(5, 3, 2, "same", 1, (3, 2 + 3 + 2), id="stride"),
        pytest.param(8, 4, 2, "same", 1, (4, 3 + 4 + 4 + 3), id="even window"),
        pytest.param(4, 3, 1, "causal", 1, (4, 1 + 2 + 3 + 3), id="causal"),
        pytest.param(5, 3, 1, "same", 2, (5, 2 + 2 + 3 + 2 + 2), id="dilation"),
        pytest.param(6, 3, 2, "valid", 1, (2, 3 + 3), id="valid"),
        pytest.param(4, 1, 2, "same", 1, (2, 2), id="window below stride"),
    ],
)
def test_connections_are_counted(size, window, stride, padding, dilation, expected):
    assert overlap((size,), (window,), (stride,), padding, (dilation,)) == Overlap(size, *expected)


def test_axes_multiply():
    assert overlap((5, 4), (3, 1), (2, 2), "same") == Overlap(20, 3 * 2, 7 * 2)


def test_valid_padding_feeds_every_output_fully_and_inputs_less():
    border = conv_border((8, 8), (3, 3), (1, 1), "valid")
    assert (border.forward, border.backward) == pytest.approx((1.0, 6 * 6 / (8 * 8)))


def test_transposed_convolution_feeds_every_connection_once():
    # 'valid' output of 3 inputs, window 4, stride 2: 8 positions, which 3 * 4 connections reach
    # instead of 4 / 2 each.
    border = conv_transpose_border((3,), (4,), (2,), "valid")
    assert (border.forward, border.backward) == pytest.approx((12 / 8 / 2, 1.0))


def test_transposed_convolution_loses_what_the_same_padding_cuts_off():
    # Full output of 8 inputs, window 3, stride 1 has 10 positions; the two at the ends are cut,
    # with one connection each.
    border = conv_transpose_border((8,), (3,), (1,), "same")
    counts = np.convolve(np.ones(8), np.ones(3), "same")
    assert (border.forward, border.backward) == pytest.approx(
        (counts.mean() / 3, counts.sum() / 24)
    )


def test_unknown_padding_is_refused():
    with pytest.raises(
        ValueError,
        match=(
            r"'valid', 'same' or 'causal'\. Received: padding='full'\. Pass the layer's `padding`\."
        ),
    ):
        overlap((4,), (3,), (1,), "full")


def test_window_that_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"The window must fit\. Received: size=2, window=3, dilation=1\."
    ):
        overlap((2,), (3,), (1,))
