"""The truth table: networks of many kinds, what is to be said of each, and why."""

import math

import keras
import numpy as np
from keras import initializers, layers

from tests.truth import (
    nets_consequence,
    nets_cover,
    nets_data,
    nets_functions,
    nets_paths,
    nets_repair,
    nets_step,
    nets_suspects,
    real,
)
from tests.truth.builders import (
    VOCABULARY,
    autoencoder,
    changed,
    cnn,
    densenet,
    depthwise,
    frozen_backbone,
    gated_linear,
    mlp,
    normal,
    recurrent,
    residual,
    resnet,
    rezero,
    scaled_input,
    siamese,
    single_attention,
    squeeze_excite,
    stopped,
    subclassed,
    transformer,
    unet,
    variational,
    wavenet,
)
from tests.truth.net import Net


def _gpt2(blocks=4):
    return transformer(
        lambda: normal(0.02),
        output_initializer=lambda: normal(0.02 / math.sqrt(2 * blocks)),
        blocks=blocks,
    )


_SPARSE, _BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _digits(activation=None):
    return _table_mlp(64, 10, activation)


def _table_mlp(inputs, outputs, activation=None):
    hidden = [
        layers.Dense(64, "relu", kernel_initializer="he_normal", name=f"hidden_{number}")
        for number in range(2)
    ]
    return keras.Sequential(
        [keras.Input((inputs,)), *hidden, layers.Dense(outputs, activation, name="head")]
    )


def _bottleneck(width):
    x = start = keras.Input((64,))
    for units in (64, width, 64):
        x = layers.Dense(units, "tanh", kernel_initializer="glorot_normal")(x)
    return keras.Model(start, layers.Dense(10, "softmax")(x))


def _identity_recurrent():
    options = {"recurrent_initializer": "identity", "kernel_initializer": normal(0.03)}
    return recurrent(lambda: layers.SimpleRNN(32, "relu", **options))


