"""Reads the command's section of a project's configuration file, which the library never reads.

The section is `[keras_initcheck]` in setup.cfg, where every value is text, or the table
`[tool.keras_initcheck]` in pyproject.toml, where values have types.
"""

import configparser
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_initcheck.command import toml_values, values
from keras_initcheck.records.errors import InitCheckError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Reader = Callable[[Any], Any]


class Section(NamedTuple):
    """Settings, and the name of the file that they come from."""

    file: str
    values: dict[str, Any]


class Format(NamedTuple):
    """How a configuration file is read.

    Attributes:
        marker: Text that the file contains if it has a section. Errors elsewhere in a file
            without one do not concern this command.
        parse: Returns the section's values by key, unchecked; nothing if there is no section.
        readers: Functions that check the value of each key.
    """

    marker: str
    parse: Callable[[str], Mapping[str, Any]]
    readers: Mapping[str, Reader]


def read(directory: Path) -> Section | None:
    """Reads the settings in a directory's configuration file.

    Returns:
        The settings, or `None` if there are none.

    Raises:
        InitCheckError: The file cannot be read, has a wrong key or value, or both files have a
            section.
    """
    found = {file: raw for file in FORMATS if (raw := _parse(directory / file))}
    if len(found) > 1:
        raise InitCheckError(
            f"Settings must be in one file. Received: sections in {' and '.join(found)}. Keep one"
            " of them."
        )
    for file, raw in found.items():
        return Section(file, {key: _value(file, key, value) for key, value in raw.items()})
    return None


def _parse(path: Path) -> Mapping[str, Any]:
    """The section's values by key, unchecked; nothing if there is no file or no section."""
    if not path.is_file():
        return {}
    marker, parse, _ = FORMATS[path.name]
    try:
        text = path.read_text(encoding="utf-8")
        return parse(text) if marker in text else {}
    except (OSError, ValueError, configparser.Error) as error:
        raise InitCheckError(
            f"{path.name} must be readable. Received: {error} Correct it, or use --no-config."
        ) from error


def _parse_cfg(text: str) -> Mapping[str, Any]:
    # No header can have this name, so that no section inherits from another.
    parser = configparser.RawConfigParser(default_section="")
    parser.read_string(text)
    return dict(parser["keras_initcheck"]) if parser.has_section("keras_initcheck") else {}


def _parse_toml(text: str) -> Mapping[str, Any]:
    tool = tomllib.loads(text).get("tool", {})
    table = tool.get("keras_initcheck", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise InitCheckError(
            f"pyproject.toml: tool.keras_initcheck must be a table. Received: {table!r}."
        )
    return table


def _value(file: str, key: str, value: Any) -> Any:
    readers = FORMATS[file].readers
    if key not in readers:
        raise InitCheckError(
            f"{file}: the section's keys must be among {', '.join(readers)}. Received: {key!r}."
        )
    try:
        return readers[key](value)
    except ArgumentTypeError as error:
        raise InitCheckError(f"{file}: {key} {error}") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


_TEXT_READERS: Mapping[str, Reader] = {
    "select": values.codes,
    "ignore": values.codes,
    "fail_on": values.fail_on,
    "batch_size": values.at_least(1),
    "seed": values.at_least(0),
    "thresholds": lambda text: dict(map(values.threshold, _lines(text))),
    "exempt": lambda text: values.merge_exemptions(map(values.exemption, _lines(text))),
}
_TOML_READERS: Mapping[str, Reader] = {
    "select": toml_values.codes,
    "ignore": toml_values.codes,
    "fail_on": toml_values.fail_on,
    "batch_size": toml_values.at_least(1),
    "seed": toml_values.at_least(0),
    "thresholds": toml_values.thresholds,
    "exempt": toml_values.exemptions,
}
KEYS = tuple(_TEXT_READERS)
"""Keys that a section may contain."""
FORMATS: Mapping[str, Format] = {
    "setup.cfg": Format("[keras_initcheck]", _parse_cfg, _TEXT_READERS),
    "pyproject.toml": Format("tool.keras_initcheck", _parse_toml, _TOML_READERS),
}
