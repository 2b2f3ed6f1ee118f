"""Networks whose fault lies upstream of what it shows in, or in more layers than it shows in."""

import keras
from keras import layers

from tests.truth.builders import mlp, normal, recurrent, transformer
from tests.truth.net import Net


def _unsquashed(initializer):
    """A recurrent layer whose state nothing bounds."""
    return recurrent(
        lambda: layers.SimpleRNN(64, "relu", recurrent_initializer=initializer(), name="rnn")
    )


def _half(initializer):
    """All layers in float16."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        return mlp(6, 128, "relu", initializer)
    finally:
        keras.config.set_dtype_policy(policy)


HEALTHY = (
    Net(
        "SimpleRNN relu, orthogonal",
        lambda: _unsquashed(keras.initializers.Orthogonal),
        "no step enlarges the state",
    ),
    Net(
        "SimpleRNN relu, recurrent He",
        lambda: _unsquashed(keras.initializers.HeNormal),
        "each step keeps the state, and adds its input",
    ),
    Net("float16 MLP 6x128 He", lambda: _half("he_normal"), "every factor is 1"),
    Net(
        "transformer, 2 blocks with Adam",
        lambda: transformer(blocks=2),
        "Keras' defaults",
        optimizer="adam",
    ),
)
FAULTY = (
    Net(
        "SimpleRNN relu, recurrent N(0,1)",
        lambda: _unsquashed(lambda: normal(1.0)),
        "32 times the second moment in each of 20 steps",
        ("IC305",),
        "rnn",
    ),
    Net(
        "float16 MLP 6x128 N(0,1)",
        lambda: _half(lambda: normal(1.0)),
        "64 a layer",
        ("IC102",),
        "hidden_1",
    ),
    Net(
        "transformer N(0,1), 2 blocks with Adam",
        lambda: transformer(lambda: normal(1.0), blocks=2),
        "logits of 64; behind normalizations a step moves an eighth of what it should",
        ("IC207",),
        optimizer="adam",
        rate=1e-3,
    ),
)