HEALTHY = (
    Net("MLP 3x64, Keras defaults", lambda: mlp(3, 64, "relu"), "three factors of 1/2 are e^-2"),
    Net("MLP 5x256, Keras defaults", lambda: mlp(5, 256, "relu"), "e^-3.5, trains as well as He's"),
    Net("MLP 20x128 He", lambda: mlp(20, 128, "relu", "he_normal"), "every factor is 1"),
    Net(
        "MLP 10x16 He",
        lambda: mlp(10, 16, "relu", "he_normal"),
        "narrow: chance moves the gain, not the weights",
    ),
    Net("MLP 50x64 He", lambda: mlp(50, 64, "relu", "he_normal"), "deep and narrow, and still He"),
    Net("MLP 30x64 He uniform", lambda: mlp(30, 64, "relu", "he_uniform"), "every factor is 1"),
    Net(
        "MLP 20x128 SELU LeCun",
        lambda: mlp(20, 128, "selu", "lecun_normal"),
        "Klambauer et al. 2017",
    ),
    Net(
        "MLP 8x128 tanh Glorot",
        lambda: mlp(8, 128, "tanh", "glorot_normal"),
        "the variance map attracts",
    ),
    Net(
        "MLP 20x128 tanh orthogonal",
        lambda: mlp(20, 128, "tanh", "orthogonal"),
        "close to isometry",
    ),
    Net("MLP 8x128 GELU He", lambda: mlp(8, 128, "gelu", "he_normal"), "0.85 a layer is e^-1.3"),
    Net("MLP 8x128 SiLU He", lambda: mlp(8, 128, "silu", "he_normal"), "0.71 a layer is e^-2.7"),
    Net(
        "MLP 10x128 leaky ReLU He", lambda: mlp(10, 128, "leaky_relu", "he_normal"), "1.04 a layer"
    ),
    Net("MLP 10x128 ELU He", lambda: mlp(10, 128, "elu", "he_normal"), "1.29 a layer is e^2.5"),
    Net("MLP 2x64 sigmoid Glorot", lambda: mlp(2, 64, "sigmoid"), "two layers bear a sigmoid"),
    Net(
        "first layer / 100",
        lambda: changed(mlp(6, 64, "relu", "he_normal"), "hidden_0", 0.01),
        "its own gradient lets it catch up",
    ),
    Net(
        "MLP with dropout",
        lambda: mlp(6, 128, "relu", "he_normal", between=lambda: layers.Dropout(0.3)),
        "dropout keeps the mean",
    ),
    Net(
        "MLP with batch norm, N(0,1)",
        lambda: mlp(8, 64, None, lambda: normal(1.0), between=_norm_relu),
        "normalized",
    ),
    Net(
        "MLP with layer norm, N(0,0.01²)",
        lambda: mlp(8, 64, None, lambda: normal(0.01), between=layers.LayerNormalization),
        "normalized",
    ),
    Net("CNN 4, Keras defaults", lambda: cnn(4), "few layers"),
    Net("CNN 8 He", lambda: cnn(8, "he_normal"), "every factor is 1"),
    Net("CNN 8 with batch norm", lambda: cnn(8, with_norm=True), "normalized"),
    Net(
        "MobileNet blocks with batch norm",
        lambda: depthwise(True),
        "Keras' fans are wrong there, and the norm corrects",
    ),
    Net("ResNet v1 blocks", resnet, "normalized branches: linear growth"),
    Net("DenseNet blocks", densenet, "normalized before each layer"),
    Net("squeeze and excite", squeeze_excite, "a gate's size is a choice"),
    Net("gated linear units", gated_linear, "normalized before each layer"),
    Net("U-net", unet, "few layers on every path", loss=_BINARY, data=real.masks),
    Net("WaveNet blocks", wavenet, "gated branches beside a skip connection"),
    Net("residual MLP 24, pre-norm", lambda: residual(24, norm="pre"), "growth 1 + l v"),
    Net(
        "residual MLP 24, post-norm",
        lambda: residual(24, norm="post"),
        "normalized after each block",
    ),
    Net(
        "residual MLP 48, zero branches",
        lambda: residual(48, last="zeros"),
        "identity at first (Zhang et al. 2019)",
    ),
    Net(
        "residual MLP 48, branches / sqrt(48)",
        lambda: residual(48, scale=48**-0.5, first="he_normal"),
        "(1 + 2/48)^48 = e²",
    ),
    Net(
        "residual MLP 24, alpha 0.2",
        lambda: residual(24, scale=0.2),
        "1 + 0.08 a block (Brock et al. 2021)",
    ),
    Net("ReZero 24", rezero, "identity at first (Bachlechner et al. 2020)"),
    Net("transformer, pre-norm", transformer, "growth 1 + l v"),
    Net("transformer, post-norm", lambda: transformer(is_pre=False), "normalized after each block"),
    Net(
        "transformer, GPT-2 weights",
        _gpt2,
        "small branches beside the stream (Radford et al. 2019)",
    ),
    Net(
        "transformer, DeepNorm",
        lambda: transformer(is_pre=False, alpha=8**0.25),
        "Wang et al. 2022",
    ),
    Net("LSTM", lambda: recurrent(lambda: layers.LSTM(32)), "bounded"),
    Net(
        "GRU, both ways", lambda: recurrent(lambda: layers.Bidirectional(layers.GRU(16))), "bounded"
    ),
    Net(
        "SimpleRNN", lambda: recurrent(lambda: layers.SimpleRNN(32)), "orthogonal recurrent kernel"
    ),
    Net(
        "SimpleRNN, 50 steps",
        lambda: recurrent(lambda: layers.SimpleRNN(32), steps=50),
        "forgets, and learns what lies close",
    ),
    Net("SimpleRNN with ReLU, identity", _identity_recurrent, "Le et al. 2015"),
    Net("Siamese", siamese, "shared weights, two calls"),
    Net("autoencoder", autoencoder, "He forward; the bottleneck is narrow"),
    Net("variational autoencoder", variational, "samples its code"),
    Net("subclassed, bare relu", subclassed, "an activation that is no layer"),
    Net("frozen backbone", frozen_backbone, "only the head is trained"),
    Net("zero head", lambda: _zero_head(mlp(4, 64, "relu", "he_normal")), "meant (muP, Fixup)"),
    Net("digits", lambda: _digits("softmax"), "starts by guessing", data=real.digits),
    Net("digits, logits", lambda: _digits(), "starts by guessing", loss=_LOGITS, data=real.digits),
    Net(
        "digits, head x 4",
        lambda: changed(_digits(), "head", 4.0),
        "measured: costs nothing",
        loss=_LOGITS,
        data=real.digits,
    ),
    Net(
        "diabetes, standardized",
        lambda: _table_mlp(10, 1),
        "unit scale",
        loss="mse",
        data=real.diabetes,
    ),
    Net(
        "breast cancer, standardized",
        lambda: _table_mlp(30, 1, "sigmoid"),
        "unit scale",
        loss=_BINARY,
        data=real.breast_cancer,
    ),
    Net("iris as it comes", lambda: _table_mlp(4, 3, "softmax"), "centimetres", data=real.iris),
    Net("one-hot table", lambda: _table_mlp(40, 3, "softmax"), "sparse columns", data=real.one_hot),
    Net("orthogonal", lambda: mlp(6, 64, "tanh", "orthogonal"), "full rank"),
    Net("bottleneck of 3", lambda: _bottleneck(3), "narrow by design"),
    Net("attention with zero queries", lambda: single_attention({"query": 0.0}), "meant (muP)"),
    Net(
        "MLP 13x128 Glorot with Adam",
        lambda: mlp(13, 128, "relu"),
        "e^-8.3 is within Adam's budget",
        optimizer="adam",
    ),
    *nets_consequence.HEALTHY,
    *nets_cover.HEALTHY,
    *nets_data.HEALTHY,
    *nets_functions.HEALTHY,
    *nets_paths.HEALTHY,
    *nets_repair.HEALTHY,
    *nets_step.HEALTHY,
    *nets_suspects.HEALTHY,
)
"""No warning and no error may come."""


