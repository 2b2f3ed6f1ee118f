import itertools
import re

import numpy as np
import pytest

from keras_initcheck.theory import fans
from keras_initcheck.theory.fans import Fans

SIZE = 12  # positions on each axis, on a torus: no edges, and divisible by every stride used here


def count_connections(connections):
    """Mean number of connections of an output element and of an input element, from
    `{(output, input)}`.
    """
    outputs, inputs = {pair[0] for pair in connections}, {pair[1] for pair in connections}
    return len(connections) / len(outputs), len(connections) / len(inputs)


def connect_conv(window, strides, channels, filters, groups=1, dilation=1):
    """Every `((position, filter), (position, channel))` of a convolution, by its definition."""
    connections = set()
    for steps in itertools.product(*(range(SIZE // stride) for stride in strides)):
        for offsets in itertools.product(*(range(length) for length in window)):
            source = tuple(
                (step * stride + dilation * offset) % SIZE
                for step, stride, offset in zip(steps, strides, offsets, strict=True)
            )
            for channel, unit in itertools.product(range(channels), range(filters)):
                if channel * groups // channels == unit * groups // filters:
                    connections.add(((steps, unit), (source, channel)))
    return connections


def equals(measured):
    return pytest.approx((measured.fan_in, measured.fan_out))


@pytest.mark.parametrize(
    ("window", "strides", "groups", "dilation"),
    [
        pytest.param((3,), (1,), 1, 1, id="1d"),
        pytest.param((3, 2), (1, 1), 1, 1, id="2d"),
        pytest.param((3, 3), (2, 2), 1, 1, id="stride 2"),
        pytest.param((4, 3), (2, 3), 1, 1, id="uneven strides"),
        pytest.param((3,), (1,), 2, 1, id="groups"),
        pytest.param((3,), (2,), 2, 1, id="groups and stride"),
        pytest.param((3,), (1,), 1, 2, id="dilation"),
        pytest.param((2, 2, 2), (1, 2, 1), 1, 1, id="3d"),
    ],
)
def test_conv_fans_are_its_counted_connections(window, strides, groups, dilation):
    counted = count_connections(connect_conv(window, strides, 4, 6, groups, dilation))
    assert counted == equals(fans.conv((*window, 4 // groups, 6), strides, groups))


def test_conv_with_a_stride_beyond_its_window_counts_inputs_that_feed_nothing():
    connections = connect_conv((1,), (2,), 4, 6)
    measured = fans.conv((1, 4, 6), (2,))
    assert measured == Fans(4, len(connections) / (SIZE * 4))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_depthwise_conv_fans_are_those_of_one_group_for_each_channel(stride):
    counted = count_connections(connect_conv((3, 3), (stride, stride), 4, 8, groups=4))
    assert counted == equals(fans.depthwise_conv((3, 3, 4, 2), (stride, stride)))


@pytest.mark.parametrize(("length", "stride"), [(4, 2), (3, 2), (3, 3), (5, 1)])
def test_transposed_conv_fans_are_those_of_the_convolution_turned_round(length, stride):
    forward = connect_conv((length, length), (stride, stride), channels=3, filters=5)
    counted = count_connections({(source, target) for target, source in forward})
    assert counted == equals(fans.conv_transpose((length, length, 3, 5), (stride, stride)))


@pytest.mark.parametrize(
    ("equation", "input_shape", "kernel_shape"),
    [
        pytest.param("ab,bc->ac", (2, 3), (3, 4), id="dense"),
        pytest.param("...x,xy->...y", (2, 2, 3), (3, 4), id="ellipsis left"),
        pytest.param("ab...,bc->ac...", (2, 3, 2), (3, 4), id="ellipsis right"),
        pytest.param("abc,cde->abde", (2, 2, 3), (3, 4, 5), id="attention query"),
        pytest.param("abcd,cde->abe", (2, 2, 3, 4), (3, 4, 5), id="attention output"),
        pytest.param("abc,bde->acde", (2, 3, 2), (3, 4, 5), id="middle axis"),
        pytest.param("abc, cd -> adb", (2, 3, 4), (4, 5), id="spaces and permuted output"),
        pytest.param("abc,bcd->abd", (2, 3, 4), (3, 4, 5), id="one kernel for each position"),
        pytest.param("ab,b->ab", (2, 3), (3,), id="scale"),
    ],
)
def test_einsum_dense_fans_are_its_counted_connections(equation, input_shape, kernel_shape):
    basis = np.eye(np.prod(input_shape, dtype=int)).reshape(-1, *input_shape)
    images = [np.einsum(equation, vector, np.ones(kernel_shape)).ravel() for vector in basis]
    counted = np.sum(images, axis=0).mean(), np.sum(images, axis=1).mean()
    assert counted == equals(fans.einsum_dense(equation, kernel_shape))


def test_dense_fans():
    assert fans.dense((7, 3)) == Fans(7, 3)


def test_recurrent_fans_are_those_of_one_gate():
    inputs, units, num_gates = 3, 4, 3
    kernel, recurrent = np.ones((inputs, num_gates * units)), np.ones((units, num_gates * units))
    expected = tuple(
        Fans(*np.split(both, num_gates, axis=1)[0].shape) for both in (kernel, recurrent)
    )
    assert fans.recurrent(kernel.shape, recurrent.shape, num_gates) == expected


def test_convolutional_lstm_counts_its_window():
    assert fans.recurrent((3, 3, 2, 20), (3, 3, 5, 20), 4) == (Fans(18, 45), Fans(45, 45))


@pytest.mark.parametrize(
    ("kernel_shape", "expected"),
    [
        ((), Fans(1, 1)),
        ((5,), Fans(5, 5)),
        ((5, 6), Fans(5, 6)),
        ((3, 3, 64, 128), Fans(576, 1152)),
    ],
)
def test_keras_fans_are_those_that_keras_computes(kernel_shape, expected):
    # Typed from keras.initializers' `compute_fans`, Keras 3.15.1.
    assert fans.keras_fans(kernel_shape) == expected


def test_glorot_variance_of_a_depthwise_kernel_is_far_too_small():
    # 64 channels: n_in Var w = 9 * 2 / (576 + 9) = .031, where 1 would keep a linear signal.
    assumed = fans.keras_fans((3, 3, 64, 1))
    variance = 2.0 / (assumed.fan_in + assumed.fan_out)
    assert fans.depthwise_conv((3, 3, 64, 1), (1, 1)).fan_in * variance == pytest.approx(
        0.0308, rel=0.01
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: fans.dense((3, 3, 2)), "must have 2 axes for `dense`", id="dense"),
        pytest.param(
            lambda: fans.conv((3, 3, 2, 4), (1,)), "must have 3 axes for `conv`", id="conv"
        ),
        pytest.param(
            lambda: fans.depthwise_conv((3, 2, 4), (1, 1)), "4 axes for `depthwise", id="depthwise"
        ),
        pytest.param(
            lambda: fans.conv_transpose((3, 2), (1,)), "3 axes for `conv_tr", id="transpose"
        ),
        pytest.param(
            lambda: fans.einsum_dense("ab,bc", (2, 3)), "'input,kernel->output'", id="no arrow"
        ),
        pytest.param(
            lambda: fans.einsum_dense("ab->a", (2, 3)), "'input,kernel->output'", id="no comma"
        ),
        pytest.param(
            lambda: fans.einsum_dense("ab,bc->ac", (2, 3, 4)), "size for each of 'bc'", id="rank"
        ),
        pytest.param(
            lambda: fans.einsum_dense("abc,cd->ad", (2, 3)), "which sums ['b']", id="summed input"
        ),
        pytest.param(
            lambda: fans.recurrent((3, 8), (4, 16), 4), "`num_gates` times", id="kernels differ"
        ),
        pytest.param(
            lambda: fans.recurrent((3, 16), (4, 16), 3), "num_gates=3. Pass 1", id="gates"
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("equation", "kernel_shape", "keras_out", "true_out"),
    [
        pytest.param("abc,cd->abd", (512, 64), 64, 64, id="nothing shared"),
        pytest.param("abc,cde->abde", (512, 8, 64), 512, 512, id="attention query"),
        pytest.param("abc,bcd->abd", (8, 512, 64), 8 * 64, 64, id="an axis of a batch"),
        pytest.param("ab,b->ab", (16,), 16, 1, id="a scale"),
    ],
)
def test_keras_counts_a_shared_axis_of_an_einsum_kernel_as_an_output(
    equation, kernel_shape, keras_out, true_out
):
    counted = fans.einsum_dense(equation, kernel_shape)
    assumed = fans.keras_einsum_fans(kernel_shape, counted.fan_in)
    assert (assumed.fan_in, assumed.fan_out) == (counted.fan_in, keras_out)
    assert counted.fan_out == true_out


@pytest.mark.parametrize(
    ("equation", "input_shape", "output_shape"),
    [
        pytest.param("abc,cde->abde", (None, 3, 32), (None, 16, 8), id="attention query"),
        pytest.param("abc,bcd->abd", (None, 8, 32), (8, 16), id="an axis of a batch"),
    ],
)
def test_keras_einsum_fans_are_those_that_keras_draws_with(equation, input_shape, output_shape):
    import keras

    if not hasattr(keras.initializers.VarianceScaling(), "input_axes"):
        pytest.skip("needs Keras 3.15, which passes the axes to its initializers")
    initializer = keras.initializers.VarianceScaling(mode="fan_out", seed=0)
    layer = keras.layers.EinsumDense(equation, output_shape, kernel_initializer=initializer)
    layer.build(input_shape)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    true = fans.einsum_dense(equation, kernel.shape)
    # The variance of 4096 values has a standard error of 2%.
    assumed = fans.keras_einsum_fans(kernel.shape, true.fan_in)
    assert kernel.var() == pytest.approx(1.0 / assumed.fan_out, rel=0.08)
