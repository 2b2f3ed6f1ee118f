"""Reports as strict JSON, and back without loss.

NaN and the infinities are no JSON numbers: they are written as the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, and read back as
numbers wherever the record's type asks for a number. The records' own type annotations say how to read them, so that a new field needs
no code here; one that has a default may be missing, so that a report of an earlier release can still be read.
"""

import json
import math
import sys
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, NoReturn, TypeVar

from keras_initcheck.report import Report

FORMAT = "keras_initcheck.report"
VERSION = 1

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

AnyReport = TypeVar("AnyReport", bound=Report)


def to_json(report: Report, indent: int | None = None) -> str:
    """The report as JSON text in ASCII.

    Args:
        report: What to write.
        indent: Blanks per level, for people; one long line by default.
    """
    document = {"format": FORMAT, "version": VERSION, **encode(report)}
    return json.dumps(document, indent=indent, allow_nan=False)


def from_json(text: str, report_class: type[AnyReport] = Report) -> AnyReport:  # type: ignore[assignment]  # mypy 3737: default of a TypeVar
    """The report that `to_json` wrote.

    Args:
        text: JSON text.
        report_class: `Report` or a subclass of it to build.

    Raises:
        ValueError: `text` is no JSON, no report, of a newer version of this package, or lacks or has keys that it should not.
    """
    document = _parse(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        received = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise ValueError(f'`text` must hold a report, with "format": "{FORMAT}". Received: {received!r}. Write it with `report.to_json()`.')
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"The report must be of version {VERSION}. Received: version {version!r}. Upgrade keras_initcheck, or probe again."
        )
    body = {key: value for key, value in document.items() if key not in ("format", "version")}
    report: AnyReport = _read(report_class, body, "report")
    return report


def encode(value: object) -> Any:
    """`value`, made of records, tuples and plain values, as what `json` can write strictly."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value) if field.init}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def decode(expected: type[Any], value: object, path: str) -> Any:
    """The record of the class `expected` that `encode` wrote.

    Args:
        expected: A record's class.
        value: What `json` read.
        path: What an error calls it.

    Raises:
        ValueError: `value` lacks or has keys that it should not, or one of them has another type.
    """
    return _read(expected, value, path)


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        hint = "Pass the text itself, as `report.to_json()` gave it, and not a file's name."
        raise ValueError(f"`text` must be strict JSON. Received: {text[:60]!r} ({error}). {hint}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is no JSON number; as the string "{name}" it is read')


def _read(expected: Any, value: object, path: str) -> Any:
    """`value` as an instance of the type `expected`; `path` says where it stands."""
    if isinstance(expected, type) and is_dataclass(expected):
        return _read_record(expected, value, path)
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _read(next(each for each in arguments if each is not types.NoneType), value, path)
    if origin is tuple:
        return _read_tuple(arguments, value, path)
    if expected is float:
        return _read_float(value, path)
    if type(value) is not expected:
        _complain(path, getattr(expected, "__name__", str(expected)), value)
    return value


def _read_record(expected: Any, value: object, path: str) -> Any:
    names = [field.name for field in fields(expected) if field.init]
    optional = {field.name for field in fields(expected) if field.default is not MISSING or field.default_factory is not MISSING}
    if not isinstance(value, dict):
        _complain(path, f"an object with the keys {names}", value)
    missing, extra = [name for name in names if name not in value and name not in optional], sorted(set(value) - set(names))
    if missing or extra:
        _complain(path, f"an object with exactly the keys {names}", f"missing {missing}, unexpected {extra}")
    hints = typing.get_type_hints(expected)
    return expected(**{name: _read(hints[name], value[name], f"{path}.{name}") for name in names if name in value})


def _read_tuple(arguments: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    """`tuple[X, ...]` or `tuple[X, Y]`."""
    if not isinstance(value, list):
        _complain(path, "a list", value)
    types_ = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
    if len(types_) != len(value):
        _complain(path, f"a list of {len(types_)}", value)
    return tuple(_read(each, item, f"{path}[{index}]") for index, (each, item) in enumerate(zip(types_, value, strict=True)))


def _read_float(value: object, path: str) -> float:
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        _complain(path, 'a float64 number, "NaN", "Infinity" or "-Infinity"', value)
    return float(value)


def _complain(path: str, expected: str, received: object) -> NoReturn:
    hint = "Use the text that `report.to_json()` gave, unchanged, with the same version of keras_initcheck."
    raise ValueError(f"`{path}` must be {expected}. Received: {str(received)[:200]!r}. {hint}")
