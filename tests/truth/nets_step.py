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


def _times(scale):
    """A cross-entropy that is multiplied, as a mean over too much makes it."""

    def loss(labels, outputs):
        return scale * keras.losses.sparse_categorical_crossentropy(labels, outputs)

    return loss


def _with_norms(largest, between=None):
    """Kernels whose columns have a norm of at most `largest`."""
    return mlp(
        3,
        64,
        "relu",
        "he_normal",
        between=between,
        kernel_constraint=keras.constraints.MaxNorm(largest),
    )


def _decayed(weight_decay):
    return lambda: keras.optimizers.AdamW(weight_decay=weight_decay)


def _with_dropout(rate, depth=3):
    return mlp(depth, 64, "relu", "he_normal", between=lambda: layers.Dropout(rate))


def _dropout_before_head(rate):
    body = _classifier()
    dropped = layers.Dropout(rate)(body.layers[-2].output)
    return keras.Model(body.input, layers.Dense(10, "softmax", name="out")(dropped))


def _one_image(seed, number=real.BATCH):
    """Digits whose images are all the first."""
    x, y = real.digits(seed, number)
    return np.repeat(x[:1], len(x), axis=0), y


HEALTHY = (
    Net(
        "loss times 1e-3, Adam",
        _classifier,
        "Adam divides gradients by their size",
        optimizer="adam",
        loss=_times(1e-3),
        loss_scale=1e-3,
        data=real.digits,
    ),
    Net(
        "columns of norm 1",
        lambda: _with_norms(1.0),
        "the constraint takes a third",
        optimizer="adam",
        data=real.digits,
    ),
    Net(
        "columns of norm 0.1, batch norm",
        lambda: _with_norms(0.1, layers.BatchNormalization),
        "normalized",
        optimizer="adam",
        data=real.digits,
    ),
    Net(
        "AdamW, decay of 0.4% a step",
        _classifier,
        "learns against it",
        optimizer=_decayed(4.0),
        data=real.digits,
        rate=1e-3,
    ),
    Net(
        "dropout of 0.8 before the head",
        lambda: _dropout_before_head(0.8),
        "a fifth is left",
        optimizer="adam",
        data=real.digits,
    ),
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
    Net(
        "loss times 1e-9, Adam",
        _classifier,
        "gradients below epsilon",
        ("IC603",),
        optimizer="adam",
        loss=_times(1e-9),
        loss_scale=1e-9,
        data=real.digits,
    ),
    *(
        Net(
            f"columns of norm {largest:g}",
            lambda largest=largest: _with_norms(largest),
            "kernels are cut to size after each step",
            ("IC604",),
            "hidden_1",
            optimizer="adam",
            data=real.digits,
            cured=lambda: _with_norms(2.0),
            severity=severity,
        )
        for largest, severity in ((0.1, "warning"), (1e-6, "error"))
    ),
    *(
        Net(
            f"AdamW, decay of {weight_decay / 10:g}% a step",
            _classifier,
            "whatever is learned is taken away",
            ("IC604",),
            optimizer=_decayed(weight_decay),
            data=real.digits,
            rate=1e-3,
            severity=severity,
        )
        for weight_decay, severity in ((150.0, "warning"), (300.0, "error"), (2000.0, "error"))
    ),
    Net(
        "dropout of 0.99",
        lambda: _with_dropout(0.99),
        "a millionth is left",
        ("IC214",),
        optimizer="adam",
        data=real.digits,
        cured=lambda: _with_dropout(0.1),
        severity="error",
    ),
    Net(
        "one image for all digits",
        _classifier,
        "nothing tells the samples apart",
        ("IC412",),
        data=_one_image,
        severity="error",
    ),
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
