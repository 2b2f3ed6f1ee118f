"""Models of any dtype are probed, also of one that the backend does not have."""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe


def mixed_net():
    """float64 beside float32: JAX takes both for float32, and casts between them keep or copy their
    tensor.
    """
    inputs = keras.Input((6,), dtype="float64")
    hidden = keras.layers.Dense(8, "relu", dtype="float64", name="first")(inputs)
    narrow = keras.layers.Dense(8, "tanh", dtype="float32", name="narrow")(hidden)
    hidden = keras.layers.Add(name="sum")(
        [narrow, keras.layers.Dense(8, dtype="float64", name="wide")(hidden)]
    )
    return keras.Model(
        inputs,
        keras.layers.Dense(1, dtype="float64", name="last")(keras.ops.relu(hidden) * 2.0 + 1.0),
    )


@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
@pytest.mark.filterwarnings(
    "ignore:Explicitly requested dtype float64"
)  # JAX says so wherever Keras asks for it
def test_float64_beside_float32(is_exact):
    keras.utils.set_random_seed(0)
    model, generator = mixed_net(), np.random.default_rng(0)
    model.compile("sgd", "mse")
    x, y = generator.standard_normal((8, 6)), generator.standard_normal((8, 1))
    profile = Probe(model).measure(take_batch(x, y), is_exact=is_exact)
    for name in ("first", "sum"):
        output = keras.Model(model.input, model.get_layer(name).output)(x)
        expected = np.mean(np.square(keras.ops.convert_to_numpy(output).astype("float64")))
        assert profile.site(name).activations.h.second_moment == pytest.approx(
            expected, rel=1e-4
        )  # float32 inputs
    predicted = keras.ops.convert_to_numpy(model(x)).astype("float64")
    bias = next(weight for weight in profile.weights if weight.name == "last/bias")
    expected = (2 * np.mean(predicted - y)) ** 2  # a single element
    assert bias.gradient.second_moment == pytest.approx(expected, rel=1e-4)
