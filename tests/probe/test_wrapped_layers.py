"""Layers inside wrappers are sites like any others, and what is measured there is what is computed.

The time-distributed layers are compared with the same layers without a wrapper, whose statistics
other tests compare with numpy.
"""

import keras
import numpy as np
import pytest

from keras_initcheck.records.measurement import SECOND_MOMENT, H, X, Z

LAYERS = keras.layers
STEPS, UNITS = 3, 5


def dense(activation=None):
    return LAYERS.Dense(UNITS, activation, name="inner")


def block():
    layers = [LAYERS.Dense(7, "tanh"), LAYERS.Dropout(0.0), LAYERS.Dense(UNITS)]
    return keras.Sequential(layers, name="inner")


INNER = {
    "linear": dense,
    "relu": lambda: dense("relu"),
    "softmax": lambda: dense("softmax"),
    "leaky relu as a layer": lambda: dense(LAYERS.LeakyReLU(0.1)),
    "model": block,
}


@pytest.fixture
def both(measure, normal, set_weights):
    """Profiles of a layer in a `TimeDistributed` and of the same layer on sequences."""

    def profiles(make):
        found = []
        x, y = normal(4, STEPS, UNITS, seed=1), normal(4, STEPS, UNITS, seed=2)
        for wrap in (LAYERS.TimeDistributed, lambda layer: layer):
            inputs = keras.Input((STEPS, UNITS))
            layer = make()
            model = keras.Model(inputs, LAYERS.Dense(UNITS)(wrap(layer)(inputs)))
            model.compile("sgd", "mse")
            set_weights(model, 3)
            found.append(measure(model, x, y))
        return found

    return profiles


@pytest.mark.parametrize("make", INNER.values(), ids=INNER)
def test_a_time_distributed_layer_is_measured_as_the_layer_itself(both, make):
    wrapped, plain = both(make)
    for name in ("activations", "loss_gradients"):
        ours, theirs = (getattr(each.measurement, name) for each in (wrapped, plain))
        np.testing.assert_allclose(
            ours[:, [X, Z, H], SECOND_MOMENT], theirs[:, [X, Z, H], SECOND_MOMENT], rtol=1e-5
        )  # float32
    for name in ("predicted_forward_ratio", "predicted_backward_ratio", "forward_ratio"):
        ours, theirs = (getattr(each.measurement, name) for each in (wrapped, plain))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(
        wrapped.measurement.weight_gradient_norm, plain.measurement.weight_gradient_norm, rtol=1e-4
    )
    assert wrapped.loss == pytest.approx(plain.loss, rel=1e-6)
    assert not wrapped.not_probed


def test_predictions_go_through_a_time_distributed_layer(both):
    wrapped, plain = both(lambda: dense("relu"))
    for name in ("predicted_log10_second_moment", "predicted_log10_gradient"):
        ours, theirs = (getattr(each.measurement, name) for each in (wrapped, plain))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_site_of_a_time_distributed_layer_is_the_layer_inside(both):
    wrapped, _ = both(lambda: dense("relu"))
    site = wrapped.sites[0]
    (path,) = {site.name, site.layer}
    assert path.startswith("time_distributed") and path.endswith("/inner")
    assert (site.layer_type, site.kind, site.activation) == ("Dense", "weight", "relu")
    assert site.input_shape == site.output_shape == (4 * STEPS, UNITS)
    assert {weight.layer for weight in wrapped.weights if weight.site == 0} == {path}


def test_predicted_ratio_of_a_time_distributed_convolution(measure, normal):
    inputs = keras.Input((STEPS, 6, 6, 2))
    layer = LAYERS.TimeDistributed(LAYERS.Conv2D(4, 3, strides=2, activation="relu"))
    model = keras.Model(inputs, LAYERS.Dense(1)(LAYERS.Flatten()(layer(inputs))))
    site = measure(model, normal(8, STEPS, 6, 6, 2)).sites[0]
    kernel = np.asarray(model.layers[1].layer.kernel, "float64")
    expected = 0.5 * 18 * np.mean(kernel**2)  # 3 x 3 x 2 inputs, half of which relu passes on
    assert site.predicted_forward_ratio == pytest.approx(expected, rel=1e-5)
    assert site.output_shape == (8 * STEPS, 2, 2, 4)


