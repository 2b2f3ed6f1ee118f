"""Schemas of records for pydantic, from their type annotations and `limits`.

A new field of a record needs no code here. A field that has a default may be missing in a document,
so that a report of an earlier release can be read; a key that is not a field is refused. NaN and
the infinities, which are no JSON numbers, are strings where the limits of a field allow them.
"""

import functools
import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from keras_initcheck.outputs import limits
from keras_initcheck.outputs.json_document import ProfileDocument
from keras_initcheck.records.profile import Profile

Schema = core_schema.CoreSchema

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
ANY_FLOAT = limits.Limit('a float64 number, "NaN", "Infinity" or "-Infinity"', lambda number: True)
CONFIG = core_schema.CoreConfig(extra_fields_behavior="forbid")

LIMIT, PROBLEM = "limit", "problem"
"""Types of the errors that are raised here."""


@functools.cache
def validator(record: type) -> SchemaValidator:
    """The validator of documents that hold a record. Kept, since building one takes 20 ms."""
    return SchemaValidator(schema(record), core_schema.CoreConfig())


def json_schema(record: type) -> dict[str, Any]:
    """The JSON Schema of documents that hold a record."""
    return GenerateJsonSchema().generate(schema(record))


def schema(record: type) -> Schema:
    """The schema of a record, each record within it defined once."""
    definitions: dict[str, Schema] = {}
    root = _of_type(record, None, definitions)
    return core_schema.definitions_schema(root, list(definitions.values()))


def _of_type(kind: Any, limit: limits.Limit | None, known: dict[str, Schema]) -> Schema:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(each for each in arguments if each is not types.NoneType)
        return core_schema.nullable_schema(_of_type(inner, limit, known))
    if origin is tuple:
        return _of_tuple(arguments, limit, known)
    if origin is typing.Literal:
        return core_schema.literal_schema(list(arguments))
    if kind is Profile:
        document = _of_type(ProfileDocument, None, known)
        return core_schema.no_info_after_validator_function(ProfileDocument.to_profile, document)
    return _of_record(kind, known) if is_dataclass(kind) else PLAIN[kind](limit)


def _of_float(limit: limits.Limit | None) -> Schema:
    words, holds, least, most = limit or ANY_FLOAT
    names = [name for name, number in NON_FINITE.items() if holds(number)]
    number = core_schema.float_schema(strict=True, allow_inf_nan=False, ge=least, le=most)
    if not names:
        return core_schema.custom_error_schema(number, LIMIT, custom_error_message=words)
    named = core_schema.no_info_after_validator_function(
        NON_FINITE.__getitem__, core_schema.literal_schema(names)
    )
    return core_schema.union_schema(
        [number, named],
        mode="left_to_right",
        custom_error_type=LIMIT,
        custom_error_message=words,
    )


def _of_int(limit: limits.Limit | None) -> Schema:
    least = None if limit is None or limit.least is None else int(limit.least)
    bound = limits.LARGEST_INTEGER
    lowest = core_schema.int_schema(strict=True, gt=-bound, lt=bound)
    return lowest if least is None else core_schema.int_schema(strict=True, ge=least, lt=bound)


def _of_text(limit: limits.Limit | None) -> Schema:
    """Not `max_length`: it refuses names with half of a surrogate pair, which Python's have."""
    return core_schema.no_info_after_validator_function(
        _check_length, core_schema.str_schema(strict=True)
    )


def _of_bool(limit: limits.Limit | None) -> Schema:
    return core_schema.bool_schema(strict=True)


PLAIN: dict[type, Callable[[limits.Limit | None], Schema]] = {
    float: _of_float,
    int: _of_int,
    str: _of_text,
    bool: _of_bool,
}


def _of_tuple(
    arguments: tuple[Any, ...], limit: limits.Limit | None, known: dict[str, Schema]
) -> Schema:
    """`tuple[X, ...]` or `tuple[X, Y]`, which is a list in a document."""
    is_long = arguments[-1:] == (...,)
    items = [_of_type(each, None, known) for each in (arguments[:1] if is_long else arguments)]
    found = core_schema.tuple_schema(
        items, variadic_item_index=0 if is_long else None, fail_fast=True
    )
    return found if limit is None else _limited(limit, found)


def _of_record(record: Any, known: dict[str, Schema]) -> Schema:
    """A reference to the record's schema, which is made once."""
    name = record.__name__
    if name not in known:
        known[name] = core_schema.any_schema()  # keeps its place while its fields are made
        hints, limited = typing.get_type_hints(record), _limits_of(record)
        own = [each for each in fields(record) if each.init]
        arguments = core_schema.dataclass_args_schema(
            name,
            [
                _of_field(each, _of_type(hints[each.name], limited.get(each.name), known))
                for each in own
            ],
        )
        known[name] = core_schema.no_info_after_validator_function(
            _check_record,
            core_schema.dataclass_schema(
                record, arguments, [each.name for each in own], config=CONFIG
            ),
            ref=name,
        )
    return core_schema.definition_reference_schema(name)


def _of_field(field: "Field[Any]", kind: Schema) -> core_schema.DataclassField:
    if field.default is not MISSING:
        kind = core_schema.with_default_schema(kind, default=field.default)
    elif field.default_factory is not MISSING:
        kind = core_schema.with_default_schema(kind, default_factory=field.default_factory)
    return core_schema.dataclass_field(field.name, kind, kw_only=True)


def _limits_of(record: Any) -> dict[str, limits.Limit]:
    return {
        name: limit
        for base in record.__mro__
        for name, limit in limits.LIMITS.get(base, {}).items()
    }


def _limited(limit: limits.Limit, kind: Schema) -> Schema:
    def check(value: Any) -> Any:
        if not limit.holds(value):
            raise PydanticCustomError(LIMIT, "{words}", {"words": limit.words})
        return value

    return core_schema.no_info_after_validator_function(check, kind)


def _check_length(text: str) -> str:
    if len(text) > limits.LONGEST_TEXT:
        words = f"a text of at most {limits.LONGEST_TEXT} characters"
        raise PydanticCustomError(LIMIT, "{words}", {"words": words})
    return text


def _check_record(record: Any) -> Any:
    for problem in limits.problems(record):
        raise PydanticCustomError(PROBLEM, "{expected}", problem._asdict())
    return record
