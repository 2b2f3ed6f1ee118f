"""Reports as strict JSON, and back without loss.

NaN and the infinities are no JSON numbers: they are written as the strings `"NaN"`, `"Infinity"`
and `"-Infinity"`, and read back as numbers wherever the record's type asks for a number. What is
read may come from anybody: pydantic checks it against `document_schema`. The text itself is parsed
by the standard library, which reads names with half of a surrogate pair, as Python's may be, and
can refuse a key that comes twice.
"""

import json
import reprlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from keras_initcheck.outputs.json_values import encode
from keras_initcheck.records.report import MAX_MEBIBYTES, Report

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FORMAT = "keras_initcheck.report"
VERSION = 2

EXPECTED = {
    "string_type": "str",
    "bool_type": "bool",
    "int_type": "int",
    "int_from_float": "int",
    "less_than": "an integer of 64 bits",
    "greater_than": "an integer of 64 bits",
    "greater_than_equal": "0 or more",
    "tuple_type": "a list",
}
"""Expected values of a field in words, by pydantic's type of the error."""

KEYS = ("missing", "unexpected_keyword_argument")
"""Types of errors about the keys of an object."""


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
        ValueError: `text` is too long, no JSON, no report, of another version of this package,
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
            f"The report must be of version {VERSION}. Received: version"
            f" {reprlib.repr(version)}. {_remedy(version)}"
        )
    body = {key: value for key, value in document.items() if key not in ("format", "version")}
    report: Report = decode(Report, body, "report")
    return report


def _remedy(version: object) -> str:
    if isinstance(version, int) and not isinstance(version, bool) and version < VERSION:
        return "An older keras_initcheck wrote it: probe again."
    return "Upgrade keras_initcheck, or probe again."


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `to_json` writes."""
    from keras_initcheck.outputs.document_schema import json_schema

    found: dict[str, Any] = encode(json_schema(Report))  # defaults may be NaN
    properties = {"format": {"const": FORMAT}, "version": {"const": VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "Report of keras_initcheck",
        "properties": {**properties, **found["properties"]},
        "required": [*properties, *found["required"]],
    }


def decode(expected: Any, value: object, path: str) -> Any:
    """The record of the class `expected` that `encode` wrote.

    Args:
        expected: A record's class.
        value: What `json` read.
        path: What an error calls it.

    Raises:
        ValueError: `value` lacks or has keys that it should not, or one of them has another type.
    """
    from pydantic_core import ValidationError

    from keras_initcheck.outputs.document_schema import validator

    try:
        return validator(expected).validate_python(value)
    except ValidationError as error:
        _complain(error.errors(include_url=False), path)


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


def _complain(errors: "list[ErrorDetails]", path: str) -> NoReturn:
    """Raises the first of pydantic's errors in three parts."""
    first, context = errors[0], errors[0].get("ctx", {})
    location, received = first["loc"], first["input"]
    place = ""
    if first["type"] in KEYS and isinstance(location[-1], int):
        location, num_missing = location[:-1], sum(each["type"] == "missing" for each in errors)
        expected = f"a list of {len(received) + num_missing}"
    elif first["type"] in KEYS:
        location = location[:-1]
        expected, received = _about_keys(errors, location)
    elif first["type"] == "problem":
        place, expected, received = f".{context['place']}", context["expected"], context["received"]
    else:
        expected = _expected(first)
    where = path + "".join(map(_step, location)) + place
    hint = (
        "Use the text that `report.to_json()` gave, unchanged, with the same version of"
        " keras_initcheck."
    )
    raise ValueError(f"`{where}` must be {expected}. Received: {_shown(received)!r}. {hint}")


def _about_keys(
    errors: "Iterable[ErrorDetails]", location: tuple[int | str, ...]
) -> tuple[str, str]:
    missing, unexpected = (
        [
            each["loc"][-1]
            for each in errors
            if each["type"] == kind and each["loc"][:-1] == location
        ]
        for kind in KEYS
    )
    expected = "an object with exactly the keys that `report.to_json()` writes"
    return expected, f"missing {missing}, unexpected {sorted(unexpected, key=str)}"


def _expected(error: "ErrorDetails") -> str:
    """Expected value of the field, in words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return f"one of {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    if kind == "too_long":
        return f"a list of {context['max_length']}"
    if kind == "dataclass_type":
        return "an object with the keys that `report.to_json()` writes"
    return EXPECTED.get(kind, error["msg"])


def _step(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"


def _shown(received: object) -> str:
    if isinstance(received, str | int | float | None):
        return str(received)[:200]
    return reprlib.repr(received)
