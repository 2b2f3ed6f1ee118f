"""What a user gets wrong, and the sentence that it is answered with: what was expected, what came,
and what to do.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.records.errors import DataError, ProbeError

X = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
Y = np.random.default_rng(1).standard_normal((8, 3)).astype("float32")
IS_KERAS_3_5 = keras.__version__.startswith("3.5.")


def network():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6, "relu", name="first"), layers.Dense(3, name="head")],
        name="network",
    )
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def two_inputs():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    model = keras.Model([a, b], layers.Dense(3)(layers.Concatenate()([a, b])), name="two")
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("make", "x", "y", "error", "words"),
    [
        (
            network,
            X[:, :5],
            Y,
            ProbeError,
            r"must be given inputs like \(None, 6\) float32. Received: \(8, 5\) float32",
        ),
        pytest.param(
            *(
                network,
                {"a": X},
                Y,
                ProbeError,
                r"must be given inputs like \(None, 6\) float32. Received: 'a': \(8, 6\) float32",
            ),
            marks=pytest.mark.skipif(
                IS_KERAS_3_5, reason="Keras 3.5 takes the one value of a dict for its one input"
            ),
        ),
        (
            two_inputs,
            X,
            Y,
            ProbeError,
            r"inputs like \(None, 6\) float32, \(None, 6\) float32. Received: \(8, 6\) float32\. ",
        ),
        (
            two_inputs,
            [X, X, X],
            Y,
            ProbeError,
            r"Received: \(8, 6\) float32, \(8, 6\) float32, \(8, 6\) float32\. ",
        ),
        (
            network,
            X,
            Y[:5],
            DataError,
            r"must have the same length. Received: shapes \[\(8, 6\), \(5, 3\)\]",
        ),
        (
            network,
            X,
            list(range(8)),
            DataError,
            r"Received: a scalar, .*make one list of numbers an array, `numpy\.asarray\(numbers\)`",
        ),
        (network, X[:0], Y[:0], DataError, "at least one sample. Received: an empty batch"),
        (network, "data.csv", None, DataError, "`x` must be an array, .* Received: x of type str"),
        (network, np.array([["a"] * 6] * 8), Y, DataError, r"must hold numbers. .* Encode strings"),
        (
            network,
            X.astype(np.longdouble),
            Y,
            DataError,
            r"dtype that \w+ has. Received: float128. Convert them, as with `x\.astype",
        ),
    ],
    ids=[
        "width",
        "dict",
        "one of two",
        "three for two",
        "lengths",
        "list of labels",
        "empty",
        "file name",
        "strings",
        "long double",
    ],
)
def test_mistake_is_answered(make, x, y, error, words):
    with pytest.raises(error, match=words):
        ic.check(make(), x, y)


@pytest.mark.backend("torch")
def test_dtype_that_a_backend_has_not_names_it():
    with pytest.raises(DataError, match=r"dtype that torch has\. Received: uint64. Convert them"):
        ic.check(network(), np.ones((8, 6), "uint64"), Y)


@pytest.mark.skipif(IS_KERAS_3_5, reason="Keras 3.5 knows no complex numbers")
@pytest.mark.filterwarnings("ignore:.*[Cc]omplex:Warning")
def test_complex_data_are_said_to_lose_their_imaginary_part():
    notes = dict(ic.check(network(), X.astype("complex64"), Y).profile.not_probed)
    assert (
        notes["input"]
        == "complex numbers are not measured, and a layer of real numbers drops their imaginary"
        " part"
    )


def test_missing_labels_are_a_note():
    assert dict(ic.check(network(), X).profile.not_probed)["loss"].startswith(
        "the model's loss needs labels, and none were given"
    )


def test_labels_without_a_loss_are_told():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)], name="network")
    model.compile("sgd")
    if keras.backend.backend() == "jax":  # where Keras takes the loss for zero
        assert ic.check(model, X, Y).profile.loss == 0.0
        return
    with pytest.raises(
        ProbeError,
        match=r"The model 'network' must be compiled with a loss to go with labels. Received: none",
    ):
        ic.check(model, X, Y)


def test_ids_out_of_range_name_the_embedding():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Embedding(10, 4, name="words"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    (finding,) = [
        each for each in ic.check(model, np.full((8, 5), 99)).findings if each.code == "IC409"
    ]
    assert (finding.severity, finding.layer) == ("error", "words")
    assert "99" in finding.message and "10 rows" in finding.message


def test_model_without_a_training_argument_is_measured():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x)

    assert [site.name for site in ic.check(Plain(), X).profile.sites] == ["dense"]


def test_outputs_without_floating_point_are_named():
    class Classes(keras.layers.Layer):
        def call(self, x):
            return keras.ops.argmax(x, axis=-1)

    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, name="scores"), Classes(name="classes")]
    )
    profile = ic.check(model, X).profile
    assert [site.name for site in profile.sites] == ["scores", "classes"]
    assert dict(profile.not_probed)["classes"] == "its output is not a dense floating-point tensor"
