"""A model that was probed, repaired or trained with the callback is freed when its user lets go of
it, whatever reports are kept.
"""

import gc
import weakref

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe

LAYERS = keras.layers
X, Y = (
    np.random.default_rng(seed).standard_normal((16, width)).astype("float32")
    for seed, width in ((0, 6), (1, 3))
)


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


def fit(model):
    callback = ic.InitCheck(None, on_drift="ignore", update_freq=1)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[callback])
    return callback.report


USES = {
    "check": lambda model: ic.check(model, X, Y),
    "spectrum": lambda model: ic.check(model, X, Y, jacobian_spectrum=True),
    "repeated probe": lambda model: Probe(model).measure(take_batch(X, Y), is_exact=False),
    "repair": lambda model: ic.repair(model, X, Y, method="lsuv").after,
    "callback": fit,
}


def used_model(use):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(4, activation="relu", kernel_regularizer="l2"),
            LAYERS.BatchNormalization(),
            LAYERS.Dense(3),
        ]
    )
    model.compile("sgd", "mse")
    return weakref.ref(model), use(model)


def test_models_are_freed_while_their_reports_are_kept():
    names = (
        ["callback"] if keras.backend.backend() == "jax" else list(USES)
    )  # each other one takes JAX 20 seconds
    used = {name: used_model(USES[name]) for name in names}
    for _ in range(3):  # torch's tensors take more than one pass
        gc.collect()
    assert all(report is not None for _, report in used.values())
    assert not [name for name, (model, _) in used.items() if model() is not None]


def test_model_whose_method_is_an_activation_is_freed():
    """What is remembered of an activation must not hold its function, which may hold the model."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = LAYERS.Dense(4, activation=self.activate)
            self.head = LAYERS.Dense(3)

        def activate(self, z):
            return 1.1 * keras.ops.relu(z)

        def call(self, x):
            return self.head(self.hidden(x))

    model = Model()
    report = ic.check(model, X)
    assert report.profile.sites[0].predicted_log10_second_moment is not None
    reference = weakref.ref(model)
    del model
    for _ in range(3):  # torch's tensors take more than one pass
        gc.collect()
    assert reference() is None


@pytest.mark.backend("tensorflow")
def test_tensorflow_has_the_private_module_that_a_tap_is_made_with():
    from keras_initcheck.probe.engine import tensorflow as engine

    assert callable(engine.record.record_operation) and callable(engine.record.stop_recording)


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
def test_gradients_are_the_same_where_tensorflow_has_moved_it(monkeypatch, is_exact):
    from keras_initcheck.probe.engine import tensorflow as engine

    model = keras.Sequential(
        [keras.Input((6,)), LAYERS.Dense(4, activation="relu"), LAYERS.Dense(3)]
    )
    found = [Probe(model).measure(take_batch(X), is_exact=is_exact)]
    monkeypatch.setattr(engine, "record", None)
    found.append(Probe(model).measure(take_batch(X), is_exact=is_exact))
    assert (
        len({site.random_gradients.x.second_moment for profile in found for site in profile.sites})
        == 2
    )
