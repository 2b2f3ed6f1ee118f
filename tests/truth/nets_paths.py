"""Networks whose signal or gradient is changed by layers of the user's own and by functions between
layers.
"""

import itertools
import math

import keras
import numpy as np
from keras import layers, ops
from keras.initializers import HeNormal, RandomUniform

from tests.truth import real
from tests.truth.builders import head, normal
from tests.truth.net import Net

WIDTH = 128
SHARPNESS = 30.0
"""Sitzmann et al. (2020) multiply by this before the sine."""


class Product(layers.Layer):
    """`relu(x @ w)`, or the product alone."""

    def __init__(self, initializer, is_rectified=True, **options):
        super().__init__(**options)
        self.initializer, self.is_rectified = initializer, is_rectified

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], WIDTH), initializer=self.initializer, name="w")

    def call(self, x):
        product = ops.matmul(x, self.w)
        return ops.relu(product) if self.is_rectified else product


class RadialBasis(layers.Layer):
    """`exp(-|x - c|² / width)` around 100 centers."""

    def __init__(self, width, **options):
        super().__init__(**options)
        self.width = width

    def build(self, shape):
        self.centers = self.add_weight(
            shape=(shape[-1], 100), initializer=RandomUniform(-1.0, 1.0), name="centers"
        )

    def call(self, x):
        distance = ops.expand_dims(x, -1) - self.centers
        return ops.exp(-ops.sum(distance * distance, axis=1) / self.width)


class Polynomials(layers.Layer):
    """Sums of Chebyshev polynomials of each input, up to the third."""

    def build(self, shape):
        self.factors = self.add_weight(
            shape=(shape[-1], 32, 4), initializer=normal(0.25 / shape[-1]), name="factors"
        )

    def call(self, x):
        first = ops.tanh(x)
        second = 2.0 * first * first - 1.0
        powers = [ops.ones_like(first), first, second, 2.0 * first * second - first]
        return ops.einsum("bid,iod->bo", ops.stack(powers, axis=-1), self.factors)


class Standardized(layers.Layer):
    """A layer normalization of the user's own."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        centered = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(centered * centered, axis=-1, keepdims=True)
        return self.scale * centered / ops.sqrt(variance + 1e-6)


def squash(vectors):
    """Sabour et al. (2017), with a root that has a slope at zero."""
    square = ops.sum(vectors * vectors, axis=-1, keepdims=True)
    return square / (1.0 + square) * vectors / ops.sqrt(square + 1e-7)


class Capsules(layers.Layer):
    """Ten capsules of 16 numbers, by three rounds of routing."""

    def build(self, shape):
        self.w = self.add_weight(shape=(10, shape[1], 16, shape[2]), initializer=normal(0.1))

    def call(self, x):
        votes = ops.einsum("jidk,bik->bjid", self.w, x)
        agreement = ops.zeros_like(votes[..., 0])
        for _ in range(2):
            capsules = self._capsules(agreement, votes)
            agreement = agreement + ops.einsum("bjd,bjid->bji", capsules, votes)
        return self._capsules(agreement, votes)

    def _capsules(self, agreement, votes):
        return squash(ops.einsum("bji,bjid->bjd", ops.softmax(agreement, axis=1), votes))


def products(initializer, *, is_rectified=True):
    """Six layers of the user's own, with the activation inside or between them."""
    x = start = keras.Input((64,))
    for number in range(6):
        x = Product(initializer(), is_rectified, name=f"own_{number}")(x)
        x = x if is_rectified else ops.relu(x)
    return keras.Model(start, head(x))


class Bare(keras.Model):
    """Weights of the model itself."""

    def __init__(self, initializer):
        super().__init__()
        widths = (64, *[WIDTH] * 6)
        self.matrices = [
            self.add_weight(shape=shape, initializer=initializer(), name=f"w_{number}")
            for number, shape in enumerate(itertools.pairwise(widths))
        ]
        self.out = layers.Dense(10, "softmax", name="head")

    def call(self, x):
        for matrix in self.matrices:
            x = ops.relu(ops.matmul(x, matrix))
        return self.out(x)


def bare(initializer):
    """The same, built."""
    model = Bare(initializer)
    model(np.zeros((2, 64), "float32"))
    return model


def sines(is_siren, width=256):
    """`sin(30 Dense(h))` four times; the weights are Keras' or those of Sitzmann et al. (2020)."""

    def weights(inputs):
        bound = 1 / inputs if inputs == 2 else math.sqrt(6 / inputs) / SHARPNESS
        return RandomUniform(-bound, bound) if is_siren else "glorot_uniform"

    x = start = keras.Input((2,))
    for number in range(4):
        dense = layers.Dense(width, kernel_initializer=weights(x.shape[-1]), name=f"wave_{number}")
        x = ops.sin(SHARPNESS * dense(x))
    return keras.Model(start, layers.Dense(1, kernel_initializer=weights(width))(x))


def waves(seed, number=real.BATCH):
    """Points of a square, and a picture there."""
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, (number, 2)).astype("float32")
    y = np.sin(6 * x[:, 0] + 2 * x[:, 1]) * np.cos(5 * x[:, 1])
    return x, (y / y.std()).astype("float32")[:, None]


