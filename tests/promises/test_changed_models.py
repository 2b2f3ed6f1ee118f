"""A probe that is used again measures the model as it is now: after another `compile`, after
freezing, after new layers.
"""

import gc

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap import pass_cache

RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
FAST = {"is_exact": False, "cotangents": ("loss",)}


def data():
    generator = np.random.default_rng(0)
    return generator.standard_normal((16, 6)).astype("float32"), 10 + generator.standard_normal(
        (16, 2)
    ).astype("float32")


def make_model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "tanh", name="first"),
            keras.layers.Dense(2, name="last"),
        ]
    )


def losses_by_hand(model, x, y):
    difference = keras.ops.convert_to_numpy(model(x)).astype("float64") - y
    return {"mse": np.mean(difference**2), "mae": np.mean(np.abs(difference))}


def test_fit_compile_fit_freeze_fit_abort_fit():
    model, (x, y), check = make_model(), data(), ic.InitCheck(None, on_drift="ignore")
    optimizer = keras.optimizers.SGD(1e-3)
    for loss in ("mse", "mae"):
        model.compile(optimizer, loss, run_eagerly=RUNS_EAGERLY)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[check])
        assert check.report.profile.loss == pytest.approx(
            losses_by_hand(model, x, y)[loss], rel=1e-5
        )  # sums of float32
    model.get_layer("first").trainable = False
    model.compile(
        keras.optimizers.SGD(1e-3), "mae", run_eagerly=RUNS_EAGERLY
    )  # Keras ties an optimizer to the variables it has seen
    model.fit(x, y, batch_size=16, epochs=1, verbose=0, callbacks=[check])
    assert {
        weight.layer for weight in check.report.profile.weights if weight.gradient is not None
    } == {"last"}
    with pytest.raises(KeyError, match="aborted"):
        model.fit(x, y, batch_size=16, verbose=0, callbacks=[check, Aborting()])
    assert check.report is None
    model.fit(x, y, batch_size=16, verbose=0, callbacks=[check])
    assert (check.first_report.profile.step, check.report.profile.step) == (1, 2)
    assert check.report.profile.loss == pytest.approx(losses_by_hand(model, x, y)["mae"], rel=1e-5)


class Aborting(keras.callbacks.Callback):
    """Ends a training before its first step."""

    def on_train_batch_begin(self, batch, logs=None):
        raise KeyError("aborted")


def test_a_repeated_pass_sees_another_loss():
    model, (x, y) = make_model(), data()
    optimizer, probe, batch = keras.optimizers.SGD(), Probe(model), take_batch(x, y)
    for loss in ("mse", "mae", "mse"):
        model.compile(optimizer, loss)
        assert probe.measure(batch, **FAST).loss == pytest.approx(
            losses_by_hand(model, x, y)[loss], rel=1e-5
        )


def test_a_repeated_pass_sees_that_a_normalisation_was_frozen():
    normalization = keras.layers.BatchNormalization(center=False, scale=False, name="norm")
    model = keras.Sequential([keras.Input((6,)), normalization, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    (x, y), probe = data(), Probe(model)
    batch = take_batch(10 * x, y)
    assert probe.measure(batch, **FAST).site("norm").activations.h.second_moment == pytest.approx(
        1, rel=0.01
    )  # epsilon
    normalization.trainable = False
    assert probe.measure(batch, **FAST).site("norm").activations.h.second_moment > 50


def test_a_pass_is_used_again_while_nothing_changed():
    model, (x, y) = make_model(), data()
    model.compile("sgd", "mse")
    cache, made = pass_cache.PassCache(), []
    for size in (16, 8, 16, 8):
        cache.get(model, take_batch(x[:size], y[:size]), "options", lambda: made.append(0))
    assert len(made) == 2


def test_the_passes_that_are_kept_are_bounded():
    model, (x, _), cache, made = make_model(), data(), pass_cache.PassCache(), []
    for size in (*range(1, pass_cache.MOST_PASSES + 2), pass_cache.MOST_PASSES + 1, 1):
        cache.get(model, take_batch(x[:size]), "options", lambda size=size: made.append(size))
    assert made == [*range(1, pass_cache.MOST_PASSES + 2), 1]


def test_an_optimizer_that_is_gone_is_not_taken_for_its_successor():
    model, (x, y), cache, made = make_model(), data(), pass_cache.PassCache(), []
    batch = take_batch(x, y)
    for _ in range(5):
        model.compile(keras.optimizers.SGD(), "mse")
        gc.collect()
        cache.get(model, batch, "options", lambda: made.append(0))
    assert len(made) == 5


class Peeking(keras.layers.Layer):
    """Looks at values, as a model that runs eagerly may."""

    def call(self, x):
        return x * (1.0 if float(keras.ops.max(x)) > 0 else 2.0)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
@pytest.mark.backend("tensorflow", "torch")
def test_a_model_that_runs_eagerly_is_probed_eagerly(is_exact):
    model, (x, y) = keras.Sequential([Peeking(name="peek"), keras.layers.Dense(2)]), data()
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(x, y)
    measured = (
        Probe(model)
        .measure(take_batch(x, y), is_exact=is_exact)
        .site("peek")
        .activations.h.second_moment
    )
    assert measured == pytest.approx(np.mean(x.astype("float64") ** 2), rel=1e-5)
