"""Networks whose data, head, loss, penalties or biases are right or wrong."""

import keras
import numpy as np
from keras import initializers, layers, ops

from tests.truth import real
from tests.truth.builders import head
from tests.truth.net import Net

SPARSE, DENSE = "sparse_categorical_crossentropy", "categorical_crossentropy"
BINARY = "binary_crossentropy"
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
IS_UNDONE = keras.backend.backend() == "tensorflow"
"""Whether Keras undoes a softmax that meets its own loss of logits."""
ROWS = 20
"""Rows of the tables of the embeddings."""


def _classifier(activation, after=None, outputs=10, inputs=64, **options):
    """Two hidden layers, a head with its activation, and another one `after` it."""
    x = start = keras.Input((inputs,), name="tab")
    for number in range(2):
        x = layers.Dense(
            64, "relu", kernel_initializer="he_normal", name=f"hidden_{number}", **options
        )(x)
    x = layers.Dense(outputs, activation, name="head")(x)
    return keras.Model(start, layers.Activation(after, name="after")(x) if after else x)


def _own_loss(labels, outputs):
    """A cross-entropy that applies the softmax itself."""
    chosen = ops.take_along_axis(
        ops.log_softmax(outputs), ops.cast(labels, "int32")[:, None], axis=-1
    )
    return -ops.mean(chosen)


def _one_hot(seed, number=real.BATCH):
    x, y = real.digits(seed, number)
    return x, np.eye(10, dtype="float32")[y]


def _softmax_inside(between=layers.Identity):
    x = start = keras.Input((64,))
    for number, activation in enumerate(("relu", "softmax")):
        x = layers.Dense(64, activation, name=f"hidden_{number}")(x)
    return keras.Model(start, head(between()(x)))


def _mixture_of_experts():
    start = keras.Input((64,))
    weights = layers.Reshape((4, 1))(layers.Dense(4, "softmax", name="gate")(start))
    experts = [layers.Dense(32, "relu")(start) for _ in range(4)]
    mixed = layers.Multiply()([weights, ops.stack(experts, axis=1)])
    return keras.Model(start, head(layers.Flatten()(mixed)))


def _attention_by_hand():
    start = keras.Input((16, 32))
    scores = layers.Dense(1, name="scores")(start)
    weights = layers.Softmax(axis=1)(scores)
    return keras.Model(start, head(ops.sum(weights * start, axis=1)))


def _images(biases, kernel="glorot_uniform", depth=6):
    x = start = keras.Input((8, 8, 1))
    for number in range(depth):
        x = layers.Conv2D(
            16,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=kernel,
            bias_initializer=initializers.Constant(biases),
            name=f"conv_{number}",
        )(x)
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(x)))


def _table(rows=ROWS, lowest=0):
    """A table of ids that count from `lowest`."""
    start = keras.Input((16,), dtype="int32", name="tab")
    x = layers.Embedding(rows, 32, name="table")(start - lowest if lowest else start)
    return keras.Model(start, head(layers.Dense(64, "relu")(layers.Flatten()(x))))


def _ids(low=0, high=ROWS, to_numbers=np.asarray):
    """Ids from `low` to below `high`; the class is told by the first of them."""

    def data(seed, number=real.BATCH):
        ids = np.random.default_rng(seed).integers(low, high, (number, 16))
        ids[0, :2] = low, high - 1
        return to_numbers(ids), ids[:, 0] % 10

    return data


def _paddings_or_last(seed, number=real.BATCH):
    """Paddings of -1, or the last id of the table, and which of them it is."""
    is_last = np.random.default_rng(seed).integers(2, size=number)
    return np.repeat(np.where(is_last, ROWS - 1, -1)[:, None], 16, axis=1), is_last


def _attention(seeds):
    """An attention whose four projections draw with these seeds, in two shapes."""
    start = keras.Input((16, 32))
    projections = [
        layers.EinsumDense(
            equation,
            shape,
            kernel_initializer=initializers.GlorotUniform(seed=seed),
            name=name,
        )
        for seed, (name, equation, shape) in zip(
            seeds,
            (
                ("query", "abc,cde->abde", (None, 4, 8)),
                ("key", "abc,cde->abde", (None, 4, 8)),
                ("value", "abc,cde->abde", (None, 4, 8)),
                ("output", "abcd,cde->abe", (None, 32)),
            ),
            strict=True,
        )
    ]
    query, key, value = (projection(start) for projection in projections[:3])
    return keras.Model(
        start,
        head(
            layers.GlobalAveragePooling1D()(projections[3](layers.Attention()([query, value, key])))
        ),
    )


def _large_inputs(seed, number=real.BATCH):
    x, y = real.diabetes(seed, number)
    return 300.0 * x, y


