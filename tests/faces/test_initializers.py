import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.cli import main
from keras_initcheck.initializers import DISTRIBUTIONS, ForActivation, prepare
from keras_initcheck.probe.keras_model.layer_kinds import cell_fans, kernel_fans

GELU = 1.0 / (1.0 / 3.0 + 1.0 / (2.0 * math.pi * math.sqrt(3.0)))
"""1 / E[gelu(z)²] at z ~ N(0, 1): E[z² Φ(z)²] by Stein's lemma, twice. 2.3517."""

IMAGE = (None, 16, 16, 12)
LAYERS = {
    "dense": (lambda: layers.Dense(300, "gelu"), (None, 200), {"kernel": (200, 300)}),
    "einsum": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 8, 16), activation="gelu"),
        (None, 5, 64),
        {"kernel": (64, 128)},
    ),
    "strided": (
        lambda: layers.Conv2D(64, 3, strides=2, activation="gelu"),
        IMAGE,
        {"kernel": (9 * 12, 9 * 64 / 4)},
    ),
    "dilated": (
        lambda: layers.Conv2D(64, 3, dilation_rate=2, activation="gelu"),
        IMAGE,
        {"kernel": (9 * 12, 9 * 64)},
    ),
    "grouped": (
        lambda: layers.Conv2D(96, 5, groups=4, activation="gelu"),
        IMAGE,
        {"kernel": (25 * 3, 25 * 24)},
    ),
    "conv1d": (
        lambda: layers.Conv1D(80, 5, strides=5, activation="gelu"),
        (None, 20, 30),
        {"kernel": (150, 80)},
    ),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(7, strides=2, depth_multiplier=3, activation="gelu"),
        IMAGE,
        {"kernel": (49, 49 * 3 / 4)},
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(40, 4, strides=2, activation="gelu"),
        IMAGE,
        {"kernel": (4 * 12, 16 * 40)},
    ),
}
"""Layer, input shape, and true fans of its kernel by hand."""
RECURRENT = {"simple": (layers.SimpleRNN, 1), "gru": (layers.GRU, 3), "lstm": (layers.LSTM, 4)}


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def values(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype="float64")


def assert_variance(kernel, expected):
    """Within five standard errors of a normal sample's variance, `sqrt(2 / N)`: once in 2 million
    draws a right one fails.
    """
    drawn = values(kernel)
    assert np.mean(drawn**2) == pytest.approx(expected, rel=5.0 * math.sqrt(2.0 / drawn.size))
    assert abs(np.mean(drawn)) < 5.0 * math.sqrt(expected / drawn.size)


def fan(fans, mode):
    fan_in, fan_out = fans
    return {"forward": fan_in, "backward": fan_out, "balanced": math.sqrt(fan_in * fan_out)}[mode]


@pytest.mark.parametrize("mode", ["forward", "backward", "balanced"])
@pytest.mark.parametrize("name", LAYERS)
def test_prepared_kernel_has_the_variance_of_its_true_fan(name, mode):
    make, shape, fans = LAYERS[name]
    layer = prepare(make(), mode=mode)
    layer.build(shape)
    assert kernel_fans(layer)["kernel"].fan_in == fans["kernel"][0]
    assert_variance(layer.kernel, GELU / fan(fans["kernel"], mode))


@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_pointwise_kernel_of_a_separable_convolution_gets_the_activation_s_scale(mode):
    layer = prepare(
        layers.SeparableConv2D(128, 5, strides=2, depth_multiplier=2, activation="gelu"), mode=mode
    )
    layer.build((None, 16, 16, 64))
    assert_variance(layer.depthwise_kernel, 1.0 / fan((25, 25 * 2 / 4), mode))
    assert_variance(layer.pointwise_kernel, GELU / fan((128, 128), mode))


@pytest.mark.parametrize("mode", ["forward", "backward"])
@pytest.mark.parametrize("name", RECURRENT)
def test_each_gate_of_a_recurrent_kernel_has_its_own_fan(name, mode):
    kind, gates = RECURRENT[name]
    layer = prepare(kind(50), mode=mode)
    layer.build((None, 5, 80))
    assert cell_fans(layer.cell)["kernel"].fan_out == 50
    assert layer.cell.kernel.shape == (80, gates * 50)
    assert_variance(layer.cell.kernel, 1.0 / fan((80, 50), mode))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_has_the_same_variance(distribution):
    kernel = ForActivation("relu", distribution=distribution)((400, 300))
    assert_variance(kernel, 2.0 / 400)


