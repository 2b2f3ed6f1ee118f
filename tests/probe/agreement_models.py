"""Small models that are the same on every backend: weights and batch come from numpy seeds, and nothing in them is random.

As a script, `KERAS_BACKEND=jax python agreement_models.py DIRECTORY`, it probes each and writes what was measured as `NAME.json`.
"""

import math
import sys
from pathlib import Path

import keras
import numpy as np

from keras_initcheck.outputs import json_format
from keras_initcheck.probe.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.report import Report

LAYERS = keras.layers
NUM_CLASSES = 4
BATCH_SIZE = 6


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((BATCH_SIZE, *shape)).astype("float32")


def integers(below, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, below, (BATCH_SIZE, *shape)).astype("int32")


def classifier(inputs, features, x, **options):
    """A compiled classifier on `features`, with its batch and labels."""
    model = keras.Model(inputs, LAYERS.Dense(NUM_CLASSES, name="head", **options)(features))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, integers(NUM_CLASSES, seed=9)


def relu_mlp():
    inputs = keras.Input((7,))
    hidden = LAYERS.Dense(12, "relu")(inputs)
    return classifier(inputs, LAYERS.Dense(10, "relu", use_bias=False)(hidden), normal(7))


def selu_and_tanh_mlp():
    inputs = keras.Input((7,))
    hidden = LAYERS.Dense(12, "selu")(inputs)
    hidden = LAYERS.Dense(10, "tanh")(hidden)
    model = keras.Model(inputs, LAYERS.Dense(3)(hidden))
    model.compile("adam", "mse")
    return model, normal(7), normal(3, seed=9)


