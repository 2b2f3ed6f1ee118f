"""Small models that are the same on every backend: weights and batch come from numpy seeds, and
nothing in them is random.

As a script, `KERAS_BACKEND=jax python agreement_models.py DIRECTORY`, it probes each and writes
what was measured as `NAME.json`.
"""

import math
import sys
from pathlib import Path

import keras
import numpy as np

from keras_initcheck.outputs import json_format
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.report import Report

LAYERS = keras.layers
BATCH_SIZE = 6
WIDTH = 8
"""Of nearly everything: JAX compiles each shape anew, which takes longer than all the rest."""
IMAGE, SEQUENCE = (6, 6, WIDTH), (5, WIDTH)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((BATCH_SIZE, *shape)).astype("float32")


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, WIDTH, (BATCH_SIZE, *shape)).astype("int32")


def classifier(inputs, features, x):
    """A compiled classifier on `features`, with its batch and labels."""
    model = keras.Model(inputs, LAYERS.Dense(WIDTH, name="head")(features))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, integers(seed=9)


def relu_mlp():
    inputs = keras.Input((7,))
    hidden = LAYERS.Dense(12, "relu")(inputs)
    return classifier(inputs, LAYERS.Dense(10, "relu", use_bias=False)(hidden), normal(7))


def selu_and_tanh_mlp():
    inputs = keras.Input((WIDTH,))
    hidden = LAYERS.Dense(WIDTH, "tanh")(LAYERS.Dense(WIDTH, "selu")(inputs))
    model = keras.Model(inputs, LAYERS.Dense(WIDTH)(hidden))
    model.compile("adam", "mse")
    return model, normal(WIDTH), normal(WIDTH, seed=9)


