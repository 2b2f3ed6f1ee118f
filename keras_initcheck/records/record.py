"""Equality of records, under which a report that was written and read again is the same report."""

import math
from dataclasses import fields
from typing import Any

_NAN = object()


class Record:
    """Base of the records. Two are equal if they are of one class and their fields are equal.

    `nan` ("not defined here") equals `nan`. Dataclasses leave that to chance: up to Python 3.12
    they found one and the same `nan` object equal to itself, from 3.13 on they do not. Arrays are
    equal if their shapes and elements are.
    """

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(_comparable(getattr(record, field.name)) for field in fields(record))


def _comparable(value: Any) -> Any:
    if hasattr(value, "ravel"):  # an array; findings are records that need no NumPy
        return value.shape, _comparable(tuple(value.ravel().tolist()))
    if isinstance(value, tuple):
        return tuple(_comparable(part) for part in value)
    return _NAN if isinstance(value, float) and math.isnan(value) else value