HEALTHY = (
    Net(
        "softmax with squared error",
        lambda: _classifier("softmax"),
        "trains",
        loss="mse",
        data=_one_hot,
    ),
    Net(
        "sigmoids for ten classes",
        lambda: _classifier("sigmoid"),
        "Keras divides them by their sum, and they train as well as a softmax",
        loss=SPARSE,
        data=real.digits,
    ),
    Net(
        "several classes a row, sigmoids",
        lambda: _classifier("sigmoid"),
        "each a decision of its own",
        loss=BINARY,
        data=real.multi_hot,
    ),
    Net(
        "weights decayed by 1e-4",
        lambda: _classifier("softmax", kernel_regularizer=keras.regularizers.L2(1e-4)),
        "a hundredth of the loss",
        data=real.digits,
    ),
    Net(
        "softmax inside, normalized", lambda: _softmax_inside(layers.LayerNormalization), "rescaled"
    ),
    Net("mixture of experts", _mixture_of_experts, "the softmax weights what it meets"),
    Net("attention by hand", _attention_by_hand, "the softmax weights what it meets"),
    Net("CNN 6 He, biases of 0.1", lambda: _images(0.1, "he_normal"), "beside signals of one"),
    Net("ids of an embedding", _table, "0 to 19 of 20", data=_ids()),
    Net("attention, four seeds", lambda: _attention((1, 2, 3, 4)), "independent draws"),
)
"""No warning and no error may come."""


FAULTY = (
    *(
        Net(
            f"{activation} for ten classes",
            lambda activation=activation: _classifier(activation),
            why,
            ("IC406",),
            "head",
            loss=SPARSE,
            data=real.digits,
            cured=lambda: _classifier("softmax"),
        )
        for activation, why in (
            ("relu", "zero for all classes is 0/0"),
            ("hard_sigmoid", "zero for all classes is 0/0"),
            ("softsign", "-1 to 1 taken for probabilities"),
        )
    ),
    Net(
        "softmax behind softmax",
        lambda: _classifier("softmax", after="softmax"),
        "no probability above e / (e + 9)",
        ("IC406",),
        "after",
        loss=SPARSE,
        data=real.digits,
        cured=lambda: _classifier("softmax"),
    ),
    Net(
        "sigmoid behind tanh",
        lambda: _classifier("tanh", after="sigmoid", outputs=1, inputs=30),
        "0.27 to 0.73",
        ("IC406",),
        "after",
        loss=BINARY,
        data=real.breast_cancer,
        cured=lambda: _classifier("sigmoid", outputs=1, inputs=30),
    ),
    Net(
        "several classes a row, softmax and squared error",
        lambda: _classifier("softmax"),
        "two numbers of at most one half: a third of the loss stays",
        ("IC405",),
        "head",
        loss="mse",
        data=real.multi_hot,
        cured=lambda: _classifier("sigmoid"),
    ),
    Net(
        "weights decayed by 3",
        lambda: _classifier("softmax", kernel_regularizer=keras.regularizers.L2(3.0)),
        "penalties of 300 times the loss",
        ("IC410",),
        data=real.digits,
        cured=lambda: _classifier("softmax", kernel_regularizer=keras.regularizers.L2(1e-4)),
    ),
    *(
        Net(
            f"softmax twice, {name}",
            lambda: _classifier("softmax"),
            "probabilities taken for logits",
            ("IC406",),
            "head",
            loss=loss,
            data=real.digits,
            cured=lambda: _classifier(None),
        )
        for name, loss in (("from_logits", LOGITS), ("a loss of one's own", _own_loss))
        if loss is _own_loss or not IS_UNDONE
    ),
    Net(
        "softmax inside",
        _softmax_inside,
        "1/64 each",
        ("IC411",),
        "hidden_1",
        cured=lambda: _softmax_inside(layers.LayerNormalization),
    ),
    Net(
        "CNN 6, biases of one",
        lambda: _images(1.0),
        "0.88 of the first pre-activation",
        ("IC213",),
        "conv_0",
        cured=lambda: _images(0.0),
    ),
    Net(
        "ids beyond the table",
        lambda: _table(16),
        "16 to 19",
        ("IC409",),
        "table",
        data=_ids(),
        cured=_table,
    ),
    Net(
        "ids from -1",
        _table,
        "-1 is the last row",
        ("IC409",),
        "table",
        data=_paddings_or_last,
        cured=lambda: _table(ROWS + 1, lowest=-1),
    ),
    Net(
        "measurements for an embedding",
        _table,
        "0 to 1, cut to 0",
        ("IC409",),
        "table",
        data=_ids(to_numbers=lambda ids: (ids / ROWS).astype("float32")),
    ),
    Net(
        "attention, one seed",
        lambda: _attention((1,) * 4),
        "two shapes: 1.8 times the steps of four seeds",
        ("IC107",),
        "output",
        cured=lambda: _attention((1, 2, 3, 4)),
    ),
    Net(
        "diabetes, inputs of 300",
        lambda: _classifier(None, outputs=1, inputs=10),
        "the labels are in order",
        ("IC403",),
        "hidden_0",
        loss="mse",
        data=_large_inputs,
    ),
)
"""At least one of the codes must come as a warning or an error, with the culprit where there is
one.
"""
