"""Small dense nets whose every number is worked out here, in float64 numpy."""

import math

import keras
import numpy as np
import pytest

from tests.support.by_hand import in_float64, mse_gradient, norm, q

LAYERS = keras.layers
SEED = 3


@pytest.fixture(scope="module")
def chain(measure, normal, set_weights):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((7,))
    hidden = LAYERS.Dense(6, activation="relu", name="first")(inputs)
    hidden = LAYERS.Dense(5, activation="relu", name="second")(hidden)
    model = keras.Model(inputs, LAYERS.Dense(4, name="head")(hidden))
    model.compile("sgd", "mse")
    set_weights(model, SEED, scale=1.3)
    x, y = normal(9, 7, seed=1), normal(9, 4, seed=2)
    return measure(model, x, y), chain_by_hand(model.get_weights(), *in_float64(x, y))


def chain_by_hand(weights, x, y):
    w1, b1, w2, b2, w3, b3 = in_float64(*weights)
    z1 = x @ w1 + b1
    h1 = np.maximum(z1, 0)
    z2 = h1 @ w2 + b2
    h2 = np.maximum(z2, 0)
    z3 = h2 @ w3 + b3
    dz3 = mse_gradient(z3, y)
    dh2 = dz3 @ w3.T
    dz2 = dh2 * (z2 > 0)
    dh1 = dz2 @ w2.T
    dz1 = dh1 * (z1 > 0)
    dx = dz1 @ w1.T
    return {
        "signals": {"first": (x, z1, h1), "second": (h1, z2, h2), "head": (h2, z3, z3)},
        "gradients": {"first": (dx, dz1, dh1), "second": (dh1, dz2, dh2), "head": (dh2, dz3, dz3)},
        "weights": {
            "first/kernel": w1,
            "first/bias": b1,
            "second/kernel": w2,
            "second/bias": b2,
            "head/kernel": w3,
            "head/bias": b3,
        },
        "weight_gradients": {
            "first/kernel": x.T @ dz1,
            "first/bias": dz1.sum(axis=0),
            "second/kernel": h1.T @ dz2,
            "second/bias": dz2.sum(axis=0),
            "head/kernel": h2.T @ dz3,
            "head/bias": dz3.sum(axis=0),
        },
        "loss": q(z3 - y),
    }


@pytest.mark.parametrize("name", ["first", "second", "head"])
@pytest.mark.parametrize(("place", "position"), [("x", 0), ("z", 1), ("h", 2)])
def test_chain_signal(chain, assert_moments, name, place, position):
    profile, hand = chain
    assert_moments(getattr(profile.site(name).activations, place), hand["signals"][name][position])


@pytest.mark.parametrize("name", ["first", "second", "head"])
@pytest.mark.parametrize(("place", "position"), [("x", 0), ("z", 1), ("h", 2)])
def test_chain_loss_gradient(chain, assert_moments, name, place, position):
    profile, hand = chain
    assert_moments(
        getattr(profile.site(name).loss_gradients, place), hand["gradients"][name][position]
    )


def test_chain_weights_and_their_gradients(chain, assert_moments):
    profile, hand = chain
    assert [weight.name for weight in profile.weights] == list(hand["weights"])
    for weight in profile.weights:
        assert_moments(weight.moments, hand["weights"][weight.name], skip=["batch_share"])
        assert_moments(weight.gradient, hand["weight_gradients"][weight.name], skip=["batch_share"])
        assert weight.norm == pytest.approx(norm(hand["weights"][weight.name]), rel=1e-4)
        assert weight.gradient_norm == pytest.approx(
            norm(hand["weight_gradients"][weight.name]), rel=1e-4
        )


def test_chain_loss(chain):
    profile, hand = chain
    assert profile.loss == pytest.approx(hand["loss"], rel=1e-5)


def test_chain_measured_forward_ratios(chain):
    profile, hand = chain
    expected = [q(h if name != "head" else z) / q(x) for name, (x, z, h) in hand["signals"].items()]
    assert [site.forward_ratio for site in profile.sites] == pytest.approx(expected, rel=1e-4)


def test_chain_predicted_ratios_are_fan_times_second_moment_times_half_for_relu(chain):
    profile, hand = chain
    kernels = [hand["weights"][f"{name}/kernel"] for name in ("first", "second", "head")]
    forward = [
        kernel.shape[0] * q(kernel) * factor
        for kernel, factor in zip(kernels, (0.5, 0.5, 1), strict=True)
    ]
    backward = [
        kernel.shape[1] * q(kernel) * factor
        for kernel, factor in zip(kernels, (0.5, 0.5, 1), strict=True)
    ]
    assert [site.predicted_forward_ratio for site in profile.sites] == pytest.approx(
        forward, rel=1e-4
    )
    assert [site.predicted_backward_ratio for site in profile.sites] == pytest.approx(
        backward, rel=1e-4
    )


def test_chain_end_to_end_forward_gain_goes_from_the_first_input_to_the_last_hidden_output(chain):
    profile, hand = chain
    expected = math.log10(q(hand["signals"]["second"][2]) / q(hand["signals"]["first"][0]))
    assert profile.log10_forward_gain == pytest.approx(expected, abs=1e-4)


def test_chain_gain_is_the_running_product_of_the_ratios(chain):
    profile, hand = chain
    first, second = (
        math.log10(q(hand["signals"][name][2]) / q(hand["signals"][name][0]))
        for name in ("first", "second")
    )
    gains = [profile.site(name).log10_forward_gain for name in ("first", "second")]
    assert gains == pytest.approx([first, first + second], abs=1e-4)


