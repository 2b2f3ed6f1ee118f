"""Layers that are linear in their input and their kernel, against loops that follow their
definition, in float64.
"""

import itertools
import math

import keras
import numpy as np
import pytest

from tests.support.by_hand import in_float64, mse_gradient, norm, q

pytestmark = pytest.mark.slow_on("jax")

LAYERS = keras.layers
SEED = 3


def windows(size, window, stride, padding, dilation):
    """The first input position of each output position along one axis, and the padding in front."""
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        return [step * stride for step in range((size - reach) // stride + 1)], 0
    count = -(-size // stride)
    before = max((count - 1) * stride + reach - size, 0) // 2
    return [step * stride - before for step in range(count)], before


def gathered(x, kernel_shape, strides, padding, dilation):
    """`(output position, window offset, input pixels)` of a 2-D convolution; pixels outside of the
    image are left out.
    """
    rows, columns = (
        windows(x.shape[1 + axis], kernel_shape[axis], strides[axis], padding, dilation)[0]
        for axis in (0, 1)
    )
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        for a, b in itertools.product(range(kernel_shape[0]), range(kernel_shape[1])):
            source = (row + a * dilation, column + b * dilation)
            if 0 <= source[0] < x.shape[1] and 0 <= source[1] < x.shape[2]:
                yield (i, j), (a, b), x[:, source[0], source[1]]


def output_size(x, kernel_shape, strides, padding, dilation):
    return [
        len(windows(x.shape[1 + axis], kernel_shape[axis], strides[axis], padding, dilation)[0])
        for axis in (0, 1)
    ]


def convolve(x, kernel, strides=(1, 1), padding="valid", groups=1, dilation=1):
    filters, channels = kernel.shape[3] // groups, kernel.shape[2]
    z = np.zeros(
        (len(x), *output_size(x, kernel.shape, strides, padding, dilation), kernel.shape[3])
    )
    for (i, j), offset, pixels in gathered(x, kernel.shape, strides, padding, dilation):
        for group in range(groups):
            into = slice(group * filters, (group + 1) * filters)
            z[:, i, j, into] += (
                pixels[:, group * channels : (group + 1) * channels] @ kernel[offset][:, into]
            )
    return z


def convolve_depthwise(x, kernel, strides=(1, 1), padding="valid", dilation=1):
    z = np.zeros(
        (
            len(x),
            *output_size(x, kernel.shape, strides, padding, dilation),
            kernel.shape[2] * kernel.shape[3],
        )
    )
    for (i, j), offset, pixels in gathered(x, kernel.shape, strides, padding, dilation):
        z[:, i, j] += (pixels[:, :, None] * kernel[offset]).reshape(len(x), -1)
    return z


def convolve_transposed(x, kernel, strides):
    """Each input pixel paints its kernel, scaled, on the output: no padding."""
    size = [(x.shape[1 + axis] - 1) * strides[axis] + kernel.shape[axis] for axis in (0, 1)]
    z = np.zeros((len(x), *size, kernel.shape[2]))
    for i, j, a, b in itertools.product(
        *map(range, (x.shape[1], x.shape[2], kernel.shape[0], kernel.shape[1]))
    ):
        z[:, i * strides[0] + a, j * strides[1] + b] += x[:, i, j] @ kernel[a, b].T
    return z


IMAGE, ROW = (5, 6, 4), (4, 5)
LINEAR_LAYERS = {
    # name: (layer, input shape, the linear map by its definition, fan in, fan out)
    "dense": (lambda: LAYERS.Dense(3), (5,), lambda x, w: x @ w, 5, 3),
    "dense on positions": (lambda: LAYERS.Dense(3), ROW, lambda x, w: x @ w, 5, 3),
    "conv": (lambda: LAYERS.Conv2D(3, 3), IMAGE, convolve, 36, 27),
    "conv stride": (
        lambda: LAYERS.Conv2D(3, (3, 2), strides=2),
        IMAGE,
        lambda x, w: convolve(x, w, (2, 2)),
        24,
        6 * 3 / 4,
    ),
    "conv same stride": (
        lambda: LAYERS.Conv2D(3, 3, strides=2, padding="same"),
        IMAGE,
        lambda x, w: convolve(x, w, (2, 2), "same"),
        36,
        9 * 3 / 4,
    ),
    "conv groups": (
        lambda: LAYERS.Conv2D(6, 2, groups=2),
        IMAGE,
        lambda x, w: convolve(x, w, groups=2),
        4 * 2,
        4 * 6 / 2,
    ),
    "conv dilation": (
        lambda: LAYERS.Conv2D(3, 2, dilation_rate=2, padding="same"),
        IMAGE,
        lambda x, w: convolve(x, w, padding="same", dilation=2),
        16,
        12,
    ),
    "depthwise": (
        lambda: LAYERS.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same"),
        IMAGE,
        lambda x, w: convolve_depthwise(x, w, (2, 2), "same"),
        9,
        9 * 2 / 4,
    ),
    "transposed conv": (
        lambda: LAYERS.Conv2DTranspose(3, 4, strides=2),
        IMAGE,
        lambda x, w: convolve_transposed(x, w, (2, 2)),
        16 * 4 / 4,
        16 * 3,
    ),
    "einsum": (
        lambda: LAYERS.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="e"),
        ROW,
        lambda x, w: (x @ w.reshape(5, 6)).reshape(*x.shape[:2], 2, 3),
        5,
        6,
    ),
}


@pytest.mark.parametrize("name", LINEAR_LAYERS)
def test_layer_with_one_kernel(name, measure, normal, set_weights, assert_moments):
    make, shape, apply, fan_in, fan_out = LINEAR_LAYERS[name]
    layer = make()
    layer.activation = keras.activations.tanh
    model = keras.Sequential([keras.Input(shape), layer])
    set_weights(model, SEED)
    x = normal(3, *shape, seed=1)
    y = normal(*model(x).shape, seed=2)
    model.compile("sgd", "mse")
    profile = measure(model, x, y)
    x, y, kernel, bias = in_float64(x, y, *model.get_weights())

    z = apply(x, kernel) + bias
    h = np.tanh(z)
    dh = mse_gradient(h, y)
    dz = dh * (1 - h**2)
    jacobian = apply(np.eye(math.prod(shape)).reshape(-1, *shape), kernel)
    dx = np.tensordot(dz, jacobian, axes=[range(1, dz.ndim), range(1, dz.ndim)])
    basis = np.eye(kernel.size).reshape(-1, *kernel.shape)
    dkernel = np.array([np.sum(apply(x, unit) * dz) for unit in basis])

    (site,) = profile.sites
    for place, signal, gradient in (("x", x, dx), ("z", z, dz), ("h", h, dh)):
        assert_moments(getattr(site.activations, place), signal)
        assert_moments(getattr(site.loss_gradients, place), gradient.reshape(signal.shape))
    assert profile.weights[0].gradient_norm == pytest.approx(norm(dkernel), rel=1e-4)
    assert profile.weights[1].gradient_norm == pytest.approx(
        norm(dz.sum(axis=tuple(range(dz.ndim - bias.ndim)))), rel=1e-4
    )
    assert site.forward_ratio == pytest.approx(q(z) / q(x), rel=1e-4)
    assert site.predicted_forward_ratio == pytest.approx(fan_in * q(kernel), rel=1e-4)
    assert site.predicted_backward_ratio == pytest.approx(fan_out * q(kernel), rel=1e-4)


def test_separable_convolution_predicts_the_product_of_its_two_kernels(
    measure, normal, set_weights, assert_moments
):
    model = keras.Sequential(
        [keras.Input(IMAGE), LAYERS.SeparableConv2D(3, 2, depth_multiplier=2, activation="relu")]
    )
    set_weights(model, SEED)
    x = normal(3, *IMAGE)
    (site,) = measure(model, x).sites
    depthwise, pointwise, bias = in_float64(*model.get_weights())
    z = convolve_depthwise(x, depthwise) @ pointwise[0, 0] + bias
    assert_moments(site.activations.z, z)
    assert_moments(site.activations.h, np.maximum(z, 0))
    assert site.forward_ratio == pytest.approx(q(z) / q(x), rel=1e-4)
    assert site.predicted_forward_ratio == pytest.approx(
        4 * q(depthwise) * 8 * q(pointwise), rel=1e-4
    )
    assert site.predicted_backward_ratio == pytest.approx(
        4 * 2 * q(depthwise) * 3 * q(pointwise), rel=1e-4
    )
