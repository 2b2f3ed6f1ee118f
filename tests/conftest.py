"""For all tests: quiet frameworks, the markers `backend` and `slow_on`, a fresh and seeded Keras on
request, and predictions that must not fail.
"""

import gc
import importlib
import os
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# JAX spends four fifths of its tests compiling, and most of that on programs that an earlier test
# has compiled for another model object. Its own cache gives the same code again.
_compiled = tempfile.TemporaryDirectory(prefix="keras_initcheck_compiled_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _compiled.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

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


def _set_apart():
    """Takes what is alive out of the garbage collection.

    A framework is about a million objects that live as long as the process does, and it keeps much
    of each model. Without them `clear_session`, which collects, takes a thousandth of the time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Sets apart what a file of tests leaves behind."""
    if nextitem is not None and nextitem.path != item.path:
        _set_apart()


def pytest_collection_finish(session):
    """Makes a failed prediction an error, and sets the frameworks apart.

    A prediction that fails costs a user nothing but the prediction; here nobody must overlook it.
    """
    if "keras" in sys.modules:  # tests without Keras predict nothing
        nodes = importlib.import_module("keras_initcheck.probe.prediction.network_builder")
        if nodes.failure_reason is not _raise:
            _raise.replaced, nodes.failure_reason = nodes.failure_reason, _raise
    _set_apart()


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
