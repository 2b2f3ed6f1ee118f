"""Keras waits for the device after every batch where a callback overrides `on_train_batch_end`;
this one does not.
"""

import keras
import pytest

import keras_initcheck as ic


@pytest.mark.parametrize("update_freq", ["epoch", 2], ids=str)
def test_keras_callbacks_stay_as_asynchronous_as_they_are_without(update_freq):
    plain = keras.callbacks.CallbackList([])
    watched = keras.callbacks.CallbackList([ic.InitCheck(None, update_freq=update_freq)])
    for name in ("_async_train", "_async_test", "_async_predict"):  # Keras below 3.6 has none
        assert getattr(watched, name, None) == getattr(plain, name, None)
    hooks = ("on_batch_end", "on_train_batch_end", "on_test_batch_end", "on_predict_batch_end")
    assert not any(hook in vars(ic.InitCheck) for hook in hooks)
