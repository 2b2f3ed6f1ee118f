"""Warnings name the user's own line, and where they are errors the diagnostics cause none
themselves.
"""

import inspect
import warnings

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from tests.support.faulty_models import compiled, mlp, normal

X = np.random.default_rng(0).standard_normal((16, 64)).astype("float32")
Y = (np.arange(16) % 10).astype("int32")  # of int64 labels JAX warns itself


def net(initializer):
    keras.utils.set_random_seed(3)
    return compiled(mlp(initializer, depth=3))


def by_fit(model, check):
    model.fit(X, Y, verbose=0, callbacks=[check])  # the line


def by_train_on_batch(model, check):
    callbacks = keras.callbacks.CallbackList([check], model=model, epochs=1, steps=1)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_begin(0)
    model.train_on_batch(X, Y)  # the line


def by_probe(model, check):
    check.probe(model, X, Y)  # the line


@pytest.mark.parametrize(
    "train", [by_fit, by_train_on_batch, by_probe], ids=lambda train: train.__name__
)
@pytest.mark.parametrize(
    "arguments", [{}, {"on_drift": "repair"}, {"on_drift": "ignore", "log_dir": __file__}], ids=str
)
def test_a_warning_names_the_user_s_line(train, arguments):
    with pytest.warns(ic.InitCheckWarning) as told:
        train(net(normal(1.0)), ic.InitCheck(**{"log_dir": None, **arguments}))
    warning = next(warning for warning in told if warning.category is ic.InitCheckWarning)
    lines, first = inspect.getsourcelines(train)
    assert warning.filename == __file__
    assert lines[warning.lineno - first].endswith("# the line\n")


@pytest.mark.parametrize("on_drift", ["warn", "repair"])
def test_a_fit_with_warnings_as_errors_is_probed(tmp_path, on_drift):
    """NumPy 2 warns where it has to copy a tensor that knows nothing of its `copy` argument."""
    model = net(keras.initializers.HeNormal if on_drift == "warn" else normal(1.0))
    check = ic.InitCheck(
        tmp_path, on_drift=on_drift, update_freq=1, histogram_freq=1, per_layer_scalars=True
    )
    with (
        warnings.catch_warnings(),
        pytest.warns(ic.InitCheckWarning) if on_drift == "repair" else warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        (
            warnings.simplefilter("ignore", ic.InitCheckWarning)
            if on_drift == "warn"
            else warnings.simplefilter("always", ic.InitCheckWarning)
        )
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[check])
    assert check.report.ok
    assert check.report.profile.step == 4
