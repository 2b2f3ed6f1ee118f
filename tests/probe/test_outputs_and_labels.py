"""Outputs beside their labels, against numpy: the loss, the logits' size, the labels' statistics,
and what belongs to what.
"""

import math

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.tap.pass_record import LOSS
from keras_initcheck.records.errors import DataError

LAYERS, LOSSES = keras.layers, keras.losses
TIGHT = 1e-5
"""Relative: sums of a few hundred float32 numbers."""


def model_of(*heads):
    """A model with one output for each `(units, activation)`, named `a`, `b` and so on."""
    start = keras.Input((6,))
    outputs = [
        LAYERS.Dense(units, activation, name=name)(start)
        for name, (units, activation) in zip("abc", heads, strict=False)
    ]
    return keras.Model(start, outputs[0] if len(outputs) == 1 else outputs)


@pytest.fixture
def x(normal):
    return normal(12, 6)


@pytest.fixture
def classes():
    return np.arange(12) % 4


def logits_of(model, x):
    layer = model.layers[-1]
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in layer.weights)
    return x.astype("float64") @ kernel + bias


def log_softmax(z):
    return (
        z
        - z.max(axis=-1, keepdims=True)
        - np.log(np.exp(z - z.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True))
    )


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_classifier_has_loss_and_logits_of_numpy(measure, x, classes, activation):
    model = model_of((4, activation))
    model.compile("sgd", LOSSES.SparseCategoricalCrossentropy(from_logits=activation is None))
    (target,) = measure(model, x, classes).outputs
    z = logits_of(model, x)
    assert (target.name, target.activation, target.width, target.loss) == (
        "a",
        activation,
        4,
        "sparse_categorical_crossentropy",
    )
    assert target.value == pytest.approx(-log_softmax(z)[np.arange(12), classes].mean(), rel=TIGHT)
    assert target.logit_deviation == pytest.approx(math.sqrt(z.var(axis=1).mean()), rel=TIGHT)
    assert (target.labels.minimum, target.labels.maximum, target.labels.share_invalid) == (
        0.0,
        3.0,
        0.0,
    )


def test_softmax_as_a_layer_is_seen_through(measure, x, classes):
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(4), LAYERS.Softmax()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    (target,) = measure(model, x, classes).outputs
    z = x.astype("float64") @ keras.ops.convert_to_numpy(model.layers[0].kernel)
    assert target.activation == "softmax"
    assert target.logit_deviation == pytest.approx(math.sqrt(z.var(axis=1).mean()), rel=TIGHT)


def test_regression_has_error_and_deviation_of_numpy(measure, x, normal):
    y = 3 * normal(12, 2, seed=1) + 5
    model = model_of((2, None))
    model.compile("sgd", "mse")
    (target,) = measure(model, x, y).outputs
    z = logits_of(model, x)
    assert target.value == pytest.approx(np.square(z - y).mean(), rel=TIGHT)
    assert (target.minimum, target.maximum) == pytest.approx((z.min(), z.max()), rel=TIGHT)
    assert target.logit_deviation == pytest.approx(z.std(), rel=TIGHT)
    assert target.labels.mean == pytest.approx(y.mean(), rel=TIGHT)
    assert target.labels.deviation == pytest.approx(math.sqrt(y.var(axis=0).mean()), rel=TIGHT)
    assert target.labels.absolute_deviation == pytest.approx(
        np.abs(y - np.median(y, axis=0)).mean(), rel=TIGHT
    )


def test_large_logits_do_not_overflow(measure, x, classes):
    model = model_of((4, None))
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 1e25)
    model.compile("sgd", LOSSES.SparseCategoricalCrossentropy(from_logits=True))
    (target,) = measure(model, x, classes).outputs
    assert target.logit_deviation == pytest.approx(
        math.sqrt(logits_of(model, x).var(axis=1).mean()), rel=TIGHT
    )


def test_value_is_the_plain_mean_without_weights_and_regularisation(measure, x):
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(1, kernel_regularizer="l2")])
    model.compile("sgd", LOSSES.MeanSquaredError(reduction="sum"), loss_weights=[3.0])
    y, weights = np.ones((12, 1), "float32"), np.arange(12, dtype="float32")
    (target,) = measure(model, x, y, weights).outputs
    assert target.value == pytest.approx(np.square(logits_of(model, x) - y).mean(), rel=TIGHT)
    assert target.is_weighted


OUTPUTS = {"a": (4, None), "b": (1, "tanh")}
SPARSE = LOSSES.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("loss", "names", "is_dict"),
    [
        ([SPARSE, "mae"], ["sparse_categorical_crossentropy", "mean_absolute_error"], False),
        (
            {"a": SPARSE, "b": "mse"},
            ["sparse_categorical_crossentropy", "mean_squared_error"],
            False,
        ),
        (
            {"a": SPARSE, "b": "mse"},
            ["sparse_categorical_crossentropy", "mean_squared_error"],
            True,
        ),
        ([SPARSE, lambda y, p: keras.ops.mean(p)], ["sparse_categorical_crossentropy"], False),
    ],
    ids=["list", "dict", "labels by name", "unknown loss"],
)
def test_outputs_find_their_labels_and_losses(measure, x, classes, loss, names, is_dict):
    model = model_of(*OUTPUTS.values())
    model.compile("sgd", loss)
    values = np.linspace(-1, 1, 12, dtype="float32")
    y = {"a": classes, "b": values} if is_dict else [classes, values]
    found = measure(model, x, y).outputs
    assert [target.loss for target in found] == names
    assert [target.name for target in found] == ["a", "b"][: len(found)]
    assert [target.labels.maximum for target in found] == [3.0, 1.0][: len(found)]


def test_outputs_in_a_dict_find_theirs_by_name(measure, x, classes):
    start = keras.Input((6,))
    model = keras.Model(start, {"second": LAYERS.Dense(1)(start), "first": LAYERS.Dense(4)(start)})
    model.compile("sgd", {"first": SPARSE, "second": "mse"})
    found = {
        t.name: t
        for t in measure(
            model, x, {"first": classes, "second": np.full(12, 7.0, "float32")}
        ).outputs
    }
    assert (found["first"].width, found["second"].labels.mean) == (4, 7.0)


class Weighing(keras.Model):
    """Makes of labels what it likes."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred)


class Softened(LOSSES.MeanSquaredError):
    """Not Keras' own."""


@pytest.mark.parametrize(
    "make",
    [
        lambda start, output: (keras.Model(start, output), "log_cosh", None),
        lambda start, output: (Weighing(start, output), "mse", np.ones(12)),
        lambda start, output: (keras.Model(start, output), Softened(), np.ones(12)),
        lambda start, output: (keras.Model(start, output), "poisson", np.ones(12)),
    ],
    ids=["no labels", "own compute_loss", "own loss", "other loss"],
)
def test_what_is_not_plain_is_left_out(measure, x, make):
    start = keras.Input((6,))
    model, loss, y = make(start, LAYERS.Dense(1, "softplus")(start))
    model.compile("sgd", loss)
    assert measure(model, x, y).outputs == ()