def test_distributions_have_their_bounds():
    std = math.sqrt(2.0 / 400)
    assert (
        np.abs(values(ForActivation("relu")((400, 300)))).max() <= 2.0 * std / 0.8796 * 1.0001
    )  # the cut; float32
    assert (
        np.abs(values(ForActivation("relu", distribution="uniform")((400, 300)))).max()
        <= math.sqrt(3.0) * std * 1.0001
    )
    assert (
        np.abs(values(ForActivation("relu", distribution="normal")((400, 300)))).max() > 3.0 * std
    )


@pytest.mark.parametrize(
    ("options", "shape", "matrix"),
    [
        ({}, (64, 32), lambda kernel: kernel),
        ({}, (32, 64), lambda kernel: kernel.T),
        ({}, (3, 3, 8, 16), lambda kernel: kernel.reshape(72, 16)),
        ({"gates": 4}, (48, 4 * 32), lambda kernel: kernel[:, 32:64]),
        ({"groups": 4}, (3, 3, 8, 64), lambda kernel: kernel[..., 16:32].reshape(72, 16)),
        ({"depthwise": True}, (5, 5, 8, 3), lambda kernel: kernel[:, :, 6].reshape(25, 3)),
    ],
    ids=["tall", "wide", "conv", "a gate", "a group", "a channel"],
)
def test_orthogonal_kernel_has_orthonormal_columns_up_to_its_scale(options, shape, matrix):
    columns = matrix(values(ForActivation("relu", distribution="orthogonal", **options)(shape)))
    gram = columns.T @ columns
    np.testing.assert_allclose(
        gram / gram[0, 0], np.eye(len(gram)), atol=1e-5
    )  # float32 QR of 72 rows


@pytest.mark.parametrize(
    ("activation", "scale"),
    [
        ("relu", 2.0),
        ("tanh", 1.0),
        (None, 1.0),
        ("gelu", GELU),
        (keras.activations.gelu, GELU),
        (layers.LeakyReLU(0.1), 2.0),
        (lambda x: 3.0 * x, 1.0 / 9.0),
    ],
    ids=["relu", "tanh", "none", "name", "function", "layer", "own function"],
)
def test_scale_is_that_of_the_activation(activation, scale):
    assert ForActivation(activation).scale == pytest.approx(
        scale, rel=1e-4
    )  # a function of the user's own computes in float32


@pytest.mark.parametrize("seed", [None, 7])
def test_no_two_kernels_of_one_instance_are_alike(seed):
    initializer = ForActivation("gelu", seed=seed)
    first, second = values(initializer((64, 64))), values(initializer((64, 64)))
    assert (
        abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5.0 / 64.0
    )  # five standard errors
    model = keras.Sequential(
        [
            keras.Input((64,)),
            *(layers.Dense(64, "gelu", kernel_initializer=initializer) for _ in range(4)),
        ]
    )
    assert not [finding for finding in ic.check(model).findings if finding.code == "IC107"]


def test_numbers_follow_the_random_seed_of_keras():
    initializer = ForActivation("gelu")
    drawn = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        drawn.append([values(initializer((8, 8))), values(initializer((8, 8)))])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_seed_gives_the_same_sequence_to_each_instance_and_to_a_copy():
    first, second = ForActivation("gelu", seed=7), ForActivation("gelu", seed=7)
    drawn = [values(first((8, 8))) for _ in range(3)]
    copy = ForActivation.from_config(first.get_config())
    for other in (second, copy):
        np.testing.assert_array_equal([values(other((8, 8))) for _ in range(3)], drawn)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_kernel_has_the_dtype_that_is_asked_for(distribution, dtype):
    kernel = ForActivation("gelu", distribution=distribution)((8, 4), dtype=dtype)
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype


