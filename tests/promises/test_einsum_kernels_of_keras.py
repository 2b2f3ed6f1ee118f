"""Kernels of EinsumDense and attention, which Keras draws with other fans from 3.15 on: predictions
hold on both sides of the change.

The rules are written out here from the two releases. Until 3.14 `compute_fans` took every such
kernel for a convolution's, `(*window, inputs, outputs)`. From 3.15 on its axes that are not in the
output are inputs, and all others are outputs.
"""

import math

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.initializers import prepare

LAYERS = keras.layers
COUNTS_AXES = tuple(int(part) for part in keras.__version__.split(".")[:2]) >= (3, 15)
QUERY = ("abc,cde->abde", (None, 4, 64), (6, 32))
SHARED = ("abc,bcd->abd", (8, 64), (8, 32))


def layer_of(case, **options):
    equation, output_shape, input_shape = case
    layer = LAYERS.EinsumDense(equation, output_shape, **options)
    return keras.Sequential([keras.Input(input_shape), layer]), layer


def second_moment(variable):
    return float(np.mean(keras.ops.convert_to_numpy(variable.value) ** 2))


@pytest.mark.parametrize(
    ("case", "initializer", "until_3_14", "from_3_15"),
    [
        (QUERY, "glorot_uniform", 2 / (32 * 4 + 32 * 64), 2 / (32 + 4 * 64)),
        (QUERY, "he_normal", 2 / (32 * 4), 2 / 32),
        (SHARED, "glorot_uniform", 2 / (8 * 32 + 8 * 64), 2 / (32 + 8 * 64)),
        (SHARED, "lecun_uniform", 1 / (8 * 32), 1 / 32),
    ],
    ids=["Glorot", "He", "Glorot, shared axis", "LeCun, shared axis"],
)
def test_prediction_goes_by_what_was_drawn(case, initializer, until_3_14, from_3_15):
    """Each output sums 32 products, whatever Keras counts."""
    keras.utils.set_random_seed(0)
    model, layer = layer_of(case, kernel_initializer=initializer)
    variance = from_3_15 if COUNTS_AXES else until_3_14
    assert second_moment(layer.kernel) == pytest.approx(variance, rel=0.05)
    (site,) = ic.check(model).profile.sites
    assert site.predicted_forward_ratio == pytest.approx(32 * variance, rel=0.05)
    assert site.forward_ratio == pytest.approx(32 * variance, rel=0.1)


def test_attention_is_drawn_with_the_fans_of_its_release():
    """4 heads of 16, on 32 features: `(32, 4, 16)` and back, `(4, 16, 32)`."""
    keras.utils.set_random_seed(0)
    layer = LAYERS.MultiHeadAttention(4, 16)
    layer.build((None, 6, 32), (None, 6, 32))
    into, out_of = (
        (2 / (32 + 64), 2 / (64 + 32))
        if COUNTS_AXES
        else (2 / (32 * 4 + 32 * 16), 2 / (4 * 16 + 4 * 32))
    )
    kernels = [variable for variable in layer.weights if variable.name == "kernel"]
    assert [second_moment(kernel) for kernel in kernels] == [
        pytest.approx(expected, rel=0.1) for expected in (into, into, into, out_of)
    ]


@pytest.mark.parametrize("case", [QUERY, SHARED], ids=["query", "shared axis"])
@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_prepared_kernel_has_its_true_fans_on_every_release(case, mode, tmp_path):
    model, layer = layer_of(case, activation="relu")
    keras.utils.set_random_seed(0)
    ready = prepare(LAYERS.EinsumDense.from_config(layer.get_config()), mode=mode)
    model = keras.Sequential([keras.Input(case[2]), ready])
    fan = 32 if mode == "forward" else math.prod({QUERY: (4, 64), SHARED: (64,)}[case])
    assert second_moment(ready.kernel) == pytest.approx(2 / fan, rel=0.05)
    model.save(tmp_path / "model.keras")
    (loaded,) = keras.models.load_model(tmp_path / "model.keras").layers
    assert loaded.kernel_initializer.std(ready.kernel.shape) == ready.kernel_initializer.std(
        ready.kernel.shape
    )
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded.kernel), keras.ops.convert_to_numpy(ready.kernel)
    )
