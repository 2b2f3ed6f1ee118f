"""Whatever is computed reaches somebody: a rule, a repair, a figure, a table, a page or the tab.

A field counts as read if its name is read as an attribute, or as the constant of its array's
column, anywhere but in the records themselves, in what builds them, and in the JSON, which writes
all of them.
"""

import ast
import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import keras_initcheck

PACKAGE = Path(keras_initcheck.__file__).parent
BUILDERS = ("records", "probe", "outputs/json_", "outputs/limits.py", "outputs/document_schema.py")

UNREAD = {
    "Spectrum.num_vectors": "Its consequence, `standard_error`, is shown.",
    "Spectrum.num_iterations": "Its consequence, `largest_error`, is shown.",
}
"""Fields that nothing in the package reads, each with the reason to keep it."""


def records():
    """Every dataclass of the records."""
    for path in sorted((PACKAGE / "records").glob("[a-z]*.py")):
        module = importlib.import_module(f"keras_initcheck.records.{path.stem}")
        for value in vars(module).values():
            if is_dataclass(value) and value.__module__ == module.__name__:
                yield value


def is_reader(path):
    return not str(path.relative_to(PACKAGE)).startswith(BUILDERS)


def names_read():
    found = set()
    for path in filter(is_reader, PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
    for path in (PACKAGE / "outputs" / "page").glob("*.html"):
        found.update(re.findall(r"\.(\w+)", path.read_text("utf-8")))
    return found


READ = names_read()
OWN = {
    f"{record.__name__}.{field.name}": field.name
    for record in records()
    for field in fields(record)
    if not any(field.name in getattr(base, "__annotations__", {}) for base in record.__mro__[1:])
}


@pytest.mark.parametrize("field", OWN)
def test_field_is_read_by_a_rule_or_an_output(field):
    is_read = OWN[field] in READ or OWN[field].upper() in READ
    assert is_read or field in UNREAD, f"nobody reads {field}: show it, or delete it and its code"


def test_list_of_exceptions_is_up_to_date():
    assert not [field for field in UNREAD if field not in OWN or OWN[field] in READ]
