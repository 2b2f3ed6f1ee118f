"""Records as values that JSON can hold. NaN and the infinities become strings."""

import math
from dataclasses import fields, is_dataclass
from typing import Any

from keras_initcheck.outputs.json_document import ProfileDocument
from keras_initcheck.records.profile import Profile


def encode(value: object) -> Any:
    """`value`, made of records, tuples and plain values, as values that `json` writes strictly.

    >>> encode((1.0, math.nan, -math.inf))
    [1.0, 'NaN', '-Infinity']
    """
    if isinstance(value, Profile):
        return encode(ProfileDocument.from_profile(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name)) for field in fields(value) if field.init
        }
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
