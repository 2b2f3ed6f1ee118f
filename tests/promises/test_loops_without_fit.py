"""`InitCheck` in a loop of `train_on_batch`, driven by a CallbackList as Keras documents it."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from tests.support.faulty_models import are_same, compiled, mlp, values

GENERATOR = np.random.default_rng(0)
X, Y = (
    GENERATOR.standard_normal((4, 8, 64)),
    GENERATOR.integers(0, 10, (4, 8)),
)  # float64, which Keras converts


def net():
    keras.utils.set_random_seed(3)
    return compiled(mlp(keras.initializers.HeNormal, depth=2))


def callback_list(model, check, epochs=1):
    callbacks = keras.callbacks.CallbackList(
        [check] if check else [], model=model, epochs=epochs, steps=len(X)
    )
    callbacks.on_train_begin()
    return callbacks


def train(model, check=None, epochs=2):
    callbacks = callback_list(model, check, epochs)
    logs = {}
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for step, (x, y) in enumerate(zip(X, Y, strict=True)):
            callbacks.on_train_batch_begin(step)
            logs = {"loss": model.train_on_batch(x, y)}
            callbacks.on_train_batch_end(step, logs)
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)


def test_the_first_batch_is_probed_and_the_training_is_bitwise_what_it_is_without():
    plain, watched = net(), net()
    check = ic.InitCheck(None)
    train(plain)
    train(watched, check)
    assert are_same(values(plain), values(watched))
    assert check.first_report.profile.step == 0
    _, moments = check.first_report.profile.inputs[0]
    assert moments.mean == pytest.approx(X[0].mean(), rel=1e-4)
    assert check.report.profile.step == 8
    assert check.report.profile.sites[0].loss_gradients is not None


def test_a_model_that_was_fitted_before_is_probed_as_well():
    model, check = net(), ic.InitCheck(None)
    model.fit(X[0], Y[0], verbose=0)
    original = model.train_function
    train(model, check, epochs=1)
    assert model.train_function is original
    assert check.first_report.profile.step == 1


def test_a_step_of_the_users_own_is_told_once_what_to_use_instead():
    model, check = net(), ic.InitCheck(None)
    callbacks = callback_list(model, check, epochs=2)
    with pytest.warns(
        ic.InitCheckWarning,
        match=r"saw no batch in this epoch.*InitCheck\(...\).probe\(model, x, y, step=n\)",
    ) as told:
        for epoch in range(2):
            callbacks.on_epoch_begin(epoch)
            callbacks.on_train_batch_begin(0)
            model(X[0])
            callbacks.on_train_batch_end(0)
            callbacks.on_epoch_end(epoch)
        callbacks.on_train_end()
    assert [warning.category for warning in told].count(ic.InitCheckWarning) == 1
    assert model.train_function is None
    model.train_on_batch(X[0], Y[0])
    assert check.report is None
