"""For all tests: quiet frameworks, a fresh and seeded Keras on request, the `backend` marker, and
predictions that must not fail.
"""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_configure(config):
    config.addinivalue_line("markers", "backend(*names): runs on these Keras backends only")


def pytest_runtest_setup(item):
    marker = item.get_closest_marker("backend")
    if marker is None:
        return
    import keras

    running = keras.backend.backend()
    if running not in marker.args:
        pytest.skip(f"needs the backend {' or '.join(marker.args)}, and {running} runs")


def pytest_collection_finish(session):
    """A prediction that fails costs a user nothing but the prediction. Here it is an error, so that
    nobody overlooks it.
    """
    nodes = sys.modules.get("keras_initcheck.probe.prediction.network_builder")
    if nodes is not None and nodes.failure_reason is not _raise:
        _raise.replaced, nodes.failure_reason = nodes.failure_reason, _raise


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
