"""Merges the command line with the configuration file; the command line takes precedence."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_initcheck.command import configuration
from keras_initcheck.command.values import merge_exemptions
from keras_initcheck.records.errors import InitCheckError
from keras_initcheck.rules.policy import Policy

OPTIONS = {
    "select": "--select",
    "ignore": "--ignore",
    "thresholds": "--threshold",
    "exempt": "--exempt",
}
"""The settings that make a policy, and their names on the command line."""


@dataclass(frozen=True)
class Settings:
    """Settings of one check.

    Attributes:
        fail_on: The least severity that gives exit status 1, or `"never"`.
        options: Keyword arguments for `check`; only those that the user gave.
        policy: The policy that these options describe.
    """

    fail_on: str
    options: Mapping[str, Any]
    policy: Policy


def settle(arguments: argparse.Namespace, directory: Path) -> Settings:
    """Merges the command line, the configuration file in a directory, and the defaults.

    Thresholds and exemptions are merged by name and by pattern; every other setting of the command
    line replaces the file's.

    Raises:
        InitCheckError: A value is invalid; the message names the option, or the file and the key.
    """
    merged: dict[str, Any] = {}
    for file, values in _sources(arguments, directory):
        for key, value in values.items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
            if key in OPTIONS:
                _check(key, merged[key], OPTIONS[key] if file is None else f"{file}: {key}")
    policy = Policy(**{key: value for key, value in merged.items() if key in OPTIONS})
    return Settings(merged.pop("fail_on", "error"), merged, policy)


def _sources(
    arguments: argparse.Namespace, directory: Path
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The file's name with its settings, then `None` with those of the command line."""
    section = configuration.read(directory) if arguments.config else None
    if section is not None:
        yield section
    given = {key: getattr(arguments, key) for key in configuration.KEYS}
    for key, merge in (("thresholds", dict), ("exempt", merge_exemptions)):
        given[key] = None if given[key] is None else merge(given[key])
    yield None, {key: value for key, value in given.items() if value is not None}


def _check(key: str, value: Any, name: str) -> None:
    """Reports what is wrong with a value under the name that the user gave it."""
    try:
        Policy(**{key: value})
    except ValueError as error:
        raise InitCheckError(str(error).replace(f"`{key}`", name)) from error