def test_activation_outside_of_layers_is_unknown(measure, x, classes):
    class Outside(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = LAYERS.Dense(4)

        def call(self, inputs):
            return keras.ops.softmax(self.head(inputs))

    model = Outside()
    model.compile("sgd", "sparse_categorical_crossentropy")
    (target,) = measure(model, x, classes).outputs
    assert target.activation == "unknown"
    assert math.isnan(target.logit_deviation)


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_over_positions_is_no_softmax_over_classes(measure, normal, axis):
    start = keras.Input((5, 4))
    model = keras.Model(start, LAYERS.Softmax(axis=axis)(start))
    model.compile("sgd", "sparse_categorical_crossentropy")
    (target,) = measure(model, normal(3, 5, 4), np.zeros((3, 5), int)).outputs
    assert target.activation == ("softmax" if axis == -1 else "unknown")


def test_ignored_class_is_left_out_of_the_labels(measure, x, classes):
    model = model_of((4, None))
    model.compile("sgd", LOSSES.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3))
    (target,) = measure(model, x, classes).outputs
    assert (target.labels.maximum, target.labels.share_invalid) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("row", "share", "is_multi_hot"),
    [
        ([0, 1, 0, 0], 0.0, False),
        ([0, 1, 1, 0], 1 / 12, True),
        ([0, 0, 0, 0], 0.0, False),
        ([0.2, 0.2, 0.2, 0.2], 1 / 12, False),
    ],
    ids=["one", "several", "masked", "no distribution"],
)
def test_rows_that_are_no_distribution_are_counted(measure, x, classes, row, share, is_multi_hot):
    y = np.eye(4)[classes]
    y[5] = row
    model = model_of((4, "softmax"))
    model.compile("sgd", "categorical_crossentropy")
    (target,) = measure(model, x, y).outputs
    assert (target.labels.share_invalid, target.labels.is_multi_hot) == (
        pytest.approx(share),
        is_multi_hot,
    )


def test_repeated_probe_leaves_targets_and_tables_alone(measure, x, classes):
    model = model_of((4, None))
    model.compile("sgd", SPARSE)
    profile = measure(model, x, classes, cotangents=(LOSS,), is_exact=False)
    assert (profile.outputs, profile.tabular_inputs) == ((), ())
    assert [weight.rank for weight in profile.weights] == [None, None]


@pytest.mark.parametrize("shift", [1, -1])
def test_labels_that_a_framework_refuses_are_measured_all_the_same(measure, x, classes, shift):
    model = model_of((4, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    profile = measure(model, x, classes + shift)
    assert profile.outputs[0].labels.share_invalid == 0.25
    assert profile.loss is not None or "out of range" in dict(profile.not_probed)["loss"]


def test_labels_of_another_width_are_an_error(measure, x, classes):
    model = model_of((4, "softmax"))
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(DataError, match=r"must fit the model's loss .* labels \(12, 5\)"):
        measure(model, x, np.eye(5)[classes])


def _indices(labels):
    """Keras casts labels to the type of the outputs."""
    return keras.ops.cast(labels, "int32")[:, None]


def own_loss(labels, outputs):
    """A cross-entropy that applies the softmax itself."""
    logs = keras.ops.log_softmax(outputs)
    return -keras.ops.mean(keras.ops.take_along_axis(logs, _indices(labels), axis=-1))


def own_loss_of_probabilities(labels, outputs):
    """A cross-entropy of probabilities."""
    return -keras.ops.mean(
        keras.ops.log(keras.ops.take_along_axis(outputs, _indices(labels), axis=-1))
    )


@pytest.mark.parametrize(
    ("loss", "activation", "is_known"),
    [
        (own_loss, "softmax", True),
        (own_loss, None, False),
        (own_loss_of_probabilities, "softmax", False),
    ],
    ids=["applies another softmax", "has logits", "has probabilities"],
)
def test_own_loss_is_known_by_its_value(loss, activation, is_known):
    start = keras.Input((4,))
    regularizer = keras.regularizers.L2(0.1)
    head = keras.layers.Dense(3, activation, kernel_regularizer=regularizer)
    model = keras.Model(start, head(start))
    model.compile("sgd", loss)
    x = np.random.default_rng(0).standard_normal((16, 4)).astype("float32")
    report = ic.check(model, x, np.arange(16) % 3)
    found = [(output.is_own_loss, output.from_logits) for output in report.profile.outputs]
    assert found == [(True, True)] * is_known
    assert ("IC406" in {finding.code for finding in report.findings}) is is_known
