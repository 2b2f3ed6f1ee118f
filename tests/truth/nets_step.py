"""Networks in order whose optimizer or data make the first step ruin them, or change nothing."""

import keras
import numpy as np
from keras import layers

from tests.truth import real
from tests.truth.builders import Sampling, mlp, normal
from tests.truth.net import Net

_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classifier():
    return mlp(3, 64, "relu", "he_normal")


def _with_logits():
    model = _classifier()
    return keras.Model(model.input, layers.Dense(10, name="logits")(model.layers[-2].output))


def _with_norm():
    return mlp(3, 64, "relu", "he_normal", between=layers.BatchNormalization)


def _regressor():
    start = keras.Input((64,))
    return keras.Model(start, layers.Dense(1)(layers.Dense(64, "relu")(start)))


def _prices(seed, number=real.BATCH):
    """Digits as prices around 150,000."""
    x, y = real.digits(seed, number)
    return x, (150_000.0 + 1_000.0 * y[:, None]).astype("float32")


def _standardized_prices(seed, number=real.BATCH):
    x, y = real.digits(seed, number)
    return x, ((y[:, None] - 4.5) / 2.87).astype("float32")


def _itself(seed, number=real.BATCH):
    x, _ = real.digits(seed, number)
    return x, np.copy(x)


def _variational(std):
    """An autoencoder whose log variance has weights of that deviation."""
    start = keras.Input((64,))
    h = layers.Dense(32, "relu", kernel_initializer="he_normal")(start)
    log_variance = layers.Dense(8, kernel_initializer=normal(std), name="log_variance")(h)
    code = Sampling()([layers.Dense(8)(h), log_variance])
    return keras.Model(start, layers.Dense(64)(layers.Dense(32, "relu")(code)))


HEALTHY = (
    Net("SGD 0.3", _classifier, "a high rate that trains", data=real.digits, rate=0.3),
    Net("SGD 1, batch norm", _with_norm, "normalized nets bear it", data=real.digits, rate=1.0),
    Net(
        "Adam 0.03",
        _with_logits,
        "a high rate that trains",
        optimizer="adam",
        loss=_LOGITS,
        data=real.digits,
        rate=0.03,
    ),
    Net(
        "Adam 1e-4",
        _classifier,
        "the first per cent takes two steps",
        optimizer="adam",
        data=real.digits,
        rate=1e-4,
    ),
    Net(
        "labels of deviation 1, SGD 0.01",
        _regressor,
        "standardized",
        loss="mse",
        data=_standardized_prices,
        rate=0.01,
    ),
    Net(
        "log variance near 0",
        lambda: _variational(0.05),
        "exp of it is near 1",
        loss="mse",
        data=_itself,
    ),
)
FAULTY = (
    Net("SGD 50", _classifier, "saturates", ("IC601",), data=real.digits, rate=50.0),
    Net(
        "SGD 50, logits",
        _with_logits,
        "leaves what it comes back from",
        ("IC601",),
        loss=_LOGITS,
        data=real.digits,
        rate=50.0,
    ),
    Net(
        "SGD 10, logits",
        _with_logits,
        "leaves what it comes back from",
        ("IC601",),
        loss=_LOGITS,
        data=real.digits,
        rate=10.0,
    ),
    Net(
        "Adam 1",
        _classifier,
        "every weight is replaced",
        ("IC601",),
        optimizer="adam",
        data=real.digits,
        rate=1.0,
    ),
    Net(
        "SGD 1e-8",
        _classifier,
        "100,000 steps and more for the first per cent",
        ("IC602",),
        data=real.digits,
        rate=1e-8,
    ),
    Net(
        "labels around 150,000, SGD 0.1",
        _regressor,
        "the second step is infinite",
        ("IC407",),
        loss="mse",
        data=_prices,
        rate=0.1,
    ),
    Net(
        "exp of a large log variance",
        lambda: _variational(3.0),
        "e^18 samples of noise",
        ("IC407", "IC601"),
        loss="mse",
        data=_itself,
    ),
)