@pytest.mark.parametrize("name", [*LAYERS, "separable", "gru"])
def test_prepared_layer_survives_saving(name, tmp_path):
    others = {
        "separable": (lambda: layers.SeparableConv2D(8, 3), IMAGE),
        "gru": (lambda: layers.GRU(8), (None, 5, 8)),
    }
    make, shape = LAYERS[name][:2] if name in LAYERS else others[name]
    layer = prepare(make(), mode="backward", distribution="uniform")
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for weight, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert loaded.layers[0].get_config() == layer.get_config()
    assert "keras_initcheck>ForActivation" in str(layer.get_config())


def test_saved_model_opens_in_a_new_process_that_imports_the_module(tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, kernel_initializer=ForActivation(layers.LeakyReLU(0.1))),
        ]
    ).save(path)
    code = (
        "import keras, keras_initcheck.initializers;"
        f" keras.models.load_model({str(path)!r}).summary()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, timeout=300
    )
    assert main([str(path)]) == 0


@pytest.mark.parametrize("distribution", ["truncated_normal", "orthogonal"])
def test_deep_gelu_net_is_healthy(distribution):
    initializer = ic.initializers.for_activation("gelu", distribution=distribution)
    body = [layers.Dense(256, "gelu", kernel_initializer=initializer) for _ in range(30)]
    model = keras.Sequential([keras.Input((256,)), *body, prepare(layers.Dense(10, "softmax"))])
    report = ic.check(model)
    assert report.ok, str(report)


def test_deep_net_of_strided_and_depthwise_convolutions_is_healthy():
    def block(filters, strides):
        depthwise = prepare(layers.DepthwiseConv2D(3, strides, padding="same", activation="silu"))
        return [depthwise, prepare(layers.Conv2D(filters, 1, activation="silu"))]

    stack = [
        layer
        for filters, strides in [(64, 1), (64, 2), (128, 1), (128, 2), (128, 1), (128, 1)]
        for layer in block(filters, strides)
    ]
    model = keras.Sequential(
        [
            keras.Input((32, 32, 32)),
            *stack,
            layers.GlobalAveragePooling2D(),
            prepare(layers.Dense(10)),
        ]
    )
    report = ic.check(model)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("layer", "scale"),
    [
        (prepare(layers.Dense(3, "softmax")), 1.0),
        (prepare(layers.Dense(3, "sigmoid")), 1.0),
        (prepare(layers.Dense(3), "relu"), 2.0),
        (prepare(layers.Dense(3, "relu"), "linear"), 1.0),
    ],
    ids=["softmax", "sigmoid", "what follows", "what is said"],
)
def test_activation_is_the_layer_s_own_unless_told(layer, scale):
    assert layer.kernel_initializer.scale == scale


def test_biases_and_recurrent_kernels_keep_their_initializers():
    layer = prepare(layers.GRU(4, bias_initializer="ones"))
    assert isinstance(layer.cell.recurrent_initializer, keras.initializers.Orthogonal)
    assert isinstance(layer.cell.bias_initializer, keras.initializers.Ones)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"activation": "gleu"},
            ValueError,
            "`activation` must be an element-wise activation: .* Received: 'gleu'",
        ),
        (
            {"activation": "softmax"},
            ValueError,
            'For a head, or where units are mixed as in softmax, give "linear".',
        ),
        (
            {"activation": keras.ops.zeros_like},
            ValueError,
            "`activation` must be an element-wise activation",
        ),
        ({"mode": "fan_in"}, ValueError, "`mode` must be one of .* Received: mode='fan_in'."),
        (
            {"distribution": "gamma"},
            ValueError,
            "`distribution` must be one of .* Received: distribution='gamma'.",
        ),
        (
            {"seed": "7"},
            TypeError,
            "`seed` must be an integer of 0 or more, or None. Received: seed='7'.",
        ),
        ({"seed": -1}, TypeError, "Received: seed=-1."),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ForActivation(**options)


def test_layer_without_a_known_kernel_is_refused():
    with pytest.raises(TypeError, match="Received: Embedding"):
        prepare(layers.Embedding(10, 4))


def test_built_layer_is_refused():
    layer = layers.Dense(3)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="must not be built: its weights are drawn already"):
        prepare(layer)
