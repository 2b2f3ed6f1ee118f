"""The command's section of a project's configuration file, which the library never reads.

It is `[keras_initcheck]` in setup.cfg, or the table `[tool.keras_initcheck]` in pyproject.toml.
"""

import configparser
import importlib
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_initcheck.command.values import at_least, codes, exemption, joined, severity, threshold
from keras_initcheck.records.errors import InitCheckError

READERS: Mapping[str, Callable[[str], Any]] = {
    "select": codes,
    "ignore": codes,
    "fail_on": severity,
    "batch_size": at_least(1),
    "seed": at_least(0),
    "thresholds": lambda text: dict(map(threshold, _lines(text))),
    "exempt": lambda text: joined(map(exemption, _lines(text))),
}
"""What each key holds."""


class Section(NamedTuple):
    """Settings, and the name of the file that they come from."""

    file: str
    values: dict[str, Any]


def read(directory: Path) -> Section | None:
    """The settings in a directory's configuration file; `None` where there are none.

    Raises:
        InitCheckError: The file cannot be read, has a wrong key or value, or both files have a
            section.
    """
    found = {file: texts for file in _PARSERS if (texts := _texts(directory / file))}
    if len(found) > 1:
        raise InitCheckError(
            f"Settings must stand in one file. Received: sections in {' and '.join(found)}. Keep"
            " one of them."
        )
    for file, texts in found.items():
        return Section(file, {key: _value(file, key, text) for key, text in texts.items()})
    return None


def _texts(path: Path) -> dict[str, str]:
    """The section's keys with their values as text; nothing where there is no file or no
    section.
    """
    if not path.is_file():
        return {}
    marker, parse = _PARSERS[path.name]
    try:
        text = path.read_text(encoding="utf-8")
        return (
            parse(text) if marker in text else {}
        )  # what else is wrong with the file is not the command's business
    except (OSError, ValueError, configparser.Error) as error:
        raise InitCheckError(
            f"{path.name} must be readable. Received: {error} Mend it, or use --no-config."
        ) from error


def _parse_cfg(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(
        default_section=""
    )  # no header can have that name: no section inherits from another
    parser.read_string(text)
    return dict(parser["keras_initcheck"]) if parser.has_section("keras_initcheck") else {}


def _parse_toml(text: str) -> dict[str, str]:
    toml = _toml()
    if toml is None:
        raise InitCheckError(
            "pyproject.toml needs Python 3.11 or tomli. Received: an older Python without it. "
            "Put [keras_initcheck] into setup.cfg instead, pip install tomli, or use --no-config."
        )
    table = toml.loads(text).get("tool", {}).get("keras_initcheck", {})
    if not isinstance(table, dict):
        raise InitCheckError(
            f"pyproject.toml: tool.keras_initcheck must be a table. Received: {table!r}."
        )
    return {key: _as_text(value) for key, value in table.items()}


_PARSERS = {
    "setup.cfg": ("[keras_initcheck]", _parse_cfg),
    "pyproject.toml": ("tool.keras_initcheck", _parse_toml),
}
"""For each file, what stands in it if it has a section, and how it is read."""


def _toml() -> Any:
    """The standard library's TOML reader, that of older Pythons where it is installed, or
    `None`.
    """
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _as_text(value: Any) -> str:
    """A TOML value as setup.cfg would write it, so that both are read alike.

    >>> _as_text({"backbone/*": ["IC102", "IC103"]})
    'backbone/* = IC102,IC103'
    """
    if isinstance(value, dict):
        return "\n".join(f"{name} = {_as_text(each)}" for name, each in value.items())
    return ",".join(map(_as_text, value)) if isinstance(value, list) else str(value)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _value(file: str, key: str, text: str) -> Any:
    if key not in READERS:
        raise InitCheckError(
            f"{file}: the section's keys must be among {', '.join(READERS)}. Received: {key!r}."
        )
    try:
        return READERS[key](text)
    except ArgumentTypeError as error:
        raise InitCheckError(f"{file}: {key} {error}") from error
