"""Networks whose layers stand inside of wrappers, and parts that no training has ever touched."""

import keras
from keras import layers

from tests.truth.builders import depthwise, head, normal, recurrent, resnet
from tests.truth.net import Net

SEQUENCE = (8, 64)


class Doubled(layers.Wrapper):
    """A wrapper of the user's own: what the layer makes, twice."""

    def call(self, inputs):
        """The layer's output times two."""
        return 2.0 * self.layer(inputs)


def _wrapped(wrap, initializer, depth=6, shape=SEQUENCE):
    """`depth` wrapped dense layers on sequences."""
    x = start = keras.Input(shape)
    for number in range(depth):
        inner = layers.Dense(64, "relu", kernel_initializer=initializer(), name=f"hidden_{number}")
        x = wrap(inner)(x)
    return keras.Model(start, head(layers.GlobalAveragePooling1D()(x)))


def _dense_in_time(initializer):
    return _wrapped(layers.TimeDistributed, initializer)


def _convolutions_in_time(initializer):
    x = start = keras.Input((8, 8, 4))
    for _ in range(6):
        inner = layers.Conv1D(
            16, 3, padding="same", activation="relu", kernel_initializer=initializer()
        )
        x = layers.TimeDistributed(inner)(x)
    return keras.Model(start, head(layers.Flatten()(x)))


def _model_in_time(initializer):
    """One image network for all frames, and a recurrent layer over what it makes of them."""
    x = frame = keras.Input((8, 4))
    for _ in range(6):
        x = layers.Conv1D(
            16, 3, padding="same", activation="relu", kernel_initializer=initializer()
        )(x)
    encoder = keras.Model(frame, layers.Flatten()(x), name="encoder")
    start = keras.Input((8, 8, 4))
    return keras.Model(start, head(layers.GRU(32)(layers.TimeDistributed(encoder)(start))))


def _both_ways(recurrent_initializer):
    return recurrent(
        lambda: layers.Bidirectional(
            layers.SimpleRNN(32, recurrent_initializer=recurrent_initializer(), name="rnn")
        ),
        steps=50,
    )


def _stacked(recurrent_initializer):
    cells = [
        layers.SimpleRNNCell(32, recurrent_initializer=recurrent_initializer()) for _ in range(2)
    ]
    return recurrent(lambda: layers.RNN(cells, name="rnn"), steps=50)


def _frozen(model):
    """Only the head is trained."""
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def _tiny_before_norm():
    """A recurrent layer whose output is lost in the epsilon of the normalization behind it."""
    start = keras.Input((20, 8))
    x = layers.LSTM(32, kernel_initializer=normal(1e-4))(start)
    return keras.Model(start, head(layers.LayerNormalization()(x)))


def _he():
    return keras.initializers.HeNormal()


def _orthogonal():
    return keras.initializers.Orthogonal()


GAIN = ("IC102", "IC103")
HEALTHY = (
    Net("Dense in time, He", lambda: _dense_in_time(_he), "every factor is 1"),
    Net("Conv1D in time, He", lambda: _convolutions_in_time(_he), "every factor is 1"),
    Net("model in time, He", lambda: _model_in_time(_he), "every factor is 1"),
    Net(
        "own wrapper, half of He",
        lambda: _wrapped(Doubled, lambda: keras.initializers.VarianceScaling(0.5)),
        "the wrapper makes up for it",
    ),
    Net("SimpleRNN both ways, 50 steps", lambda: _both_ways(_orthogonal), "nothing grows"),
    Net(
        "frozen random ResNet",
        lambda: _frozen(resnet()),
        "features of a usable size, though its head alone does not learn the digits",
    ),
    Net("stacked cells, 50 steps", lambda: _stacked(_orthogonal), "nothing grows"),
)
FAULTY = (
    Net(
        "Dense in time N(0,0.01²)",
        lambda: _dense_in_time(lambda: normal(0.01)),
        "0.0032 a layer",
        GAIN,
    ),
    Net(
        "Conv1D in time N(0,0.02²)",
        lambda: _convolutions_in_time(lambda: normal(0.02)),
        "0.01 a layer",
        GAIN,
    ),
    Net(
        "model in time N(0,0.02²)",
        lambda: _model_in_time(lambda: normal(0.02)),
        "0.01 a layer",
        GAIN,
    ),
    Net(
        "SimpleRNN both ways, recurrent N(0,1)",
        lambda: _both_ways(lambda: normal(1.0)),
        "the gradient explodes over 50 steps",
        ("IC305",),
    ),
    Net(
        "frozen random MobileNet blocks",
        lambda: _frozen(depthwise(True)),
        "normalizes with means of 0 and variances of 1: 0.02 a block",
        ("IC212",),
    ),
    Net(
        "stacked cells, recurrent N(0,1)",
        lambda: _stacked(lambda: normal(1.0)),
        "the gradient explodes over 50 steps",
        ("IC305",),
        "rnn",
    ),
)