def test_chain_facts_about_the_batch(chain):
    profile, _ = chain
    assert (profile.batch_size, profile.optimizer, profile.backend) == (
        9,
        "SGD",
        keras.backend.backend(),
    )
    assert [(site.kind, site.inputs, site.is_head, site.activation) for site in profile.sites] == [
        ("weight", (), False, "relu"),
        ("weight", (0,), False, "relu"),
        ("weight", (1,), True, None),
    ]


SCALES = (0.5, 2.0, 3.0, 1.5)


@pytest.fixture(scope="module")
def orthogonal(measure, normal):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8,)), *(LAYERS.Dense(8, use_bias=False) for _ in SCALES)]
    )
    for number, (layer, scale) in enumerate(zip(model.layers, SCALES, strict=True)):
        layer.kernel.assign(scale * np.linalg.qr(normal(8, 8, seed=number))[0])
    return measure(model, normal(16, 8))


def test_orthogonal_chain_forward_and_backward_ratios(orthogonal):
    squares = [scale**2 for scale in SCALES]
    assert [site.forward_ratio for site in orthogonal.sites] == pytest.approx(squares, rel=1e-4)
    assert [site.backward_ratio for site in orthogonal.sites] == pytest.approx(squares, rel=1e-4)
    assert [site.predicted_forward_ratio for site in orthogonal.sites] == pytest.approx(
        squares, rel=1e-4
    )
    assert [site.predicted_backward_ratio for site in orthogonal.sites] == pytest.approx(
        squares, rel=1e-4
    )


def test_orthogonal_chain_gains_leave_the_head_out(orthogonal):
    expected = math.log10(0.5**2 * 2**2 * 3**2)
    assert orthogonal.log10_forward_gain == pytest.approx(expected, abs=1e-4)
    assert orthogonal.log10_backward_gain == pytest.approx(expected, abs=1e-4)
    assert orthogonal.site(orthogonal.sites[0].name).log10_backward_gain == pytest.approx(
        expected, abs=1e-4
    )


def test_orthogonal_chain_random_cotangent_is_standard_normal(orthogonal):
    cotangent = orthogonal.sites[-1].random_gradients.h
    assert cotangent.mean == pytest.approx(0, abs=4 / math.sqrt(128))
    assert cotangent.second_moment == pytest.approx(1, abs=4 * math.sqrt(2 / 128))


def test_orthogonal_chain_uncompiled_model_has_no_loss(orthogonal):
    assert orthogonal.loss is None
    assert all(site.loss_gradients is None for site in orthogonal.sites)
    assert all(
        weight.gradient is None and weight.gradient_norm is None for weight in orthogonal.weights
    )


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_predicted_ratios_use_the_activation_at_the_measured_scale(
    activation, measure, normal, set_weights
):
    model = keras.Sequential(
        [keras.Input((20,)), LAYERS.Dense(30, activation=activation), LAYERS.Dense(2)]
    )
    set_weights(model, SEED, scale=0.8)
    site = measure(model, normal(16, 20)).sites[0]
    functions = {
        "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        "gelu": (
            lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
            lambda z: (
                0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))
                + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
            ),
        ),
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    }
    function, derivative = functions[activation]
    points, density = np.polynomial.hermite_e.hermegauss(80)
    z = points * math.sqrt(site.activations.z.second_moment)
    density = density / density.sum()
    kernel = in_float64(*model.get_weights())[0]
    forward = 20 * q(kernel) * np.sum(density * function(z) ** 2) / np.sum(density * z**2)
    assert site.predicted_forward_ratio == pytest.approx(forward, rel=1e-3)
    assert site.predicted_backward_ratio == pytest.approx(
        30 * q(kernel) * np.sum(density * derivative(z) ** 2), rel=1e-3
    )


def test_activation_layer_belongs_to_the_weight_layer_before_it(
    measure, normal, set_weights, assert_moments
):
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(5), LAYERS.ReLU(), LAYERS.Dense(4)])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(8, 6, seed=1), normal(8, 4, seed=2)
    site = measure(model, x, y).sites[0]
    x, y, w1, b1, w2, b2 = in_float64(x, y, *model.get_weights())
    z = x @ w1 + b1
    h = np.maximum(z, 0)
    dh = mse_gradient(h @ w2 + b2, y) @ w2.T
    assert site.activation == "relu"
    assert_moments(site.activations.z, z)
    assert_moments(site.activations.h, h)
    assert_moments(site.loss_gradients.h, dh)
    assert_moments(site.loss_gradients.z, dh * (z > 0))
    assert site.forward_ratio == pytest.approx(q(h) / q(x), rel=1e-4)


def test_regularisation_is_part_of_the_loss_and_of_weight_gradients(measure, normal, set_weights):
    layer = LAYERS.Dense(3, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(5, 4, seed=1), normal(5, 3, seed=2)
    profile = measure(model, x, y)
    x, y, kernel = in_float64(x, y, *model.get_weights())
    assert profile.loss == pytest.approx(q(x @ kernel - y) + 0.1 * np.sum(kernel**2), rel=1e-5)
    expected = x.T @ mse_gradient(x @ kernel, y) + 0.2 * kernel
    assert profile.weights[0].gradient_norm == pytest.approx(norm(expected), rel=1e-4)


def test_sample_weights_scale_the_loss_and_its_gradients(
    measure, normal, set_weights, assert_moments
):
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(5, 4, seed=1), normal(5, 3, seed=2)
    sample_weight = np.array([0.0, 1.0, 2.0, 0.5, 3.0], "float32")
    profile = measure(model, x, y, sample_weight)
    x, y, kernel, bias = in_float64(x, y, *model.get_weights())
    z = x @ kernel + bias
    assert profile.loss == pytest.approx(np.mean(sample_weight[:, None] * (z - y) ** 2), rel=1e-5)
    assert_moments(profile.sites[0].loss_gradients.h, sample_weight[:, None] * mse_gradient(z, y))
