"""Starts Keras on an installed backend, quietly.

Only the command does this: the library does not change the environment.
"""

import contextlib
import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_initcheck.records.errors import InitCheckError

BACKENDS = ("tensorflow", "jax", "torch")
"""Backends that compute gradients, in order of preference."""


def start_keras() -> None:
    """Imports Keras.

    If the configured backend is not installed, another one is chosen for this process, unless
    `KERAS_BACKEND` names the missing one.

    Raises:
        InitCheckError: No backend is installed, the one in `KERAS_BACKEND` is not, or the backend
            does not start.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _choose_backend()
    try:
        with _quiet_stderr():
            importlib.import_module("keras")
    except Exception as error:  # a broken installation may raise anything
        raise InitCheckError(
            f"The backend {_configured()} must start. Received: {type(error).__name__}: {error}."
            f" `python -c 'import {_configured()}'` shows more; KERAS_BACKEND chooses another one"
            f" of {', '.join(BACKENDS)}."
        ) from error
    # Warnings about old formats and repeated tracing, about which the user can do nothing.
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow if it is installed, without its log lines.

    Keras imports it to save a model, whatever the backend is.
    """
    if "tensorflow" in sys.modules or not _is_installed("tensorflow"):
        return
    with contextlib.suppress(ImportError), _quiet_stderr():
        importlib.import_module("tensorflow")


def _choose_backend() -> None:
    configured = _configured()
    if _is_installed(configured):
        return
    installed = [name for name in BACKENDS if _is_installed(name)]
    if not installed:
        raise InitCheckError(
            f"Keras needs a backend, one of {', '.join(BACKENDS)}. Received: none is installed."
            " Try: pip install tensorflow"
        )
    if "KERAS_BACKEND" in os.environ:
        raise InitCheckError(
            f"KERAS_BACKEND must name an installed backend ({', '.join(installed)}). Received:"
            f" {configured!r}."
        )
    os.environ["KERAS_BACKEND"] = installed[0]
    print(
        f"initcheck: {configured} is not installed; using {installed[0]}"
        f" (KERAS_BACKEND={installed[0]})",
        file=sys.stderr,
    )


def _configured() -> str:
    """The backend that Keras would use: from the environment, from its file, or TensorFlow."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return BACKENDS[0]


def _is_installed(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    # A directory that happens to have the package's name has no origin.
    return spec is not None and spec.origin is not None


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Discards the process's standard error, because no setting stops TensorFlow's first lines."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
