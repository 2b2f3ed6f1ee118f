"""A training that ends before its first step leaves nothing on the model: the next one is not
probed and dies of nothing.
"""

import copy

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from tests.support.faulty_models import mlp, normal

X, Y = np.ones((8, 64), "float32"), np.zeros(8, "int64")


def drifting_net():
    keras.utils.set_random_seed(3)
    model = mlp(normal(1.0), depth=4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    model.fit(X, Y, verbose=0)  # makes the train function, and builds what there is to build
    return model


class Raises(keras.callbacks.Callback):
    def __init__(self, hook, error):
        super().__init__()
        setattr(self, hook, self._raise)
        self.error = error

    def _raise(self, *args, **kwargs):
        raise self.error


def abort(model, hook="on_train_batch_begin", error=RuntimeError, check=None):
    check = check or ic.InitCheck(None, on_drift="raise")
    with pytest.raises(error):
        model.fit(X, Y, verbose=0, callbacks=[check, Raises(hook, error)])
    return check


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
def test_the_next_fit_is_untouched(hook, error):
    model = drifting_net()
    original = model.train_function
    check = abort(model, hook, error)
    model.fit(X, Y, verbose=0)
    assert model.train_function is original
    assert check.report is None


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_nothing_is_on_the_model_before_its_first_step(hook):
    model = drifting_net()
    original = model.train_function
    abort(model, hook)
    assert model.train_function is original


def test_the_next_train_on_batch_is_untouched():
    model = drifting_net()
    original = model.train_function
    check = abort(model)
    model.train_on_batch(X, Y)
    assert model.train_function is original
    assert check.report is None


def test_other_uses_of_the_model_are_untouched(tmp_path):
    model = drifting_net()
    expected = model.predict(X, verbose=0)
    check = abort(model)
    model.evaluate(X, Y, verbose=0)
    copied = copy.deepcopy(model)
    model.save(tmp_path / "model.keras")
    cloned = keras.models.clone_model(model)
    cloned.set_weights(model.get_weights())
    for other in (model, copied, cloned, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
    copied.fit(X, Y, verbose=0)
    assert check.report is None


def test_compile_after_an_abort_begins_anew():
    model = drifting_net()
    check = abort(model)
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=keras.backend.backend() == "tensorflow",
    )
    model.fit(X, Y, verbose=0)
    assert check.report is None


def test_two_callbacks_are_taken_off_as_well():
    model = drifting_net()
    original = model.train_function
    first, second = ic.InitCheck(None, on_drift="raise"), ic.InitCheck(None, on_drift="raise")
    with pytest.raises(RuntimeError):
        model.fit(
            X, Y, verbose=0, callbacks=[first, second, Raises("on_train_batch_begin", RuntimeError)]
        )
    model.fit(X, Y, verbose=0)
    assert model.train_function is original
    assert first.report is second.report is None


def test_the_same_callback_probes_the_next_fit():
    model = drifting_net()
    original = model.train_function
    check = abort(model, check=ic.InitCheck(None, on_drift="ignore"))
    model.fit(X, Y, verbose=0, callbacks=[check])
    assert model.train_function is original
    assert not check.first_report.ok


def test_drift_that_ends_a_fit_does_not_end_the_next_one():
    model = drifting_net()
    with pytest.raises(ic.DriftError, match="forward-gain"):
        model.fit(X, Y, verbose=0, callbacks=[ic.InitCheck(None, on_drift="raise")])
    model.fit(X, Y, verbose=0)


def test_two_callbacks_in_one_fit_see_the_same_batch():
    model = drifting_net()
    original = model.train_function
    first, second = ic.InitCheck(None, on_drift="ignore"), ic.InitCheck(None, on_drift="ignore")
    model.fit(X, Y, verbose=0, callbacks=[first, second])
    assert model.train_function is original
    assert first.first_report.profile.inputs == second.first_report.profile.inputs
