"""For all tests: quiet frameworks, a fresh and seeded Keras on request, and the `backend` marker."""

import os

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


@pytest.fixture
def seeded_keras():
    """Keras with a cleared session and seeded random numbers. `tests/probe` uses it in every test."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras
