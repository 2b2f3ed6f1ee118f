"""The networks of the benchmarks, with random inputs and labels."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers


@dataclass(frozen=True)
class Network:
    """A model and a batch for it.

    Attributes:
        model: The model, not compiled.
        x: Inputs.
        y: Labels, which are classes.
    """

    model: Any
    x: np.ndarray
    y: np.ndarray


def mlp(depth=30, width=512, batch=256):
    """30 hidden layers of 512, batch 256."""
    hidden = [
        layers.Dense(width, activation="relu", kernel_initializer="he_normal") for _ in range(depth)
    ]
    model = keras.Sequential(
        [keras.Input((width,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    return with_numbers(model, batch)


def resnet50(size=96, batch=16):
    """ResNet50 at 96x96, batch 16."""
    model = keras.applications.ResNet50(weights=None, input_shape=(size, size, 3), classes=10)
    return with_numbers(model, batch)


def lstm(steps=64, batch=32):
    """Two LSTMs of 128 over 64 steps of 64, batch 32."""
    model = keras.Sequential(
        [
            keras.Input((steps, 64)),
            layers.LSTM(128, return_sequences=True),
            layers.LSTM(128),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return with_numbers(model, batch)


def cnn(size=28, batch=32):
    """A small CNN: two convolutions and two dense layers, at 28x28, batch 32."""
    model = keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return with_numbers(model, batch)


def chain(depth, width=16, batch=32):
    """A chain of narrow dense layers."""
    return mlp(depth, width, batch)


def gpt(blocks=6, width=256, heads=4, length=128, vocabulary=1000, batch=8):
    """A small GPT: 6 blocks of width 256, batch 8 of 128 tokens."""
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, width)(tokens)
    for _ in range(blocks):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(h, h, use_causal_mask=True)
        h = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(h)
    outputs = layers.Dense(vocabulary, activation="softmax")(layers.LayerNormalization()(x))
    generator, shape = np.random.default_rng(0), (batch, length)
    x, y = generator.integers(0, vocabulary, shape), generator.integers(0, vocabulary, shape)
    return Network(keras.Model(tokens, outputs), x, y)


def with_numbers(model, batch, classes=10):
    """The model with standard normal inputs and one label for each."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((batch, *model.input_shape[1:])).astype("float32")
    return Network(model, x, generator.integers(0, classes, batch))


MAKERS = {"mlp": mlp, "gpt": gpt, "resnet50": resnet50, "lstm": lstm, "cnn": cnn}
PROBED = ("mlp", "gpt", "resnet50", "lstm")
"""Networks of the acceptance numbers of a repeated probe."""
