"""Subclassed networks with functions between their layers, which no layer shows."""

import math

import keras
import numpy as np
from keras import layers, ops
from keras.initializers import HeNormal, RandomUniform

from tests.truth.net import Net
from tests.truth.nets_paths import GAIN, SHARPNESS, WIDTH, small, too_steep_sines, waves


class Written(keras.Model):
    """Layers and a head, with a function in `call` behind each of the last layers."""

    def __init__(self, hidden, head, function, first=0):
        super().__init__()
        self.hidden, self.out = hidden, head
        self.function, self.first = function, first

    def call(self, x):
        for number, layer in enumerate(self.hidden):
            x = layer(x)
            x = self.function(x) if number >= self.first else x
        return self.out(x)


class Residual(keras.Model):
    """`h + 0.2 f(h)` in `call`."""

    def __init__(self, depth=12, width=64):
        super().__init__()
        self.outer = [layers.Dense(4 * width, "gelu") for _ in range(depth)]
        self.inner = [layers.Dense(width) for _ in range(depth)]
        self.first, self.out = layers.Dense(width), layers.Dense(10, "softmax")

    def call(self, x):
        x = self.first(x)
        for outer, inner in zip(self.outer, self.inner, strict=True):
            x = x + 0.2 * inner(outer(x))
        return self.out(x)


def residual():
    """The same, built."""
    model = Residual()
    model(np.zeros((2, 64), "float32"))
    return model


def written(function, activation=None, initializer=HeNormal, **options):
    """A subclassed network of four layers, built."""
    hidden = [
        layers.Dense(WIDTH, activation, kernel_initializer=initializer(), name=f"hidden_{k}")
        for k in range(4)
    ]
    model = Written(hidden, layers.Dense(10, "softmax", name="head"), function, **options)
    model(np.zeros((2, 64), "float32"))
    return model


def wave_layers(is_siren, width):
    """Four layers and a head; the weights are Keras' or those of Sitzmann et al. (2020)."""

    def wave(inputs, units, **options):
        bound = 1 / inputs if inputs == 2 else math.sqrt(6 / inputs) / SHARPNESS
        weights = RandomUniform(-bound, bound) if is_siren else "glorot_uniform"
        return layers.Dense(units, kernel_initializer=weights, **options)

    hidden = [wave(width if k else 2, width, name=f"wave_{k}") for k in range(4)]
    return hidden, wave(width, 1)


def written_sines(is_siren, width=256):
    """`sin(30 Dense(h))` four times, built."""
    model = Written(*wave_layers(is_siren, width), lambda z: ops.sin(SHARPNESS * z))
    model(np.zeros((2, 2), "float32"))
    return model


HEALTHY = (
    Net(
        "SIREN in call",
        lambda: written_sines(is_siren=True),
        "Sitzmann et al. 2020",
        loss="mse",
        data=waves,
    ),
    Net("relu in call, He", lambda: written(ops.relu), "every factor is 1"),
    Net("x 1.1 in call", lambda: written(lambda h: 1.1 * h, "relu"), "1.2 a layer"),
    Net("sums in call", residual, "small branches beside a stream"),
)
FAULTY = (
    *too_steep_sines("sines of 30 z in call", written_sines),
    Net(
        "relu in call, N(0,0.01²)",
        lambda: written(ops.relu, initializer=small),
        "0.0064 a layer",
        GAIN,
        "hidden_2",
    ),
    Net(
        "x 1e-6 in call",
        lambda: written(lambda h: 1e-6 * h, "relu"),
        "1e-12 each",
        ("IC211",),
        "hidden_2",
        cured=lambda: written(lambda h: h, "relu"),
    ),
    Net(
        "x 1e-6 in call, before the head alone",
        lambda: written(lambda h: 1e-6 * h, "relu", first=3),
        "1e-12",
        ("IC211",),
        "head",
        cured=lambda: written(lambda h: h, "relu"),
    ),
    Net(
        "1000 relu in call",
        lambda: written(lambda z: 1000.0 * ops.relu(z)),
        "1e6 each",
        ("IC211",),
        "hidden_2",
        cured=lambda: written(ops.relu),
    ),
)
