"""Each initializer's promise is what a large draw of it holds."""

import keras
import numpy as np
import pytest
from keras import initializers, layers

from keras_initcheck.initializers import DISTRIBUTIONS, ForActivation
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.promises import promise_of

NAMES = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
)
LAYERS = {
    "dense": (lambda init: layers.Dense(400, kernel_initializer=init), (300,)),
    "convolution": (lambda init: layers.Conv2D(128, 3, kernel_initializer=init), (8, 8, 96)),
    "groups": (lambda init: layers.Conv2D(128, 3, groups=4, kernel_initializer=init), (8, 8, 256)),
    "depthwise": (
        lambda init: layers.DepthwiseConv2D(5, depthwise_initializer=init),
        (8, 8, 2000),
    ),
    "transposed": (
        lambda init: layers.Conv2DTranspose(96, 3, kernel_initializer=init),
        (8, 8, 128),
    ),
    "einsum": (
        lambda init: layers.EinsumDense(
            "abc,cde->abde", output_shape=(None, 8, 40), kernel_initializer=init
        ),
        (6, 320),
    ),
    "einsum that sums two axes": (
        lambda init: layers.EinsumDense(
            "abcd,cde->abe", output_shape=(None, 300), kernel_initializer=init
        ),
        (6, 8, 40),
    ),
    "embedding": (lambda init: layers.Embedding(900, 100, embeddings_initializer=init), ()),
}


def built(layer, shape):
    layer.build((2, *shape))
    return layer


def check_promise(layer, variable):
    name = variable.path.rsplit("/", 1)[-1]
    promised = promise_of(layer, name, tuple(variable.shape)).distribution
    values = np.asarray(to_numpy(variable), "float64")
    # 50,000 values: the deviation scatters by 0.3%, the mean by 0.5% of it.
    assert values.std() == pytest.approx(promised.deviation, rel=0.015)
    assert values.mean() == pytest.approx(promised.mean, abs=0.025 * promised.deviation)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_promise_of_a_name_is_what_is_drawn(kind, name):
    make, shape = LAYERS[kind]
    layer = built(make(name), shape)
    check_promise(layer, layer.variables[0])


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_promise_of_variance_scaling_is_what_is_drawn(mode, distribution):
    layer = built(layers.Dense(600, kernel_initializer="zeros"), (100,))
    layer.kernel_initializer = initializers.VarianceScaling(3.0, mode, distribution)
    values = to_numpy(layer.kernel_initializer((100, 600)))
    promised = promise_of(layer, "kernel", (100, 600)).distribution
    assert np.std(values) == pytest.approx(promised.deviation, rel=0.015)


def test_mean_is_promised():
    for init in (
        initializers.RandomNormal(mean=2.0, stddev=0.5),
        initializers.TruncatedNormal(mean=-1.0, stddev=0.1),
        initializers.RandomUniform(1.0, 3.0),
    ):
        layer = built(layers.Dense(400, kernel_initializer=init), (300,))
        check_promise(layer, layer.kernel)


@pytest.mark.parametrize("distribution", [each for each in DISTRIBUTIONS if each != "orthogonal"])
def test_promise_of_this_package_is_what_is_drawn(distribution):
    init = ForActivation("gelu", distribution=distribution)
    layer = built(layers.Dense(400, kernel_initializer=init), (300,))
    check_promise(layer, layer.kernel)


@pytest.mark.parametrize(
    ("initializer", "words"),
    [
        ("zeros", "zeros"),
        ("ones", "ones"),
        (initializers.Constant(0.25), "all 0.25"),
        (initializers.RandomNormal(stddev=0.02), "N(0, 0.02²)"),
        (initializers.RandomNormal(stddev=0.0), "zeros"),
        (initializers.RandomUniform(-0.05, 0.05), "U(-0.05, 0.05)"),
        (initializers.Orthogonal(2.0), "orthogonal × 2"),
        (initializers.Identity(0.5), "identity × 0.5"),
    ],
    ids=str,
)
def test_promise_in_words(initializer, words):
    layer = built(layers.Dense(4, kernel_initializer=initializer), (4,))
    assert promise_of(layer, "kernel", (4, 4)).distribution.words == words


@pytest.mark.parametrize(
    "layer", [layers.LSTM(4), layers.ConvLSTM1D(4, 3)], ids=["LSTM", "ConvLSTM1D"]
)
def test_forget_bias_is_promised(layer):
    assert promise_of(layer.cell, "bias", (16,)).distribution.family == "forget bias"


def test_each_variable_has_its_own_initializer():
    layer = layers.SeparableConv2D(
        4, 3, depthwise_initializer="ones", pointwise_initializer="zeros", bias_initializer="ones"
    )
    built(layer, (8, 8, 3))
    found = [
        promise_of(layer, name, (2,)).distribution.words
        for name in ("depthwise_kernel", "pointwise_kernel", "bias")
    ]
    assert found == ["ones", "zeros", "ones"]


@pytest.mark.parametrize(
    "initializer",
    [
        lambda shape, dtype=None: keras.ops.ones(shape, dtype),
        type("Mine", (initializers.HeNormal,), {})(),
        initializers.Constant(np.ones(4)),
    ],
    ids=["function", "subclass", "array"],
)
def test_nothing_is_promised_by_what_is_not_known(initializer):
    layer = layers.Dense(4)
    layer.kernel_initializer = initializer
    assert promise_of(layer, "kernel", (4, 4)) is None


def test_nothing_is_promised_where_the_layer_keeps_no_initializer():
    if hasattr(layers, "RMSNormalization"):  # from Keras 3.10 on
        assert promise_of(layers.RMSNormalization(), "scale", (4,)) is None
    assert promise_of(layers.Dense(4), "lora_kernel_a", (4, 2)) is None


def test_promise_draws_nothing():
    layer = layers.Dense(4)
    keras.utils.set_random_seed(0)
    expected = to_numpy(initializers.HeNormal()((4, 4)))
    keras.utils.set_random_seed(0)
    promise_of(layer, "kernel", (4, 4))
    assert np.array_equal(expected, to_numpy(initializers.HeNormal()((4, 4))))
