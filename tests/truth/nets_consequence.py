"""Networks that nothing trains or that a shared table makes slow, and their healthy twins."""

import keras
import numpy as np
from keras import layers, ops

from tests.truth.builders import NUM_CLASSES, mlp, normal
from tests.truth.net import Net

NUM_SYMBOLS, NUM_SUCCESSORS, LENGTH, WIDTH = 85, 3, 8, 64
_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
_UNDOES_SOFTMAX = keras.backend.backend() == "tensorflow"
"""Keras finds the logits behind a softmax there, and clips nothing: the convolutions train, in 555
steps for 20 (`training.py`), where no step changes anything elsewhere.
"""


class Block(layers.Layer):
    """A causal transformer block of the user's own, whose sums no layer makes."""

    def __init__(self, initializer, width=WIDTH):
        super().__init__()
        self.norms = [layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.attention = layers.MultiHeadAttention(
            4, width // 4, kernel_initializer=initializer(), name="attention"
        )
        self.up = layers.Dense(4 * width, "gelu", kernel_initializer=initializer(), name="up")
        self.down = layers.Dense(width, kernel_initializer=initializer(), name="down")
        self.dropout = layers.Dropout(0.1)

    def call(self, x):
        """The stream after two branches."""
        h = self.norms[0](x)
        x = x + self.dropout(self.attention(h, h, use_causal_mask=True))
        return x + self.dropout(self.down(self.up(self.norms[1](x))))


class Table(layers.Layer):
    """A table of symbols that is input and head at once."""

    def __init__(self, stddev):
        super().__init__(name="table")
        self.rows = self.add_weight((NUM_SYMBOLS, WIDTH), normal(stddev), name="rows")

    def call(self, x, is_head=False):
        """The rows of symbols, or the logits of vectors."""
        return ops.matmul(x, ops.transpose(self.rows)) if is_head else ops.take(self.rows, x, 0)


def _glorot():
    return keras.initializers.GlorotUniform()


def _decoder(table, make_head, initializer=_glorot):
    """Predicts the symbol that follows each of a sequence."""
    start = keras.Input((LENGTH,), dtype="int32")
    x = table(start)
    for _ in range(2):
        x = Block(initializer)(x)
    return keras.Model(start, make_head(layers.LayerNormalization()(x)))


def _tied(stddev):
    table = Table(stddev)
    return _decoder(table, lambda x: table(x, is_head=True))


def _gpt2(stddev=0.02):
    def drawn():
        return normal(stddev)

    table = layers.Embedding(NUM_SYMBOLS, WIDTH, embeddings_initializer=drawn())
    return _decoder(table, layers.Dense(NUM_SYMBOLS, kernel_initializer=drawn()), drawn)


def _sequences(seed, num_samples=32):
    """Walks over symbols, each of which has a few successors, and the successors at each place."""
    random = np.random.default_rng(seed)
    successors = np.random.default_rng(0).integers(NUM_SYMBOLS, size=(NUM_SYMBOLS, NUM_SUCCESSORS))
    walk = [random.integers(NUM_SYMBOLS, size=num_samples)]
    for _ in range(LENGTH):
        walk.append(successors[walk[-1], random.integers(NUM_SUCCESSORS, size=num_samples)])
    return np.stack(walk[:-1], axis=1).astype("int32"), np.stack(walk[1:], axis=1)


def _convolutions(initializer):
    """Four convolutions and a softmax, all with one initializer."""
    x = start = keras.Input((16, 16, 3))
    for number in range(4):
        x = layers.Conv2D(
            32, 3, activation="relu", kernel_initializer=initializer(), name=f"conv_{number}"
        )(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(
        start, layers.Dense(NUM_CLASSES, "softmax", kernel_initializer=initializer())(x)
    )


def _seven_rows(seed, num_samples=7):
    """Positive numbers, and a positive target."""
    random = np.random.default_rng(seed)
    x = np.abs(random.standard_normal((7, 8))).astype("float32")
    return x, x[:, :1] + x[:, 1:2]


def _positive_output(activation, sign):
    """A hidden layer and one unit whose weights all have one sign."""
    start = keras.Input((8,))
    hidden = layers.Dense(16, "relu", kernel_initializer="he_normal")(start)
    unit = layers.Dense(1, activation, name="unit")
    model = keras.Model(start, unit(hidden))
    unit.kernel.assign(sign * ops.abs(unit.kernel))
    return model


def _one_row(seed, num_samples=1):
    random = np.random.default_rng(seed)
    return random.standard_normal((num_samples, 64)), random.integers(NUM_CLASSES, size=num_samples)


def _frozen():
    model = mlp(3, 64, "relu", "he_normal")
    model.trainable = False
    return model


def _adversarial():
    """A generator, and a discriminator that is frozen on purpose."""
    start = keras.Input((16,))
    made = layers.Dense(32)(layers.Dense(64, "relu", kernel_initializer="he_normal")(start))
    image = keras.Input((32,))
    seen = layers.Dense(64, "relu", kernel_initializer="he_normal")(image)
    judge = keras.Model(image, layers.Dense(1, "sigmoid")(seen), name="discriminator")
    judge.compile("adam", "binary_crossentropy")
    judge.trainable = False
    return keras.Model(start, judge(made))


def _bits(seed, num_samples=32):
    random = np.random.default_rng(seed)
    x = random.standard_normal((num_samples, 16)).astype("float32")
    return x, (x[:, :1] > 0).astype("float32")


HEALTHY = (
    Net(
        "transformer of own blocks, GPT-2 weights",
        _gpt2,
        "e^-7.3 over the two layers of a branch: as good as zeros",
        loss=_LOGITS,
        data=_sequences,
    ),
    Net(
        "shared table N(0, 1/n)",
        lambda: _tied(WIDTH**-0.5),
        "logits of unit size",
        loss=_LOGITS,
        data=_sequences,
    ),
    Net(
        "shared table N(0, 0.02²)",
        lambda: _tied(0.02),
        "starts by guessing",
        optimizer="adam",
        loss=_LOGITS,
        data=_sequences,
    ),
    Net(
        "four convolutions He, softmax",
        lambda: _convolutions(keras.initializers.HeNormal),
        "every factor is 1",
        optimizer="adam",
    ),
    Net(
        "seven rows, softplus",
        lambda: _positive_output("softplus", -1.0),
        "small, and with a slope",
        optimizer="adam",
        loss="mse",
        data=_seven_rows,
    ),
    Net(
        "half of a GAN, frozen",
        _adversarial,
        "the generator trains",
        optimizer="adam",
        loss="binary_crossentropy",
        data=_bits,
    ),
)
FAULTY = (
    Net(
        "four convolutions N(0,1), softmax",
        lambda: _convolutions(lambda: normal(1.0)),
        "probabilities of 0 and 1, which the loss clips",
        ("IC102", "IC404"),
        "conv_1",
        optimizer="adam",
        severity="warning" if _UNDOES_SOFTMAX else "error",
    ),
    Net(
        "seven rows, relu",
        lambda: _positive_output("relu", -1.0),
        "zero for every row: no weight moves",
        ("IC202",),
        "unit",
        optimizer="adam",
        loss="mse",
        data=_seven_rows,
        severity="error",
    ),
    Net(
        "all frozen",
        _frozen,
        "fit changes nothing",
        ("IC308",),
        optimizer="adam",
        severity="error",
    ),
    Net(
        "shared table N(0,1)",
        lambda: _tied(1.0),
        "each symbol is sure of itself",
        ("IC404",),
        "table",
        loss=_LOGITS,
        data=_sequences,
        cured=lambda: _tied(WIDTH**-0.5),
    ),
)
