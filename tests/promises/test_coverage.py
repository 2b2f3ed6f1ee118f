"""A healthy verdict names the layers that it is not about, and the share of the other weights."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_initcheck as ic

X = np.random.default_rng(0).standard_normal((16, 8)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 4)).astype("float32")
HEALTHY = "net: healthy. No layer loses or blows up the signal."


class Net(keras.Model):
    """Two layers that are called, and others that are held and not trained.

    A layer that is to be trained and receives no gradient is a finding.
    """

    def __init__(self, width=8, **held):
        super().__init__(name="net")
        self.first = layers.Dense(width, "relu", name="first")
        self.head = layers.Dense(4, name="head")
        for name, layer in held.items():
            layer.trainable = False
            setattr(self, name, layer)

    def call(self, x):
        return self.head(self.first(x))


class Own(layers.Layer):
    """Own arithmetic on a weight of its own, and a counter."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 8), name="w")
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def call(self, x):
        return ops.relu(ops.matmul(x, self.kernel))


def verdict(model):
    model(X)
    model.compile("sgd", "mse")
    report = ic.check(model, X, Y)
    assert report.ok, report
    return report.verdict


def built(layer, shape=(None, 8)):
    layer.build(shape)
    return layer


def sequential(*parts):
    return keras.Sequential([keras.Input((8,)), *parts, layers.Dense(4)], name="net")


def test_layer_that_is_never_called_is_named_with_its_share():
    unused = built(layers.Dense(12, name="unused"))
    parameters = 8 * 8 + 8 + 8 * 4 + 4
    share = int(100 * parameters / (parameters + 8 * 12 + 12))
    assert verdict(Net(unused=unused)) == (
        f"net: healthy as far as probed: {share}% of the weights; never called: `unused`."
    )


def test_layers_of_an_unused_model_are_named_and_the_rest_counted():
    parts = [layers.Dense(2, name=f"part_{number}") for number in range(5)]
    unused = keras.Sequential([keras.Input((8,)), *parts], name="unused")
    assert verdict(Net(unused=unused)).endswith(
        "never called: `unused/part_0`, `unused/part_1`, `unused/part_2` and 2 more."
    )


def test_a_share_close_to_all_is_not_rounded_to_all():
    unused = built(layers.Dense(1, use_bias=False, name="unused"), (None, 1))
    assert "as far as probed: 99.9% of the weights" in verdict(Net(width=2000, unused=unused))


@pytest.mark.parametrize(
    "parts",
    [
        [layers.Dense(8, "relu")],
        [Own()],
        [layers.Reshape((4, 2)), layers.LSTM(8)],
        [
            layers.Reshape((4, 2)),
            layers.Bidirectional(layers.RNN([layers.GRUCell(4), layers.GRUCell(4)])),
        ],
        [layers.Reshape((4, 2)), layers.TimeDistributed(layers.Dense(3)), layers.Flatten()],
        [layers.SpectralNormalization(layers.Dense(8))],
        [layers.Dense(8), layers.BatchNormalization(), layers.PReLU(), layers.Dropout(0.1)],
        [layers.Reshape((4, 2)), layers.LayerNormalization(), layers.Flatten()],
        [layers.Reshape((1, 8)), layers.Conv1D(4, 1), layers.Flatten()],
    ],
    ids=["dense", "own", "lstm", "both ways", "in time", "spectral", "norms", "layer norm", "conv"],
)
def test_everything_counts_that_was_measured(parts):
    assert verdict(sequential(*parts)) == HEALTHY


def test_weights_of_the_model_itself_count_where_its_layers_were_measured():
    class WithOffset(Net):
        def build(self, shape):
            self.offset = self.add_weight(shape=(8,), initializer="zeros", name="offset")
            self.first.build(shape)
            self.head.build((None, 8))

        def call(self, x):
            return self.head(self.first(x) + self.offset)

    assert verdict(WithOffset()) == HEALTHY


def test_layers_in_a_loop_that_cannot_be_taken_apart_are_named():
    class Fixed(layers.Layer):
        def call(self, inputs):
            return ops.reshape(inputs, (16, 4))

        def compute_output_shape(self, shape):
            if shape[0] not in (16, None):
                raise ValueError(f"Expected sixteen samples. Received: {shape}.")
            return (16, 4)

    inner = keras.Sequential(
        [keras.Input(batch_shape=(16, 4)), layers.Dense(4, name="hidden"), Fixed()], name="inner"
    )
    wrapper = layers.TimeDistributed(inner, name="loop")
    model = sequential(layers.Reshape((2, 4)), wrapper, layers.Flatten())
    assert verdict(model).endswith("of the weights; not probed: `loop/inner/hidden`.")


def test_the_verdict_is_the_same_in_all_outputs(tmp_path):
    model = Net(unused=built(layers.Dense(12, name="unused")))
    model(X)
    report = ic.check(model, X)
    assert str(report).replace("\n", " ").endswith(report.verdict)
    assert ic.Report.from_json(report.to_json()).verdict == report.verdict
    page = tmp_path / "report.html"
    report.save_html(page)
    assert "healthy as far as probed" in page.read_text()