def too_steep_sines(name, build):
    """Keras' weights where Sitzmann's are right, with either optimizer; `build(is_siren=...)`."""
    shared = {"loss": "mse", "data": waves, "cured": lambda: build(is_siren=True)}
    return (
        Net(
            f"{name}, Glorot",
            lambda: build(is_siren=False),
            "the gradient grows by e^6 in each",
            ("IC306",),
            **shared,
        ),
        Net(
            f"{name}, Glorot, with Adam",
            lambda: build(is_siren=False),
            "chaos, whatever the optimizer",
            ("IC306",),
            optimizer="adam",
            rate=1e-4,
            **shared,
        ),
    )


def radial(width):
    """A radial basis layer and a head."""
    start = keras.Input((64,))
    return keras.Model(start, head(RadialBasis(width, name="radial")(start)))


def between(function, initializer=HeNormal, depth=4):
    """A function of the user's own behind each hidden layer."""
    x = start = keras.Input((64,))
    for number in range(depth):
        x = layers.Dense(WIDTH, kernel_initializer=initializer(), name=f"hidden_{number}")(x)
        x = layers.Lambda(function, name=f"between_{number}")(x)
    return keras.Model(start, head(x))


def polynomials():
    """Three layers of polynomials."""
    x = start = keras.Input((64,))
    for _ in range(3):
        x = Polynomials()(x)
    return keras.Model(start, head(x))


def standardized():
    """Small weights before a normalization of the user's own."""
    x = start = keras.Input((64,))
    for _ in range(6):
        x = ops.relu(Standardized()(layers.Dense(64, kernel_initializer=normal(0.01))(x)))
    return keras.Model(start, head(x))


def directions():
    """Unit vectors, made larger before the head."""
    start = keras.Input((64,))
    x = layers.Dense(512)(layers.Dense(64, "relu")(start))
    return keras.Model(start, head(30.0 * ops.normalize(x, axis=-1)))


def highway(depth=8):
    """Srivastava et al. (2015): gates between a layer and what goes by it."""
    x = start = keras.Input((64,))
    for _ in range(depth):
        gate = layers.Dense(64, "sigmoid", bias_initializer=keras.initializers.Constant(-2.0))(x)
        x = gate * layers.Dense(64, "relu")(x) + (1.0 - gate) * x
    return keras.Model(start, head(x))


def capsules():
    """Capsules on 8x8 images, whose lengths are the answer."""
    start = keras.Input((64,))
    x = layers.Conv2D(64, 5, activation="relu")(layers.Reshape((8, 8, 1))(start))
    x = layers.Lambda(squash)(layers.Reshape((-1, 8))(x))
    x = Capsules(name="capsules")(x)
    return keras.Model(start, ops.sqrt(ops.sum(x * x, axis=-1) + 1e-7))


def one_hot_digits(seed, number=real.BATCH):
    """Digits with an indicator of each class."""
    x, y = real.digits(seed, number)
    return x, np.eye(10, dtype="float32")[y]


def small():
    """N(0, 0.01²)."""
    return normal(0.01)


GAIN = ("IC102", "IC103")
HEALTHY = (
    Net("own layers, He", lambda: products(HeNormal), "every factor is 1"),
    Net("weights outside of layers, He", lambda: bare(HeNormal), "every factor is 1"),
    Net("SIREN", lambda: sines(is_siren=True), "Sitzmann et al. 2020", loss="mse", data=waves),
    Net(
        "SIREN with Adam",
        lambda: sines(is_siren=True),
        "Sitzmann et al. 2020",
        optimizer="adam",
        loss="mse",
        data=waves,
        rate=1e-4,
    ),
    Net("radial basis, wide", lambda: radial(64.0), "outputs of a quarter"),
    Net("Lambda relu, He", lambda: between(ops.relu), "every factor is 1"),
    Net("polynomials", polynomials, "the gradient alone shrinks, by e^-8"),
    Net("own normalization, N(0,0.01²)", standardized, "normalized"),
    Net("unit vectors x 30", directions, "30² / 512 is about 1"),
    Net("highway layers", highway, "gates let the signal by"),
    Net(
        "capsules",
        capsules,
        "short vectors by design",
        optimizer="adam",
        loss="mse",
        data=one_hot_digits,
    ),
)
FAULTY = (
    Net("own layers N(0,0.01²)", lambda: products(small), "0.0064 a layer", GAIN, "own_3"),
    Net(
        "own products N(0,0.01²)",
        lambda: products(small, is_rectified=False),
        "0.0064 a layer, relu between them",
        GAIN,
        "own_3",
    ),
    Net(
        "Lambda relu N(0,0.01²)",
        lambda: between(ops.relu, small, depth=6),
        "0.0064 a layer, each a chain of its own",
        GAIN,
        "hidden_3",
    ),
    Net("weights outside of layers N(0,0.01²)", lambda: bare(small), "0.0064 each", ("IC307",)),
    *too_steep_sines("sines of 30 z", sines),
    Net(
        "radial basis, narrow",
        lambda: radial(1.0),
        "e^-85 on 64 columns",
        ("IC211",),
        "radial",
        cured=lambda: radial(64.0),
    ),
    Net(
        "Lambda x 1e-6",
        lambda: between(lambda x: 1e-6 * ops.relu(x)),
        "1e-12 each",
        ("IC211",),
        "between_2",
        cured=lambda: between(ops.relu),
    ),
    Net(
        "Lambda x 1000",
        lambda: between(lambda x: 1000.0 * ops.relu(x)),
        "1e6 each",
        ("IC211",),
        "between_2",
        cured=lambda: between(ops.relu),
    ),
)