def _norm_relu():
    return keras.Sequential([layers.BatchNormalization(), layers.ReLU()])


def _zero_head(model):
    head = model.get_layer("head")
    head.kernel.assign(head.kernel * 0.0)
    return model


def _with_nan(model):
    kernel = model.get_layer("hidden_2").kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    values[0, 0] = math.nan
    kernel.assign(values)
    return model


def _frozen_and_small():
    model = changed(mlp(6, 64, "relu", "he_normal"), "hidden_0", 0.01)
    model.get_layer("hidden_0").trainable = False
    return model


def _silent_head(model):
    model.get_layer("head").bias.assign([-9.0])
    return model


def _zero_gammas():
    x = start = keras.Input((64,))
    for number in range(4):
        x = layers.BatchNormalization(gamma_initializer="zeros", name=f"norm_{number}")(
            layers.Dense(64)(x)
        )
        x = layers.ReLU()(x)
    return keras.Model(start, layers.Dense(10, "softmax")(x))


def _equal_tokens():
    x = start = keras.Input((16,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 32, embeddings_initializer="ones", name="embedding")(x)
    x = layers.Conv1D(64, 4, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(start, layers.Dense(10, "softmax")(layers.GlobalAveragePooling1D()(x)))


def _outer(model):
    kernel = model.get_layer("hidden_1").kernel
    values = keras.ops.convert_to_numpy(kernel)
    kernel.assign(np.outer(values[:, 0], values[0] / values[0, 0]))
    return model


_SEEDED = initializers.HeNormal(seed=3)
GAIN = ("IC102", "IC103")
FAULTY = (
    Net("MLP 12x128 Glorot", lambda: mlp(12, 128, "relu"), "2^-11 = e^-7.6 with SGD", GAIN),
    Net(
        "MLP 30x128 Glorot",
        lambda: mlp(30, 128, "relu"),
        "2^-29: He et al. 2015 saw it stall",
        GAIN,
    ),
    Net(
        "MLP 6x128 N(0,0.01²)",
        lambda: mlp(6, 128, "relu", lambda: normal(0.01)),
        "0.0064 a layer",
        GAIN,
    ),
    Net("MLP 6x128 N(0,1)", lambda: mlp(6, 128, "relu", lambda: normal(1.0)), "64 a layer", GAIN),
    Net(
        "MLP 40x128, He times 1.2",
        lambda: mlp(40, 128, "relu", lambda: initializers.VarianceScaling(2.88)),
        "1.44 a layer",
        GAIN,
    ),
    Net(
        "one layer x 30",
        lambda: changed(mlp(10, 128, "relu", "he_normal"), "hidden_4", 30.0),
        "900",
        GAIN,
        "hidden_4",
    ),
    Net(
        "one layer / 30",
        lambda: changed(mlp(10, 128, "relu", "he_normal"), "hidden_4", 1 / 30),
        "1/900",
        GAIN,
        "hidden_4",
    ),
    Net("first layer / 100, frozen", _frozen_and_small, "cannot catch up", GAIN, "hidden_0"),
    Net("CNN 6 N(0,1)", lambda: cnn(6, lambda: normal(1.0)), "72 and more a layer", GAIN),
    Net("CNN 8 N(0,0.01²)", lambda: cnn(8, lambda: normal(0.01)), "0.007 a layer", GAIN),
    Net("VGG16, Keras defaults", lambda: _application("VGG16"), "2^-13.75 over conv2..13", GAIN),
    Net(
        "MobileNet blocks without norm",
        lambda: depthwise(False),
        "depthwise factor 2/(c+1) with Glorot",
        GAIN,
        "depthwise_conv2d_1",
    ),
    Net(
        "SELU 30x128 He",
        lambda: mlp(30, 128, "selu", "he_normal"),
        "2 a layer where 1 is right",
        GAIN,
    ),
    Net(
        "sigmoid 6x100 N(0,0.01²)",
        lambda: mlp(6, 100, "sigmoid", lambda: normal(0.01)),
        "slope 1/4",
        ("IC103", "IC206"),
    ),
    Net("sigmoid 8x100 Glorot", lambda: mlp(8, 100, "sigmoid"), "slope 1/4", ("IC103", "IC206")),
    Net(
        "tanh 4x128 N(0,1)",
        lambda: mlp(4, 128, "tanh", lambda: normal(1.0)),
        "saturated",
        ("IC205", *GAIN),
    ),
    Net(
        "dead layer",
        lambda: mlp(3, 64, "relu", "he_normal", bias_initializer=_constant(-9.0)),
        "biases of -9",
        ("IC202",),
        "hidden_0",
    ),
    Net(
        "head with ReLU, bias of -9",
        lambda: _silent_head(_table_mlp(30, 1, "relu")),
        "no gradient passes it",
        ("IC202",),
        "head",
        loss="mse",
        data=real.breast_cancer,
    ),
    Net("zero gammas in a row", _zero_gammas, "no gradient for any of them", ("IC302",), "norm_3"),
    Net(
        "dying units",
        lambda: mlp(3, 256, "relu", "he_normal", bias_initializer=_constant(-3.5)),
        "biases of -3.5",
        ("IC208", "IC202"),
    ),
    Net(
        "biases N(0,30²)",
        lambda: mlp(6, 64, "relu", "he_normal", bias_initializer=normal(30.0)),
        "the biases are the signal",
        ("IC203",),
    ),
    Net(
        "constant kernels",
        lambda: mlp(3, 64, "relu", "ones"),
        "all units are one",
        ("IC105",),
        "hidden_0",
    ),
    Net(
        "zero kernel",
        lambda: changed(mlp(4, 64, "relu", "he_normal"), "hidden_1", 0.0),
        "nothing passes",
        ("IC106",),
        "hidden_1",
    ),
    Net(
        "one seed for all",
        lambda: mlp(4, 64, "relu", lambda: _SEEDED),
        "the same draw four times",
        ("IC107",),
        "hidden_1",
    ),
    Net(
        "NaN in a kernel",
        lambda: _with_nan(mlp(4, 64, "relu", "he_normal")),
        "from a diverged run",
        ("IC101",),
        "hidden_2",
    ),
    Net("residual MLP 48 without norm", lambda: residual(48), "3 a block", ("IC502",)),
    Net(
        "residual MLP 48, relu after",
        lambda: residual(48, after="relu"),
        "1.5 a block and more",
        ("IC502",),
    ),
    Net(
        "GRU, kernels N(0,2²)",
        lambda: recurrent(
            lambda: layers.GRU(
                32, kernel_initializer=normal(2.0), recurrent_initializer=normal(2.0), name="gru"
            )
        ),
        "the candidate state is ±1 whatever comes in",
        ("IC205",),
        "gru",
    ),
    Net(
        "transformer N(0,1)",
        lambda: transformer(lambda: normal(1.0)),
        "logits of 64",
        ("IC207", *GAIN),
    ),
    Net(
        "SimpleRNN, recurrent N(0, 9/n)",
        lambda: recurrent(
            lambda: layers.SimpleRNN(64, recurrent_initializer=normal(3 / 8), name="rnn"), steps=50
        ),
        "chaos: the gradient explodes",
        ("IC305",),
        "rnn",
    ),
    Net("embedding of ones", _equal_tokens, "all tokens are one", ("IC105",), "embedding"),
    Net("stop_gradient", stopped, "a branch that cannot learn", ("IC304",), "lost"),
    Net("pixels 0..255", lambda: scaled_input(58.0, 120.0), "input not scaled", ("IC403",)),
    Net("input of 1e-4", lambda: scaled_input(1e-4), "input not scaled", ("IC403",)),
    Net(
        "subclassed N(0,0.01²)",
        lambda: subclassed(initializer=lambda: normal(0.01)),
        "0.003 a layer",
        GAIN,
    ),
    Net(
        "digits, head x 40",
        lambda: changed(_digits(), "head", 40.0),
        "sure of guesses",
        ("IC404",),
        "head",
        loss=_LOGITS,
        data=real.digits,
    ),
    Net(
        "digits, no softmax",
        lambda: _digits(),
        "logits taken for probabilities",
        ("IC406",),
        "head",
        loss=_SPARSE,
        data=real.digits,
    ),
    Net(
        "softmax over one unit",
        lambda: _table_mlp(30, 1, "softmax"),
        "always 1",
        ("IC406",),
        "head",
        loss=_BINARY,
        data=real.breast_cancer,
    ),
    Net(
        "several classes a row",
        lambda: _digits("softmax"),
        "softmax gives one",
        ("IC405",),
        "head",
        loss="categorical_crossentropy",
        data=real.multi_hot,
    ),
    Net(
        "labels beyond tanh",
        lambda: _table_mlp(10, 1, "tanh"),
        "-1.5 to 2 from -1 to 1",
        ("IC405",),
        "head",
        loss="mse",
        data=real.diabetes,
    ),
    Net(
        "labels with NaN",
        lambda: _table_mlp(10, 1),
        "missing values",
        ("IC405",),
        "head",
        loss="mse",
        data=real.missing,
    ),
    Net(
        "diabetes as it comes",
        lambda: _table_mlp(10, 1),
        "labels around 150",
        ("IC407",),
        "head",
        loss="mse",
        data=real.raw_diabetes,
    ),
    Net(
        "wine as it comes",
        lambda: _table_mlp(13, 3, "softmax"),
        "one column has 98%",
        ("IC408",),
        "hidden_0",
        data=real.wine,
    ),
    Net(
        "outer product",
        lambda: _outer(mlp(4, 64, "relu", "he_normal")),
        "one direction",
        ("IC108",),
        "hidden_1",
    ),
    Net(
        "attention with zero projections",
        lambda: single_attention({"query": 0.0, "key": 0.0}),
        "uniform for ever",
        ("IC209",),
    ),
    Net(
        "MLP 30x128 Glorot with Adam",
        lambda: mlp(30, 128, "relu"),
        "e^-20 is beyond Adam's budget",
        GAIN,
        optimizer="adam",
    ),
    *nets_consequence.FAULTY,
    *nets_cover.FAULTY,
    *nets_data.FAULTY,
    *nets_functions.FAULTY,
    *nets_paths.FAULTY,
    *nets_repair.FAULTY,
    *nets_step.FAULTY,
    *nets_suspects.FAULTY,
)
"""At least one of the codes must come as a warning or an error, with the culprit where there is
one.
"""


def _constant(value):
    return initializers.Constant(value)


def _application(name):
    return getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=10)
