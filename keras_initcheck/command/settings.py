"""What the command line and the configuration file ask for together. The command line wins."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_initcheck.command import configuration
from keras_initcheck.command.values import joined
from keras_initcheck.records.errors import InitCheckError
from keras_initcheck.rules.catalogue import policy_of
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
    """What a check goes by.

    Attributes:
        fail_on: The least severity that gives exit status 1, or `"never"`.
        options: Arguments of `check`, those that were asked for.
        policy: What these ask of the rules.
    """

    fail_on: str
    options: Mapping[str, Any]
    policy: Policy


def settle(arguments: argparse.Namespace, directory: Path) -> Settings:
    """The settings: of the command line, else of the file in the directory, else the defaults.

    Thresholds and exemptions are merged name by name and pattern by pattern; everything else is
    replaced.

    Raises:
        InitCheckError: A value makes no sense; the message names the option, or the file and the
            key.
    """
    merged: dict[str, Any] = {}
    for file, values in _sources(arguments, directory):
        for key, value in values.items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
            if key in OPTIONS:
                _check(key, merged[key], OPTIONS[key] if file is None else f"{file}: {key}")
    policy = policy_of(**{key: value for key, value in merged.items() if key in OPTIONS})
    return Settings(merged.pop("fail_on", "error"), merged, policy)


def _sources(
    arguments: argparse.Namespace, directory: Path
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Names of files with the settings in them, and last, under no name, what the command line
    says.
    """
    section = configuration.read(directory) if arguments.config else None
    if section is not None:
        yield section
    given = {key: getattr(arguments, key) for key in configuration.READERS}
    for key, gathered in (("thresholds", dict), ("exempt", joined)):
        given[key] = None if given[key] is None else gathered(given[key])
    yield None, {key: value for key, value in given.items() if value is not None}


def _check(key: str, value: Any, name: str) -> None:
    """Says what the rules have against a value, under the name that the user gave it."""
    try:
        policy_of(**{key: value})
    except ValueError as error:
        raise InitCheckError(str(error).replace(f"`{key}`", name)) from error
