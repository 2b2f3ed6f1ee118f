"""Reads the call stack: the user's own line, and the `fit` that is running."""

import inspect
import warnings
from types import FrameType
from typing import Any

from keras_initcheck.records.errors import InitCheckWarning

INTERNAL = ("keras", "keras_initcheck")
"""Packages whose lines are of no help in a warning.

Only from Python 3.12 on can `warnings.warn` skip files itself.
"""


def warn_user(message: str) -> None:
    """Warns at the user's own line, such as the one that calls `fit`.

    It is the innermost line outside of Keras and this package.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and _is_internal(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, InitCheckWarning, stacklevel=level)


def running_fit(model: Any) -> int | None:
    """The id of the frame of the innermost running `fit` of `model` in this thread, or `None`."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return id(frame)
        frame = frame.f_back
    return None


def _is_internal(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in INTERNAL
