"""Framework code, a few small files per backend. Nothing else in this package imports a framework.

`protocol.Engine` lists what the module of each backend gives.
"""

import importlib
from typing import TYPE_CHECKING, cast

import keras

from keras_initcheck.probe.engine.protocol import Engine
from keras_initcheck.records.errors import ProbeError

if TYPE_CHECKING:
    from keras_initcheck.probe.engine import jax, tensorflow, torch

    # mypy compares each module with the protocol: a function that is missing, or that has other
    # arguments, is an error here.
    _CHECKED: tuple[Engine, Engine, Engine] = (tensorflow, jax, torch)

BACKENDS = ("tensorflow", "jax", "torch")


def load() -> Engine:
    """The module of the running Keras backend.

    Raises:
        ProbeError: The backend is none of `BACKENDS`.
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ProbeError(
            f"The Keras backend must be one of {BACKENDS}, which can compute gradients. Received:"
            f" {name!r}. Set the environment variable KERAS_BACKEND before keras is imported."
        )
    return cast(Engine, importlib.import_module(f"{__name__}.{name}"))
