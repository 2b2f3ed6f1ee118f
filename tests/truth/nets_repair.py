"""Networks whose fault lies upstream of what it shows in, or in more layers than it shows in."""

import keras
from keras import layers

from tests.truth.builders import normal, recurrent
from tests.truth.net import Net


def _unsquashed(initializer):
    """A recurrent layer whose state nothing bounds."""
    return recurrent(
        lambda: layers.SimpleRNN(64, "relu", recurrent_initializer=initializer(), name="rnn")
    )


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
)
FAULTY = (
    Net(
        "SimpleRNN relu, recurrent N(0,1)",
        lambda: _unsquashed(lambda: normal(1.0)),
        "32 times the second moment in each of 20 steps",
        ("IC305",),
        "rnn",
    ),
)
