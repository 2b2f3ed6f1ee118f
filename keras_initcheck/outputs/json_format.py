"""Reports as strict JSON, and back without loss.

NaN and the infinities are no JSON numbers: they are written as the strings `"NaN"`, `"Infinity"`
and `"-Infinity"`, and read back as numbers wherever the record's type asks for a number. The
records' own type annotations say how to read them, so that a new field needs no code here; one that
has a default may be missing, so that a report of an earlier release can still be read. What is read
may come from anybody: `limits` says what numbers and words can mean something.
"""

import functools
import json
import math
import reprlib
import sys
import types
import typing
from collections import Counter
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, NamedTuple, NoReturn

from keras_initcheck.outputs import limits
from keras_initcheck.outputs.json_document import ProfileDocument
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import MAX_MEBIBYTES, Report

FORMAT = "keras_initcheck.report"
VERSION = 2

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(report: Report, indent: int | None = None) -> str:
    """The report as JSON text in ASCII.

    Args:
        report: What to write.
        indent: Blanks per level, for people; one long line by default.
    """
    document = {"format": FORMAT, "version": VERSION, **encode(report)}
    return json.dumps(document, indent=indent, allow_nan=False)


def from_json(text: str, max_mebibytes: int = MAX_MEBIBYTES) -> Report:
    """The report that `to_json` wrote.

    Args:
        text: JSON text.
        max_mebibytes: Length of the longest text that is read; reading takes ten times its memory.

    Raises:
        ValueError: `text` is too long, no JSON, no report, of a newer version of this package,
            lacks or has keys that it should not, or holds what no probe writes.
    """
    if len(text) > max_mebibytes * 2**20:
        raise ValueError(
            f"`text` must have at most {max_mebibytes} MiB. Received: {len(text) / 2**20:.4g} MiB."
            " If that is right, raise `max_mebibytes`."
        )
    document = _parse(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        received = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise ValueError(
            f'`text` must hold a report, with "format": "{FORMAT}". Received: {received!r}. Write'
            " it with `report.to_json()`."
        )
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"The report must be of version {VERSION}. Received: version {version!r}. Upgrade"
            " keras_initcheck, or probe again."
        )
    body = {key: value for key, value in document.items() if key not in ("format", "version")}
    report: Report = _read(Report, body, "report")
    return report


def encode(value: object) -> Any:
    """`value`, made of records, tuples and plain values, as what `json` can write strictly."""
    if isinstance(value, Profile):
        return encode(ProfileDocument.from_profile(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name)) for field in fields(value) if field.init
        }
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
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        hint = "Pass the text itself, as `report.to_json()` gave it, and not a file's name."
        raise ValueError(
            f"`text` must be strict JSON. Received: {text[:60]!r} ({error}). {hint}"
        ) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {name[:80]!r} comes twice in an object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is no JSON number; as the string "{name}" it is read')


def _read(expected: Any, value: object, path: str) -> Any:
    """`value` as an instance of the type `expected`; `path` says where it stands."""
    if expected is float:
        return _read_float(value, path)
    if expected is Profile:
        return _read(ProfileDocument, value, path).to_profile()
    if typing.get_origin(expected) is typing.Literal:
        expected = str
    if expected in (int, str, bool):
        return _read_plain(expected, value, path)
    origin, arguments = _parts(expected)
    if origin in (typing.Union, types.UnionType):
        return (
            None
            if value is None
            else _read(next(each for each in arguments if each is not types.NoneType), value, path)
        )
    return (
        _read_tuple(arguments, value, path)
        if origin is tuple
        else _read_record(expected, value, path)
    )


@functools.cache
def _parts(expected: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(expected), typing.get_args(expected)


def _read_plain(expected: type, value: object, path: str) -> object:
    if type(value) is not expected:
        _complain(path, expected.__name__, value)
    if isinstance(value, str) and len(value) > limits.LONGEST_TEXT:
        _complain(
            path,
            f"a text of at most {limits.LONGEST_TEXT} characters",
            f"{value[:20]} ... of {len(value)} characters",
        )
    if isinstance(value, int) and abs(value) >= limits.LARGEST_INTEGER:
        _complain(path, "an integer of 64 bits", value)
    return value


class _Form(NamedTuple):
    """A record's fields with their types, those without a default, and what they can hold."""

    types: dict[str, Any]
    required: frozenset[str]
    limits: dict[str, limits.Limit]


@functools.cache
def _form(record: Any) -> _Form:
    hints, known = typing.get_type_hints(record), [field for field in fields(record) if field.init]
    required = frozenset(
        field.name
        for field in known
        if field.default is MISSING and field.default_factory is MISSING
    )
    within = {
        name: limit
        for base in record.__mro__
        for name, limit in limits.LIMITS.get(base, {}).items()
    }
    return _Form({field.name: hints[field.name] for field in known}, required, within)


def _read_record(expected: Any, value: object, path: str) -> Any:
    form = _form(expected)
    if not isinstance(value, dict):
        _complain(path, f"an object with the keys {list(form.types)}", value)
    missing, extra = (
        [name for name in form.types if name in form.required and name not in value],
        sorted(value.keys() - form.types.keys()),
    )
    if missing or extra:
        _complain(
            path,
            f"an object with exactly the keys {list(form.types)}",
            f"missing {missing}, unexpected {extra}",
        )
    read = {
        name: _read(kind, value[name], f"{path}.{name}")
        for name, kind in form.types.items()
        if name in value
    }
    for name, limit in form.limits.items():
        if read.get(name) is not None and not limit.holds(read[name]):
            _complain(f"{path}.{name}", limit.words, value[name])
    record = expected(**read)
    for problem in limits.problems(record):
        _complain(f"{path}.{problem.place}", problem.expected, problem.received)
    return record


def _read_tuple(arguments: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    """`tuple[X, ...]` or `tuple[X, Y]`."""
    if not isinstance(value, list):
        _complain(path, "a list", value)
    types_ = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
    if len(types_) != len(value):
        _complain(path, f"a list of {len(types_)}", value)
    return tuple(
        _read(each, item, f"{path}[{index}]")
        for index, (each, item) in enumerate(zip(types_, value, strict=True))
    )


def _read_float(value: object, path: str) -> float:
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or abs(value) > sys.float_info.max
    ):
        _complain(path, 'a float64 number, "NaN", "Infinity" or "-Infinity"', value)
    return float(value)


def _complain(path: str, expected: str, received: object) -> NoReturn:
    hint = (
        "Use the text that `report.to_json()` gave, unchanged, with the same version of"
        " keras_initcheck."
    )
    shown = (
        str(received)[:200]
        if isinstance(received, str | int | float | None)
        else reprlib.repr(received)
    )
    raise ValueError(f"`{path}` must be {expected}. Received: {shown!r}. {hint}")