def softmax_head_with_regularised_kernel():
    inputs = keras.Input((7,))
    hidden = LAYERS.Dense(12, kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    model = keras.Model(inputs, LAYERS.Dense(NUM_CLASSES, "softmax")(LAYERS.LeakyReLU(0.2)(hidden)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, normal(7), integers(NUM_CLASSES, seed=9)


def strided_padded_and_grouped_convolutions():
    inputs = keras.Input((9, 8, 4))
    signal = LAYERS.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    signal = LAYERS.Conv2D(6, 3, groups=2, padding="same", activation="relu")(signal)
    signal = LAYERS.Conv2D(5, 2, strides=2, activation="relu")(LAYERS.ZeroPadding2D(1)(signal))
    return classifier(inputs, LAYERS.Flatten()(LAYERS.MaxPooling2D(2)(signal)), normal(9, 8, 4))


def dilated_and_transposed_convolutions():
    inputs = keras.Input((7, 6, 3))
    signal = LAYERS.Conv2D(5, 3, dilation_rate=2, padding="same", activation="gelu")(inputs)
    signal = LAYERS.Conv2DTranspose(4, 4, strides=2, padding="same", activation="elu")(signal)
    signal = LAYERS.Conv2DTranspose(3, 3, strides=2, activation="relu")(signal)
    return classifier(inputs, LAYERS.GlobalAveragePooling2D()(signal), normal(7, 6, 3))


def depthwise_and_separable_convolutions():
    inputs = keras.Input((8, 8, 3))
    signal = LAYERS.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")(inputs)
    signal = LAYERS.SeparableConv2D(7, 3, strides=2, padding="same", activation="silu")(signal)
    return classifier(inputs, LAYERS.Flatten()(LAYERS.AveragePooling2D(2)(signal)), normal(8, 8, 3))


def batch_normalised_residual():
    inputs = keras.Input((6, 6, 3))
    trunk = LAYERS.Conv2D(5, 3, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        branch = LAYERS.ReLU()(LAYERS.BatchNormalization()(trunk))
        trunk = LAYERS.Add()([trunk, LAYERS.Conv2D(5, 3, padding="same", use_bias=False)(branch)])
    return classifier(inputs, LAYERS.GlobalAveragePooling2D()(trunk), normal(6, 6, 3))


def transformer_block():
    inputs = keras.Input((5, 8))
    received = LAYERS.LayerNormalization()(inputs)
    signal = inputs + LAYERS.MultiHeadAttention(2, 4, use_bias=False)(received, received)
    signal = signal + LAYERS.Dense(8)(LAYERS.Dense(16, "silu")(LAYERS.LayerNormalization()(signal)))
    return classifier(inputs, LAYERS.GlobalAveragePooling1D()(LAYERS.LayerNormalization()(signal)), normal(5, 8))


def embedding_and_lstm():
    inputs = keras.Input((5,), dtype="int32")
    signal = LAYERS.Embedding(11, 6)(inputs)
    return classifier(inputs, LAYERS.LSTM(7)(signal), integers(11, 5))


def gru_and_simple_rnn():
    inputs = keras.Input((5, 4))
    signal = LAYERS.GRU(6, return_sequences=True)(inputs)
    return classifier(inputs, LAYERS.SimpleRNN(5)(signal), normal(5, 4))


def named_inputs_and_outputs():
    image, table = keras.Input((6, 6, 2), name="image"), keras.Input((5,), name="table")
    looked = LAYERS.Flatten()(LAYERS.Conv2D(3, 3, activation="relu")(image))
    joined = LAYERS.Concatenate()([LAYERS.Dense(10, "relu")(looked), LAYERS.Dense(8, "sigmoid")(table)])
    outputs = {"kind": LAYERS.Dense(NUM_CLASSES, name="kind")(joined), "size": LAYERS.Dense(1, "softplus", name="size")(joined)}
    model = keras.Model({"image": image, "table": table}, outputs)
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": keras.losses.MeanSquaredError()}
    model.compile("sgd", losses, loss_weights={"kind": 1.0, "size": 0.3})
    x = {"image": normal(6, 6, 2), "table": normal(5, seed=1)}
    return model, x, {"kind": integers(NUM_CLASSES, seed=9), "size": normal(1, seed=8)}


def siamese():
    left, right = keras.Input((6,)), keras.Input((6,))
    hidden, embedding = LAYERS.Dense(9, "relu"), LAYERS.Dense(5, "tanh")
    difference = LAYERS.Subtract()([embedding(hidden(left)), embedding(hidden(right))])
    return classifier([left, right], difference, [normal(6), normal(6, seed=1)])


def nested():
    inner = keras.Sequential([keras.Input((6,)), LAYERS.Dense(9, "relu"), LAYERS.LayerNormalization(), LAYERS.Dense(6)], name="inner")
    inputs = keras.Input((6,))
    return classifier(inputs, keras.ops.relu(inner(LAYERS.Dense(6, "relu")(inputs))), normal(6))


class RawArithmetic(keras.Model):
    """Applies its activation as a bare function, scales by a weight of its own and adds a residual, all outside of layers."""

    def __init__(self):
        super().__init__()
        self.enter = LAYERS.Dense(8)
        self.inner = LAYERS.Dense(8)
        self.leave = LAYERS.Dense(NUM_CLASSES)
        self.strength = self.add_weight(shape=(8,), name="strength")

    def call(self, inputs):
        signal = keras.ops.relu(self.enter(inputs))
        signal = signal + self.strength * keras.ops.tanh(self.inner(signal))
        return self.leave(signal) / 2.0


def raw_arithmetic():
    model = RawArithmetic()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = normal(7)
    model(x)
    return model, x, integers(NUM_CLASSES, seed=9)


def einsum_dense():
    inputs = keras.Input((5, 6))
    signal = LAYERS.EinsumDense("abc,cde->abde", (5, 3, 4), activation="relu", bias_axes="de")(inputs)
    signal = LAYERS.EinsumDense("abde,dec->abc", (5, 7), activation="mish")(signal)
    return classifier(inputs, LAYERS.Flatten()(signal), normal(5, 6))


def mixed_float16():
    inputs = keras.Input((16,))
    hidden = LAYERS.Dense(64, "relu", dtype="mixed_float16")(inputs)
    hidden = LAYERS.Dense(64, "relu", dtype="mixed_float16")(LAYERS.LayerNormalization(dtype="mixed_float16")(hidden))
    return classifier(inputs, hidden, normal(16), dtype="float32")


def mixed_bfloat16():
    inputs = keras.Input((8, 8, 4))
    signal = LAYERS.Conv2D(16, 3, activation="relu", dtype="mixed_bfloat16")(inputs)
    signal = LAYERS.Dense(64, "relu", dtype="mixed_bfloat16")(LAYERS.Flatten()(signal))
    return classifier(inputs, signal, normal(8, 8, 4), dtype="float32")


ARCHITECTURES = {
    architecture.__name__: architecture
    for architecture in (
        relu_mlp,
        selu_and_tanh_mlp,
        softmax_head_with_regularised_kernel,
        strided_padded_and_grouped_convolutions,
        dilated_and_transposed_convolutions,
        depthwise_and_separable_convolutions,
        batch_normalised_residual,
        transformer_block,
        embedding_and_lstm,
        gru_and_simple_rnn,
        named_inputs_and_outputs,
        siamese,
        nested,
        raw_arithmetic,
        einsum_dense,
        mixed_float16,
        mixed_bfloat16,
    )
}


def set_weights(model):
    """Gives each variable seeded normal values that keep signals near 1; what multiplies or is a variance stays positive."""
    for number, variable in enumerate(model.weights):
        if keras.backend.is_float_dtype(variable.dtype):
            spread = 1 / math.sqrt(math.prod(variable.shape[:-1])) if len(variable.shape) > 1 else 0.1
            values = spread * np.random.default_rng(100 + number).standard_normal(variable.shape)
            variable.assign(1 + np.abs(values) if variable.name in ("gamma", "moving_variance") else values)


def profile_of(name):
    """What the probe measures on the architecture of that name, with both cotangents and exact rows."""
    keras.backend.clear_session()
    model, x, y = ARCHITECTURES[name]()
    set_weights(model)
    return Probe(model, seed=5).measure(take_batch(x, y))


def write_profiles(directory):
    for name in ARCHITECTURES:
        Path(directory, f"{name}.json").write_text(json_format.to_json(Report(profile_of(name))), encoding="utf-8")


if __name__ == "__main__":
    write_profiles(sys.argv[1])
