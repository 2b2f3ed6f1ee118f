"""Networks whose weights or numbers look like a fault and are none, and the other way round."""

import keras
import numpy as np
from keras import initializers, layers

from tests.truth import real
from tests.truth.builders import Sampling, head, mlp
from tests.truth.net import Net


class Scale(layers.Layer):
    """LayerScale: a small factor for each unit of a branch (Touvron et al. 2021, section 2)."""

    def build(self, shape):
        self.gamma = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.Constant(1e-6), name="gamma"
        )

    def call(self, x):
        return x * self.gamma


def zero_head_behind_attention():
    """What receives queries and keys is not known, and nothing comes back from the head."""
    start = keras.Input((8, 8))
    x = layers.MultiHeadAttention(2, 8)(start, start)
    x = layers.Flatten()(x)
    return keras.Model(start, layers.Dense(10, "softmax", kernel_initializer="zeros")(x))


def code_of_two():
    """A sampled code: 2 numbers become 1024, whose gradients add up in each."""
    start = keras.Input((64,))
    code = Sampling()([layers.Dense(2)(start), layers.Dense(2)(start)])
    wide = layers.Dense(1024, "relu")(code)
    return keras.Model(start, layers.Dense(64)(layers.Dense(256, "relu")(wide)))


def scaled_branches(blocks=6):
    """Gradients in the branches are below Adam's epsilon until their scales have moved."""
    start = keras.Input((64,))
    x = layers.Dense(32)(start)
    for _ in range(blocks):
        branch = layers.Dense(64, "gelu")(layers.LayerNormalization()(x))
        x = x + Scale()(layers.Dense(32)(branch))
    return keras.Model(start, head(x))


def planes(seed, number=real.BATCH):
    """64 columns that two numbers make, to be made again."""
    random = np.random.default_rng(0)  # the same plane for every batch
    mixing = random.standard_normal((2, 64)) / np.sqrt(2.0)
    x = (np.random.default_rng(seed).standard_normal((number, 2)) @ mixing).astype("float32")
    return x, x


HEALTHY = (
    Net(
        "20 identities, ReLU",
        lambda: mlp(20, 64, "relu", "identity"),
        "measured: nothing is lost (Le et al. 2015)",
    ),
    Net(
        "zero head behind attention",
        zero_head_behind_attention,
        "the first step moves the head",
        optimizer="adam",
    ),
    Net(
        "code of 2 numbers, sampled",
        code_of_two,
        "2 inputs of 1024 units: the gradient's sum is no chaos",
        optimizer="adam",
        loss="mse",
        data=planes,
    ),
    Net(
        "branches times 1e-6",
        scaled_branches,
        "their scales move first (Touvron et al. 2021)",
        optimizer="adam",
    ),
)

FAULTY = (
    Net(
        "weights of one sign",
        lambda: mlp(6, 64, "relu", lambda: initializers.RandomUniform(0.0, 0.05)),
        "the signal is the same for all samples and units",
        ("IC102",),
        "hidden_1",
        severity="error",
    ),
)
