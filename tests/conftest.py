"""For all tests: quiet frameworks, the markers `backend` and `slow_on`, a fresh and seeded Keras on
request, and predictions that must not fail.
"""

import gc
import importlib
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The same examples in every run, and none of them held to a time.
settings.register_profile(
    "same_in_every_run",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same_in_every_run")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks as `slow` what is slow on the backend that runs, before pytest selects by marker."""
    running = os.environ.get("KERAS_BACKEND", "tensorflow")
    for item in items:
        marker = item.get_closest_marker("slow_on")
        if marker is not None and running in marker.args:
            item.add_marker("slow")


def pytest_runtest_setup(item):
    """Skips what is marked for other backends than the one that runs."""
    marker = item.get_closest_marker("backend")
    if marker is None:
        return
    import keras

    running = keras.backend.backend()
    if running not in marker.args:
        pytest.skip(f"needs the backend {' or '.join(marker.args)}, and {running} runs")


def pytest_collection_finish(session):
    """Makes a failed prediction an error, and takes the frameworks out of the garbage collection.

    A prediction that fails costs a user nothing but the prediction; here nobody must overlook it.
    A framework is about a million objects that live as long as the process. Without them
    `clear_session`, which collects, takes a thousandth of the time.
    """
    if "keras" in sys.modules:  # tests without Keras predict nothing
        nodes = importlib.import_module("keras_initcheck.probe.prediction.network_builder")
        if nodes.failure_reason is not _raise:
            _raise.replaced, nodes.failure_reason = nodes.failure_reason, _raise
    gc.collect()
    gc.freeze()


def _raise(error):
    raise error


@pytest.fixture
def harmless_failures(monkeypatch):
    """Predictions that fail are harmless, as they are for users."""
    monkeypatch.setattr(
        "keras_initcheck.probe.prediction.network_builder.failure_reason", _raise.replaced
    )


@pytest.fixture
def seeded_keras():
    """Keras with a cleared session and seeded random numbers. `tests/probe` uses it in every
    test.
    """
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras
