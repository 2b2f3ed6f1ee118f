"""Between probes the callback does next to nothing, and makes Keras wait for nothing."""

import sys

import keras
import numpy as np
import pytest

import keras_initcheck as ic


@pytest.fixture
def watcher(seeded_keras):
    """A callback in the middle of a training that probes at the end of each epoch only."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = ic.InitCheck(None, on_drift="ignore", data=(np.ones((4, 4)), np.ones((4, 1))))
    callback.set_model(model)
    callback.set_params({"steps": 100, "epochs": 1})
    callback.on_train_begin()
    callback.on_train_batch_begin(0)
    return callback


def test_a_batch_without_a_probe_takes_four_calls(watcher):
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code) if event == "call" else None)
    try:
        watcher.on_train_batch_begin(1)
    finally:
        sys.setprofile(None)
    names = [code.co_name for code in calls]
    assert names == ["on_train_batch_begin", "before_batch", "before_execution", "is_due"]


def test_keras_reads_no_logs_for_it():
    for hook in ("on_batch_end", "on_train_batch_end", "on_test_batch_end", "on_predict_batch_end"):
        assert getattr(ic.InitCheck, hook) is getattr(keras.callbacks.Callback, hook)