def softmax_head_with_regularised_kernel():
    inputs = keras.Input((WIDTH,))
    hidden = LAYERS.LeakyReLU(0.2)(
        LAYERS.Dense(WIDTH, kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    )
    model = keras.Model(inputs, LAYERS.Dense(WIDTH, "softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, normal(WIDTH), integers(seed=9)


def strided_padded_and_grouped_convolutions():
    inputs = keras.Input(IMAGE)
    signal = LAYERS.Conv2D(WIDTH, 3, groups=2, padding="same", activation="relu")(inputs)
    signal = LAYERS.Conv2D(WIDTH, 3, strides=2, padding="same", activation="relu")(
        signal
    )  # one row of zeros, at the far side only
    signal = LAYERS.Conv2D(WIDTH, 2, activation="relu")(LAYERS.ZeroPadding2D(1)(signal))
    return classifier(
        inputs, LAYERS.GlobalAveragePooling2D()(LAYERS.MaxPooling2D(2)(signal)), normal(*IMAGE)
    )


def dilated_and_transposed_convolutions():
    inputs = keras.Input((3, 3, WIDTH))
    signal = LAYERS.Conv2DTranspose(WIDTH, 4, strides=2, padding="same", activation="elu")(inputs)
    signal = LAYERS.Conv2D(WIDTH, 3, dilation_rate=2, padding="same", activation="gelu")(signal)
    signal = LAYERS.Conv2DTranspose(WIDTH, 3, strides=2, activation="relu")(signal)
    return classifier(inputs, LAYERS.GlobalAveragePooling2D()(signal), normal(3, 3, WIDTH))


def depthwise_and_separable_convolutions():
    inputs = keras.Input(IMAGE)
    signal = LAYERS.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")(
        inputs
    )
    signal = LAYERS.SeparableConv2D(WIDTH, 3, strides=2, padding="same", activation="silu")(signal)
    return classifier(
        inputs, LAYERS.GlobalAveragePooling2D()(LAYERS.AveragePooling2D(2)(signal)), normal(*IMAGE)
    )


def batch_normalised_residual():
    inputs = keras.Input(IMAGE)
    trunk = LAYERS.Conv2D(WIDTH, 3, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        branch = LAYERS.ReLU()(LAYERS.BatchNormalization()(trunk))
        trunk = LAYERS.Add()(
            [trunk, LAYERS.Conv2D(WIDTH, 3, padding="same", use_bias=False)(branch)]
        )
    return classifier(inputs, LAYERS.GlobalAveragePooling2D()(trunk), normal(*IMAGE))


def transformer_block():
    inputs = keras.Input(SEQUENCE)
    received = LAYERS.LayerNormalization()(inputs)
    signal = inputs + LAYERS.MultiHeadAttention(2, 4, use_bias=False)(received, received)
    signal = signal + LAYERS.Dense(WIDTH)(
        LAYERS.Dense(WIDTH, "silu")(LAYERS.LayerNormalization()(signal))
    )
    return classifier(
        inputs,
        LAYERS.GlobalAveragePooling1D()(LAYERS.LayerNormalization()(signal)),
        normal(*SEQUENCE),
    )


def embedding_and_lstm():
    inputs = keras.Input((5,), dtype="int32")
    return classifier(
        inputs, LAYERS.LSTM(WIDTH)(LAYERS.Embedding(WIDTH, WIDTH)(inputs)), integers(5)
    )


def gru_and_simple_rnn():
    inputs = keras.Input(SEQUENCE)
    signal = LAYERS.GRU(WIDTH, return_sequences=True)(inputs)
    return classifier(inputs, LAYERS.SimpleRNN(WIDTH)(signal), normal(*SEQUENCE))


def named_inputs_and_outputs():
    image, table = keras.Input(IMAGE, name="image"), keras.Input((WIDTH,), name="table")
    looked = LAYERS.GlobalAveragePooling2D()(
        LAYERS.Conv2D(WIDTH, 3, padding="same", activation="relu")(image)
    )
    joined = LAYERS.Concatenate()(
        [LAYERS.Dense(WIDTH, "relu")(looked), LAYERS.Dense(WIDTH, "sigmoid")(table)]
    )
    outputs = {
        "kind": LAYERS.Dense(WIDTH, name="kind")(joined),
        "size": LAYERS.Dense(1, "softplus", name="size")(joined),
    }
    model = keras.Model({"image": image, "table": table}, outputs)
    losses = {
        "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "size": keras.losses.MeanSquaredError(),
    }
    model.compile("sgd", losses, loss_weights={"kind": 1.0, "size": 0.3})
    x = {"image": normal(*IMAGE), "table": normal(WIDTH, seed=1)}
    return model, x, {"kind": integers(seed=9), "size": normal(1, seed=8)}


def siamese():
    left, right = keras.Input((WIDTH,)), keras.Input((WIDTH,))
    hidden, embedding = LAYERS.Dense(WIDTH, "relu"), LAYERS.Dense(WIDTH, "tanh")
    difference = LAYERS.Subtract()([embedding(hidden(left)), embedding(hidden(right))])
    return classifier([left, right], difference, [normal(WIDTH), normal(WIDTH, seed=1)])


def nested():
    layers = [LAYERS.Dense(WIDTH, "relu"), LAYERS.LayerNormalization(), LAYERS.Dense(WIDTH)]
    inner = keras.Sequential([keras.Input((WIDTH,)), *layers], name="inner")
    inputs = keras.Input((WIDTH,))
    return classifier(
        inputs, keras.ops.relu(inner(LAYERS.Dense(WIDTH, "relu")(inputs))), normal(WIDTH)
    )


class RawArithmetic(keras.Model):
    """Applies its activation as a bare function, scales by a weight of its own and adds a residual,
    all outside of layers.
    """

    def __init__(self):
        super().__init__()
        self.enter = LAYERS.Dense(WIDTH)
        self.inner = LAYERS.Dense(WIDTH)
        self.leave = LAYERS.Dense(WIDTH)
        self.strength = self.add_weight(shape=(WIDTH,), name="strength")

    def call(self, inputs):
        signal = keras.ops.relu(self.enter(inputs))
        signal = signal + self.strength * keras.ops.tanh(self.inner(signal))
        return self.leave(signal) / 2.0


def raw_arithmetic():
    model = RawArithmetic()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = normal(WIDTH)
    model(x)
    return model, x, integers(seed=9)


def einsum_dense():
    inputs = keras.Input(SEQUENCE)
    signal = LAYERS.EinsumDense("abc,cde->abde", (5, 2, 4), activation="relu", bias_axes="de")(
        inputs
    )
    signal = LAYERS.EinsumDense("abde,dec->abc", (5, WIDTH), activation="mish")(signal)
    return classifier(inputs, LAYERS.GlobalAveragePooling1D()(signal), normal(*SEQUENCE))


def mixed(policy):
    inputs = keras.Input(IMAGE)
    signal = LAYERS.Conv2D(WIDTH, 3, padding="same", activation="relu", dtype=policy)(inputs)
    signal = LAYERS.GlobalAveragePooling2D(dtype=policy)(signal)
    signal = LAYERS.Dense(WIDTH, "relu", dtype=policy)(
        LAYERS.LayerNormalization(dtype=policy)(signal)
    )
    return classifier(inputs, signal, normal(*IMAGE))


def mixed_float16():
    return mixed("mixed_float16")


def mixed_bfloat16():
    return mixed("mixed_bfloat16")


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
    """Gives each variable seeded normal values that keep signals near 1; what multiplies or is a
    variance stays positive.
    """
    for number, variable in enumerate(model.weights):
        if keras.backend.is_float_dtype(variable.dtype):
            spread = (
                1 / math.sqrt(math.prod(variable.shape[:-1])) if len(variable.shape) > 1 else 0.1
            )
            values = spread * np.random.default_rng(100 + number).standard_normal(variable.shape)
            variable.assign(
                1 + np.abs(values) if variable.name in ("gamma", "moving_variance") else values
            )


def profile_of(name):
    """What the probe measures on the architecture of that name, with both cotangents and exact
    rows.
    """
    keras.backend.clear_session()
    model, x, y = ARCHITECTURES[name]()
    set_weights(model)
    return Probe(model, seed=5).measure(take_batch(x, y))


def write_profiles(directory):
    for name in ARCHITECTURES:
        Path(directory, f"{name}.json").write_text(
            json_format.to_json(Report(profile_of(name))), encoding="utf-8"
        )


if __name__ == "__main__":
    write_profiles(sys.argv[1])
