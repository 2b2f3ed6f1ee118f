"""Small nets whose every number is worked out here, in float64 numpy, from the definitions of the layers."""

import itertools
import math

import keras
import numpy as np
import pytest

LAYERS = keras.layers
SEED = 3


def mse_gradient(outputs, labels):
    """Gradient of the mean squared error over batch, positions and units."""
    return 2 * (outputs - labels) / outputs.size


def numeric_gradient(function, point, step=1e-5):
    """Central differences of a float64 function of one array."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        moved = np.zeros_like(point)
        moved[index] = step
        gradient[index] = (function(point + moved) - function(point - moved)) / (2 * step)
    return gradient


def in_float64(*arrays):
    return [np.asarray(array, "float64") for array in arrays]


def norm(array):
    return math.sqrt(np.sum(np.square(array)))


def q(array):
    return np.mean(np.square(array))


class TestDenseChain:
    """Two hidden ReLU layers and a linear head under the mean squared error, with biases."""

    @pytest.fixture(scope="class")
    def chain(self, measure, normal, set_weights):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((7,))
        hidden = LAYERS.Dense(6, activation="relu", name="first")(inputs)
        hidden = LAYERS.Dense(5, activation="relu", name="second")(hidden)
        model = keras.Model(inputs, LAYERS.Dense(4, name="head")(hidden))
        model.compile("sgd", "mse")
        set_weights(model, SEED, scale=1.3)
        x, y = normal(9, 7, seed=1), normal(9, 4, seed=2)
        return measure(model, x, y), self.by_hand(model.get_weights(), *in_float64(x, y))

    @staticmethod
    def by_hand(weights, x, y):
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
            "weights": {"first/kernel": w1, "first/bias": b1, "second/kernel": w2, "second/bias": b2, "head/kernel": w3, "head/bias": b3},
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
    def test_signal(self, chain, assert_moments, name, place, position):
        profile, hand = chain
        assert_moments(getattr(profile.site(name).activations, place), hand["signals"][name][position])

    @pytest.mark.parametrize("name", ["first", "second", "head"])
    @pytest.mark.parametrize(("place", "position"), [("x", 0), ("z", 1), ("h", 2)])
    def test_loss_gradient(self, chain, assert_moments, name, place, position):
        profile, hand = chain
        assert_moments(getattr(profile.site(name).loss_gradients, place), hand["gradients"][name][position])

    def test_weights_and_their_gradients(self, chain, assert_moments):
        profile, hand = chain
        assert [weight.name for weight in profile.weights] == list(hand["weights"])
        for weight in profile.weights:
            assert_moments(weight.moments, hand["weights"][weight.name], skip=["batch_share"])
            assert_moments(weight.gradient, hand["weight_gradients"][weight.name], skip=["batch_share"])
            assert weight.norm == pytest.approx(norm(hand["weights"][weight.name]), rel=1e-4)
            assert weight.gradient_norm == pytest.approx(norm(hand["weight_gradients"][weight.name]), rel=1e-4)

    def test_loss(self, chain):
        profile, hand = chain
        assert profile.loss == pytest.approx(hand["loss"], rel=1e-5)

    def test_measured_forward_ratios(self, chain):
        profile, hand = chain
        expected = [q(h if name != "head" else z) / q(x) for name, (x, z, h) in hand["signals"].items()]
        assert [site.forward_ratio for site in profile.sites] == pytest.approx(expected, rel=1e-4)

    def test_predicted_ratios_are_fan_times_second_moment_times_half_for_relu(self, chain):
        profile, hand = chain
        kernels = [hand["weights"][f"{name}/kernel"] for name in ("first", "second", "head")]
        forward = [kernel.shape[0] * q(kernel) * factor for kernel, factor in zip(kernels, (0.5, 0.5, 1), strict=True)]
        backward = [kernel.shape[1] * q(kernel) * factor for kernel, factor in zip(kernels, (0.5, 0.5, 1), strict=True)]
        assert [site.predicted_forward_ratio for site in profile.sites] == pytest.approx(forward, rel=1e-4)
        assert [site.predicted_backward_ratio for site in profile.sites] == pytest.approx(backward, rel=1e-4)

    def test_end_to_end_forward_gain_goes_from_the_first_input_to_the_last_hidden_output(self, chain):
        profile, hand = chain
        expected = math.log10(q(hand["signals"]["second"][2]) / q(hand["signals"]["first"][0]))
        assert profile.log10_forward_gain == pytest.approx(expected, abs=1e-4)

    def test_stretch_is_the_running_product_of_the_ratios(self, chain):
        profile, hand = chain
        first, second = (math.log10(q(hand["signals"][name][2]) / q(hand["signals"][name][0])) for name in ("first", "second"))
        gains = [profile.site(name).log10_forward_gain for name in ("first", "second")]
        assert gains == pytest.approx([first, first + second], abs=1e-4)

    def test_facts_about_the_batch(self, chain):
        profile, _ = chain
        assert (profile.batch_size, profile.optimizer, profile.backend) == (9, "SGD", keras.backend.backend())
        assert [(site.kind, site.inputs, site.is_head, site.activation) for site in profile.sites] == [
            ("weight", (), False, "relu"),
            ("weight", (0,), False, "relu"),
            ("weight", (1,), True, None),
        ]


class TestOrthogonalChain:
    """A scaled orthogonal matrix changes the second moment of every vector by the square of its scale, whatever the cotangent."""

    SCALES = (0.5, 2.0, 3.0, 1.5)

    @pytest.fixture(scope="class")
    def profile(self, measure, normal):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8,)), *(LAYERS.Dense(8, use_bias=False) for _ in self.SCALES)])
        for number, (layer, scale) in enumerate(zip(model.layers, self.SCALES, strict=True)):
            layer.kernel.assign(scale * np.linalg.qr(normal(8, 8, seed=number))[0])
        return measure(model, normal(16, 8))

    def test_forward_and_backward_ratios(self, profile):
        squares = [scale**2 for scale in self.SCALES]
        assert [site.forward_ratio for site in profile.sites] == pytest.approx(squares, rel=1e-4)
        assert [site.backward_ratio for site in profile.sites] == pytest.approx(squares, rel=1e-4)
        assert [site.predicted_forward_ratio for site in profile.sites] == pytest.approx(squares, rel=1e-4)
        assert [site.predicted_backward_ratio for site in profile.sites] == pytest.approx(squares, rel=1e-4)

    def test_gains_leave_the_head_out(self, profile):
        expected = math.log10(0.5**2 * 2**2 * 3**2)
        assert profile.log10_forward_gain == pytest.approx(expected, abs=1e-4)
        assert profile.log10_backward_gain == pytest.approx(expected, abs=1e-4)
        assert profile.site(profile.sites[0].name).log10_backward_gain == pytest.approx(expected, abs=1e-4)

    def test_random_cotangent_is_standard_normal(self, profile):
        cotangent = profile.sites[-1].random_gradients.h
        assert cotangent.mean == pytest.approx(0, abs=4 / math.sqrt(128))
        assert cotangent.second_moment == pytest.approx(1, abs=4 * math.sqrt(2 / 128))

    def test_uncompiled_model_has_no_loss(self, profile):
        assert profile.loss is None
        assert all(site.loss_gradients is None for site in profile.sites)
        assert all(weight.gradient is None and weight.gradient_norm is None for weight in profile.weights)


def windows(size, window, stride, padding, dilation):
    """The first input position of each output position along one axis, and the padding in front."""
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        return [step * stride for step in range((size - reach) // stride + 1)], 0
    count = -(-size // stride)
    before = max((count - 1) * stride + reach - size, 0) // 2
    return [step * stride - before for step in range(count)], before


def gathered(x, kernel_shape, strides, padding, dilation):
    """`(output position, window offset, input pixels)` of a 2-D convolution; pixels outside of the image are left out."""
    rows, columns = (windows(x.shape[1 + axis], kernel_shape[axis], strides[axis], padding, dilation)[0] for axis in (0, 1))
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        for a, b in itertools.product(range(kernel_shape[0]), range(kernel_shape[1])):
            source = (row + a * dilation, column + b * dilation)
            if 0 <= source[0] < x.shape[1] and 0 <= source[1] < x.shape[2]:
                yield (i, j), (a, b), x[:, source[0], source[1]]


def output_size(x, kernel_shape, strides, padding, dilation):
    return [len(windows(x.shape[1 + axis], kernel_shape[axis], strides[axis], padding, dilation)[0]) for axis in (0, 1)]


def convolve(x, kernel, strides=(1, 1), padding="valid", groups=1, dilation=1):
    filters, channels = kernel.shape[3] // groups, kernel.shape[2]
    z = np.zeros((len(x), *output_size(x, kernel.shape, strides, padding, dilation), kernel.shape[3]))
    for (i, j), offset, pixels in gathered(x, kernel.shape, strides, padding, dilation):
        for group in range(groups):
            into = slice(group * filters, (group + 1) * filters)
            z[:, i, j, into] += pixels[:, group * channels : (group + 1) * channels] @ kernel[offset][:, into]
    return z


def convolve_depthwise(x, kernel, strides=(1, 1), padding="valid", dilation=1):
    z = np.zeros((len(x), *output_size(x, kernel.shape, strides, padding, dilation), kernel.shape[2] * kernel.shape[3]))
    for (i, j), offset, pixels in gathered(x, kernel.shape, strides, padding, dilation):
        z[:, i, j] += (pixels[:, :, None] * kernel[offset]).reshape(len(x), -1)
    return z


def convolve_transposed(x, kernel, strides):
    """Each input pixel paints its kernel, scaled, on the output: no padding."""
    size = [(x.shape[1 + axis] - 1) * strides[axis] + kernel.shape[axis] for axis in (0, 1)]
    z = np.zeros((len(x), *size, kernel.shape[2]))
    for i, j, a, b in itertools.product(*map(range, (x.shape[1], x.shape[2], kernel.shape[0], kernel.shape[1]))):
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
    y = normal(*model.compute_output_shape((3, *shape)), seed=2)
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
    assert profile.weights[1].gradient_norm == pytest.approx(norm(dz.sum(axis=tuple(range(dz.ndim - bias.ndim)))), rel=1e-4)
    assert site.forward_ratio == pytest.approx(q(z) / q(x), rel=1e-4)
    assert site.predicted_forward_ratio == pytest.approx(fan_in * q(kernel), rel=1e-4)
    assert site.predicted_backward_ratio == pytest.approx(fan_out * q(kernel), rel=1e-4)


def test_separable_convolution_predicts_the_product_of_its_two_kernels(measure, normal, set_weights, assert_moments):
    model = keras.Sequential([keras.Input(IMAGE), LAYERS.SeparableConv2D(3, 2, depth_multiplier=2, activation="relu")])
    set_weights(model, SEED)
    x = normal(3, *IMAGE)
    (site,) = measure(model, x).sites
    depthwise, pointwise, bias = in_float64(*model.get_weights())
    z = convolve_depthwise(x, depthwise) @ pointwise[0, 0] + bias
    assert_moments(site.activations.z, z)
    assert_moments(site.activations.h, np.maximum(z, 0))
    assert site.forward_ratio == pytest.approx(q(z) / q(x), rel=1e-4)
    assert site.predicted_forward_ratio == pytest.approx(4 * q(depthwise) * 8 * q(pointwise), rel=1e-4)
    assert site.predicted_backward_ratio == pytest.approx(4 * 2 * q(depthwise) * 3 * q(pointwise), rel=1e-4)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_predicted_ratios_use_the_activation_at_the_measured_scale(activation, measure, normal, set_weights):
    model = keras.Sequential([keras.Input((20,)), LAYERS.Dense(30, activation=activation), LAYERS.Dense(2)])
    set_weights(model, SEED, scale=0.8)
    site = measure(model, normal(16, 20)).sites[0]
    functions = {
        "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        "gelu": (
            lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
            lambda z: 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
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
    assert site.predicted_backward_ratio == pytest.approx(30 * q(kernel) * np.sum(density * derivative(z) ** 2), rel=1e-3)


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class TestAttention:
    """Two heads of three units on four positions: the four projections are sites of their own."""

    NAMES = ("query", "key", "value", "attention_output")

    @pytest.fixture(scope="class")
    def measured(self, measure, normal, set_weights):
        keras.utils.set_random_seed(0)
        inputs = keras.Input(ROW)
        model = keras.Model(inputs, LAYERS.MultiHeadAttention(2, 3, name="attention")(inputs, inputs))
        model.compile("sgd", "mse")
        set_weights(model, SEED)
        x, y = normal(2, *ROW, seed=1), normal(2, *ROW, seed=2)
        kernels = [dict((weight.path.split("attention/", 1)[1], np.asarray(weight, "float64")) for weight in model.weights)]
        return measure(model, x, y), kernels[0], *in_float64(x, y)

    @staticmethod
    def project(x, weights, name):
        return np.einsum("btc,chd->bthd", x, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]

    def mixed(self, query, key, value):
        scores = np.einsum("bthd,bshd->bhts", query, key) / math.sqrt(3)
        return np.einsum("bhts,bshd->bthd", softmax(scores), value)

    def output(self, mixed, weights):
        kernel = weights["attention_output/kernel"]
        return np.einsum("bthd,hdc->btc", mixed, kernel) + weights["attention_output/bias"]

    def test_signals(self, measured, assert_moments):
        profile, weights, x, _ = measured
        query, key, value = (self.project(x, weights, name) for name in self.NAMES[:3])
        mixed = self.mixed(query, key, value)
        hand = {"query": (x, query), "key": (x, key), "value": (x, value), "attention_output": (mixed, self.output(mixed, weights))}
        for name, (received, made) in hand.items():
            site = profile.site(f"attention/{name}")
            assert_moments(site.activations.x, received)
            assert_moments(site.activations.h, made)

    def test_gradients(self, measured, assert_moments):
        profile, weights, x, y = measured

        def loss(query, key, value):
            return q(self.output(self.mixed(query, key, value), weights) - y)

        hand = [self.project(x, weights, name) for name in self.NAMES[:3]]
        for position, name in enumerate(self.NAMES[:3]):

            def of_one(tensor, position=position):
                return loss(*[tensor if position == other else hand[other] for other in range(3)])

            dh = numeric_gradient(of_one, hand[position])
            dx = np.einsum("bthd,chd->btc", dh, weights[f"{name}/kernel"])
            site = profile.site(f"attention/{name}")
            if name == "key":  # a shift of all keys changes no score: the bias has no gradient, and the moments cancel
                assert site.loss_gradients.h.second_moment == pytest.approx(q(dh), rel=1e-4)
            else:
                assert_moments(site.loss_gradients.h, dh, rtol=2e-4)
            assert site.loss_gradients.x.second_moment == pytest.approx(q(dx), rel=2e-4)

    def test_fans_of_the_projections(self, measured):
        profile = measured[0]
        fans = {weight.name: (weight.fan_in, weight.fan_out) for weight in profile.weights if weight.role == "kernel"}
        expected = {f"attention/{name}/kernel": (5, 6) for name in self.NAMES[:3]} | {"attention/attention_output/kernel": (6, 5)}
        assert fans == expected


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run_lstm(x, kernel, recurrent_kernel, bias):
    h = c = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def run_gru(x, kernel, recurrent_kernel, bias):
    h = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        update, reset = sigmoid(xz + hz), sigmoid(xr + hr)
        h = update * h + (1 - update) * np.tanh(xh + reset * hh)
    return h


@pytest.mark.parametrize(("layer", "run", "gates"), [(LAYERS.LSTM, run_lstm, 4), (LAYERS.GRU, run_gru, 3)], ids=["lstm", "gru"])
def test_recurrent_layer_is_one_site(layer, run, gates, measure, normal, set_weights, assert_moments):
    model = keras.Sequential([keras.Input(ROW), layer(3, name="recurrent")])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(4, *ROW, seed=1), normal(4, 3, seed=2)
    profile = measure(model, x, y)
    x, y, *weights = in_float64(x, y, *model.get_weights())
    h = run(x, *weights)
    (site,) = profile.sites
    assert (site.kind, site.forward_ratio) == ("recurrent", None)
    assert_moments(site.activations.h, h)
    assert_moments(site.loss_gradients.h, mse_gradient(h, y))
    assert [weight.fan_in for weight in profile.weights[:2]] == [5, 3]
    assert [weight.fan_out for weight in profile.weights[:2]] == [3, 3]
    for position, weight in enumerate(profile.weights):

        def loss(value, position=position):
            return q(run(x, *weights[:position], value, *weights[position + 1 :]) - y)

        assert weight.gradient_norm == pytest.approx(norm(numeric_gradient(loss, weights[position])), rel=2e-4)


def test_embedding(measure, normal, set_weights, assert_moments):
    model = keras.Sequential([keras.Input((3,), dtype="int32"), LAYERS.Embedding(7, 4, name="embedding")])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    ids = np.array([[0, 1, 1], [5, 6, 0]])
    y = normal(2, 3, 4)
    profile = measure(model, ids, y)
    (table,) = in_float64(*model.get_weights())
    h = table[ids]
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, mse_gradient(h, y))
    (site,), (weight,) = profile.sites, profile.weights
    assert_moments(site.activations.h, h)
    assert_moments(site.loss_gradients.h, mse_gradient(h, y))
    assert (site.kind, weight.role, weight.fan_in) == ("embedding", "embedding", None)
    assert weight.gradient_norm == pytest.approx(norm(dtable), rel=1e-4)
    assert weight.gradient.share_zero == pytest.approx(3 / 7, rel=1e-6)


def test_activation_layer_belongs_to_the_weight_layer_before_it(measure, normal, set_weights, assert_moments):
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


def test_sample_weights_scale_the_loss_and_its_gradients(measure, normal, set_weights, assert_moments):
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
