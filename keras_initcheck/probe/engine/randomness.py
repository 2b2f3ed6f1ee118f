"""The global random states of Python, NumPy and the framework."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np

from keras_initcheck.probe import engine
from keras_initcheck.probe.engine.protocol import Restore


def capture_global_randomness() -> Restore:
    """Captures the global random states, and returns a function that puts them back."""
    python, numpy = random.getstate(), np.random.get_state()
    restore_framework = engine.load().capture_randomness()

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        restore_framework()

    return restore


@contextlib.contextmanager
def untouched_global_randomness() -> Iterator[None]:
    """A context that puts the global random states back when it is left."""
    restore = capture_global_randomness()
    try:
        yield
    finally:
        restore()
