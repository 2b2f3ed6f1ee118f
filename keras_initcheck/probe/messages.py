"""Words for the probe's errors: what tensors look like, and what an exception of Keras or a framework says."""

import re
from typing import Any

import keras

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_KERAS_APPENDIX = "Arguments received by"
LONGEST_REASON = 300


def describe(structure: Any) -> str:
    """Shapes and dtypes of the tensors in a nest, such as `(32, 10) float32, (32,) int64`."""
    return ", ".join(f"{tuple(t.shape)} {keras.backend.standardize_dtype(t.dtype)}" for t in keras.tree.flatten(structure))


def reason(error: BaseException) -> str:
    """The kind of an error and what it says, on one line, without Keras' colours and its list of arguments."""
    text = _ESCAPES.sub("", str(error)).partition(_KERAS_APPENDIX)[0]
    words = " ".join(text.split()) or "no message"
    shown = words if len(words) <= LONGEST_REASON else f"{words[: LONGEST_REASON - 1]}…"
    return f"{type(error).__name__}: {shown}"
