"""Texts for the probe's errors: descriptions of tensors and of exceptions."""

import re
from typing import Any

import keras

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_KERAS_PREAMBLE = re.compile(r"^Exception encountered when calling [^\n]*\.\n\n")
_KERAS_APPENDIX = "Arguments received by"
LONGEST_REASON = 300
"""Characters of an error's message that are shown."""


def describe_tensors(structure: Any) -> str:
    """Shapes and dtypes of the tensors in a nest, in a dict with their keys.

    Such as `(32, 10) float32, (32,) int64`.
    """
    if isinstance(structure, dict):
        return ", ".join(f"{key!r}: {describe_tensors(value)}" for key, value in structure.items())
    return ", ".join(map(_describe_leaf, keras.tree.flatten(structure))) or "nothing"


def _describe_leaf(value: Any) -> str:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return "None" if value is None else type(value).__name__
    return f"{tuple(value.shape)} {keras.backend.standardize_dtype(value.dtype)}"


def error_summary(error: BaseException) -> str:
    """Class and message of an error on one line, of at most `LONGEST_REASON` characters.

    Keras' colors are left out, and the text that it puts around a layer's error.
    """
    # `str` of a KeyError would quote its message.
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = _ESCAPES.sub("", str(message)).partition(_KERAS_APPENDIX)[0]
    words = " ".join(_KERAS_PREAMBLE.sub("", text).split()) or "no message"
    shown = words if len(words) <= LONGEST_REASON else f"{words[: LONGEST_REASON - 1]}…"
    return f"{type(error).__name__}: {shown}"
