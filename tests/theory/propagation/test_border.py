import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def convolve_ones(size, window, stride, padding, dilation):
    """Number of positions below each place of a window, by Keras' own convolution of ones."""
    import keras

    signal, kernel = np.ones((1, size, 1), "float32"), np.ones((window, 1, 1), "float32")
    if padding == "causal":
        signal = np.pad(signal, ((0, 0), (dilation * (window - 1), 0), (0, 0)))
    layer_padding = "valid" if padding == "causal" else padding
    counts = keras.ops.conv(
        signal, kernel, stride, layer_padding, "channels_last", dilation_rate=dilation
    )
    return keras.ops.convert_to_numpy(counts).ravel()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from(["valid", "same", "causal"]),
)
def test_counts_of_a_strided_window_are_those_of_keras(size, window, stride, padding):
    if padding == "valid" and window > size:
        return
    counts = convolve_ones(size, window, stride, padding, 1)
    counted = overlap((size,), (window,), (stride,), padding)
    assert counted == Overlap(size, len(counts), int(counts.sum()))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["same", "causal"]),
)
def test_counts_of_a_dilated_window_are_those_of_keras(size, window, dilation, padding):
    counts = convolve_ones(size, window, 1, padding, dilation)
    counted = overlap((size,), (window,), (1,), padding, (dilation,))
    assert counted == Overlap(size, len(counts), int(counts.sum()))


@pytest.mark.parametrize("padding", ["same", "causal", "valid"])
def test_border_of_a_dilated_convolution_is_counted(padding):
    counts = convolve_ones(9, 3, 1, padding, 2)
    border = conv_border((9,), (3,), (1,), padding, (2,))
    assert border.forward == pytest.approx(counts.mean() / 3)
    assert border.backward == pytest.approx(counts.sum() / 9 / 3)


def test_strides_count_in_the_fan_out_of_the_border():
    # Every second of 6 places of a window of 2: 3 places, 6 connections, one for each input, as the
    # true fan 2 / 2 has it.
    assert conv_border((6,), (2,), (2,)).backward == 1.0


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 3), (4, 2), (5, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_border_of_a_transposed_convolution_is_that_of_the_convolution_back(
    window, stride, padding
):
    # From its output of `size * stride`, or of `(size - 1) * stride + window`, to its input.
    size = 5
    output = size * stride if padding == "same" else (size - 1) * stride + max(window, stride)
    counts = convolve_ones(output, window, stride, padding, 1)
    border = conv_transpose_border((size,), (window,), (stride,), padding)
    assert len(counts) == size
    assert border.backward == pytest.approx(counts.mean() / window)
    assert border.forward == pytest.approx(counts.sum() / output * stride / window)


def test_padding_is_valid_by_default():
    assert overlap((6,), (3,), (1,)) == overlap((6,), (3,), (1,), "valid")
    assert conv_border((6,), (3,), (1,)) == conv_border((6,), (3,), (1,), "valid")
    assert conv_transpose_border((6,), (3,), (2,)) == conv_transpose_border(
        (6,), (3,), (2,), "valid"
    )


@pytest.mark.parametrize("count", [overlap, conv_border, conv_transpose_border])
@pytest.mark.parametrize(
    "axes", [((6, 6), (3,), (1,)), ((6,), (3, 3), (1,)), ((6,), (3,), (1, 1))], ids=str
)
def test_axes_of_different_number_are_refused(count, axes):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        count(*axes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(5, 9), st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3
    ),
    st.sampled_from(["valid", "same"]),
)
def test_counts_of_axes_multiply(axes, padding):
    counted = overlap(*zip(*axes, strict=True), padding)
    each = [overlap((size,), (window,), (stride,), padding) for size, window, stride in axes]
    assert counted == Overlap(
        math.prod(one.num_inputs for one in each),
        math.prod(one.num_outputs for one in each),
        math.prod(one.num_connections for one in each),
    )