def test_a_wrapped_layer_that_needs_its_batch_size_is_measured_from_outside(measure, normal):
    inner = keras.Sequential(
        [keras.Input(batch_shape=(4, UNITS)), LAYERS.Dense(UNITS), Fixed()], name="inner"
    )
    model = keras.Sequential([keras.Input((STEPS, UNITS)), LAYERS.TimeDistributed(inner)])
    profile = measure(model, normal(4, STEPS, UNITS))
    (site,) = profile.sites
    assert (site.layer_type, site.kind) == ("TimeDistributed", "other")
    assert site.activations.h is not None
    assert dict(profile.not_probed) == {f"{site.name}/inner": f"inside {site.name}"}


class Fixed(LAYERS.Layer):
    """Takes four samples and no other number."""

    def call(self, inputs):
        return keras.ops.reshape(inputs, (4, UNITS))

    def compute_output_shape(self, input_shape):
        if input_shape[0] not in (4, None):
            raise ValueError(f"Expected four samples. Received: {input_shape}.")
        return (4, UNITS)


def test_both_directions_are_joined_by_known_links(measure, normal):
    model = keras.Sequential(
        [
            keras.Input((STEPS, UNITS)),
            LAYERS.Bidirectional(LAYERS.GRU(4), name="both"),
            LAYERS.Dense(2),
        ]
    )
    profile = measure(model, normal(4, STEPS, UNITS))
    links = [(site.layer, site.kind, site.inputs, site.inputs_known) for site in profile.sites]
    forward, backward, *rest = links
    assert [each[1:] for each in (forward, backward)] == [("recurrent", (), True)] * 2
    assert rest[0] == ("both", "block", (0, 1), True)
    assert rest[1][2:] == ((2,), True)
    assert {weight.site for weight in profile.weights if "gru" in weight.name} == {0, 1}


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_cell_in_a_loop_is_judged_as_its_layer(measure, normal, set_weights, kind):
    layer, cell = getattr(LAYERS, kind)(4), getattr(LAYERS, f"{kind}Cell")(4)
    found = []
    for each in (layer, LAYERS.RNN(cell)):
        model = keras.Sequential([keras.Input((STEPS, UNITS)), each, LAYERS.Dense(2)])
        model.compile("sgd", "mse")
        set_weights(model, 3)
        found.append(measure(model, normal(4, STEPS, UNITS), normal(4, 2, seed=2)))
    ours, theirs = found
    assert ours.sites[0].activation == theirs.sites[0].activation == "tanh"
    fans = [[(weight.fan_in, weight.fan_out) for weight in each.weights] for each in found]
    assert fans[0] == fans[1]
    np.testing.assert_allclose(
        ours.measurement.weight_gradient_norm, theirs.measurement.weight_gradient_norm, rtol=1e-4
    )
    assert not ours.not_probed


def test_kernels_are_measured_as_spectral_normalization_uses_them(measure, normal):
    layer = LAYERS.SpectralNormalization(LAYERS.Dense(16, use_bias=False), power_iterations=50)
    model = keras.Sequential([keras.Input((16,)), layer, LAYERS.Dense(2)])
    before = np.asarray(layer.layer.kernel, "float64")
    profile = measure(model, normal(64, 16))
    expected = np.mean(before**2) / np.linalg.norm(before, 2) ** 2
    assert profile.weights[0].moments.second_moment == pytest.approx(expected, rel=1e-3)
    assert np.array_equal(before, np.asarray(layer.layer.kernel, "float64"))
    assert profile.weights[0].draw is None or profile.weights[0].draw.promised is None
