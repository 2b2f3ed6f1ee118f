"""Quantized models: probed around the layers that run another method than `call`, which are
named.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.probe.first_step import NOT_EAGER

X = np.random.default_rng(0).standard_normal((16, 8)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 4)).astype("float32")
QUANTIZED = "quantized: it runs another method than `call`"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize` method:UserWarning"
)


def network(dtype=None):
    keras.utils.set_random_seed(0)
    parts = [
        layers.Dense(8, "relu", dtype=dtype, name="first"),
        layers.ReLU(name="relu"),
        layers.Dense(4, name="head"),
    ]
    return keras.Sequential([keras.Input((8,)), *parts], name="network")


def compiled(model):
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def quantized(mode):
    model = network()
    model.quantize(mode)
    return compiled(model)


needs_int4 = pytest.mark.skipif(
    keras.__version__.startswith("3.5."), reason="Keras 3.5 has no int4"
)


def values(model):
    return [
        np.asarray(keras.ops.convert_to_numpy(variable))
        for variable in [*model.variables, *model.optimizer.variables]
    ]


def assert_same_values(found, expected):
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def graph_only(dtype):
    """TensorFlow makes the gradients of float8 layers in a graph, where no step can be made."""
    is_graph = "float8" in dtype and keras.backend.backend() == "tensorflow"
    return {"first step": NOT_EAGER} if is_graph else {}


@pytest.mark.parametrize("mode", ["int8", pytest.param("int4", marks=needs_int4), "float8"])
def test_quantized_layers_are_named_and_the_rest_measured(mode):
    model = quantized(mode)
    before = values(model)
    profile = ic.check(model, X, Y).profile
    assert dict(profile.not_probed) == {"first": QUANTIZED, "head": QUANTIZED, **graph_only(mode)}
    (site,) = [site for site in profile.sites if site.name == "relu"]
    assert site.activations.h.second_moment > 0 and site.loss_gradients.h.second_moment > 0
    assert profile.loss == pytest.approx(float(model.evaluate(X, Y, verbose=0)), rel=1e-3)
    assert_same_values(values(model), before)


@pytest.mark.backend("tensorflow", "torch")
def test_float8_trains_bitwise_the_same_with_the_callback():
    models = [quantized("float8") for _ in range(2)]
    watcher = ic.InitCheck(None, on_drift="ignore", update_freq=1)
    for model, callbacks in zip(models, ([], [watcher]), strict=True):
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
    assert_same_values(values(models[0]), values(models[1]))
    assert watcher.report.profile.step == 4


@pytest.mark.parametrize("dtype", ["int8_from_float32", "float8_from_mixed_bfloat16"])
def test_layer_with_a_quantized_policy_is_named(dtype):
    profile = ic.check(compiled(network(dtype)), X, Y).profile
    assert dict(profile.not_probed) == {"first": QUANTIZED, **graph_only(dtype)}
    assert [site.name for site in profile.sites if site.layer_type != "Cast"] == [
        "relu",
        "head",
    ]  # Keras 3.5 has operations for casts
