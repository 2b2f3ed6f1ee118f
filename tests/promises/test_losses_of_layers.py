"""`add_loss` and activity regularisers beside the compiled loss, in half precision too: measured
where `fit` trains, else told.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.records.errors import DataError, ProbeError

X = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
Y = np.random.default_rng(1).standard_normal((8, 3)).astype("float32")
POLICIES = ["mixed_bfloat16", "mixed_float16"]


class Added(layers.Layer):
    """Adds the mean square of its input to the loss."""

    def call(self, x):
        self.add_loss(keras.ops.mean(x * x))
        return x


def network(kind, dtype):
    keras.utils.set_random_seed(0)
    first = layers.Dense(
        6, activity_regularizer="l2" if kind == "regularizer" else None, dtype=dtype, name="first"
    )
    parts = [
        first,
        *([Added(dtype=dtype)] if kind == "add_loss" else []),
        layers.Dense(3, dtype=dtype, name="head"),
    ]
    model = keras.Sequential([keras.Input((6,)), *parts], name="network")
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize("kind", ["add_loss", "regularizer"])
@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.backend("torch", "jax"))]
)
def test_losses_of_layers_are_part_of_the_measured_loss(kind, dtype):
    model = network(kind, dtype)
    expected = float(model.evaluate(X, Y, verbose=0))
    assert ic.check(model, X, Y).profile.loss == pytest.approx(
        expected, rel=1e-5 if dtype == "float32" else 2e-2
    )


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("kind", ["add_loss", "regularizer"])
@pytest.mark.parametrize("dtype", POLICIES)
def test_sum_of_losses_that_keras_cannot_make_is_told_as_that(kind, dtype):
    model = network(kind, dtype)
    with pytest.raises(
        Exception, match=r"Pack|bfloat16|half"
    ):  # Keras itself: when this trains, the model must be measured
        model.fit(X, Y, verbose=0)
    words = (
        "Keras must be able to add up the losses of 'network', here and in `fit`. Received: .*"
        f" losses of layers of dtype b?{dtype[6:]}"
    )
    with pytest.raises(ProbeError, match=words) as caught:
        ic.check(model, X, Y)
    assert "labels" not in str(caught.value)


def test_labels_are_blamed_where_they_are_wrong_beside_a_loss_of_a_layer():
    with pytest.raises(DataError, match=r"labels must fit the model's loss \('mse'\)"):
        ic.check(network("add_loss", "float32"), X, Y[:, :2])


@pytest.mark.backend("tensorflow")
def test_fit_that_keras_cannot_add_up_the_losses_of_is_not_ended_by_the_callback():
    model = network("add_loss", "mixed_bfloat16")
    with (
        pytest.warns(ic.InitCheckWarning, match="steps aside .* Keras must be able to add up"),
        pytest.raises(Exception, match="Pack"),
    ):
        model.fit(X, Y, verbose=0, callbacks=[ic.InitCheck(None)])
