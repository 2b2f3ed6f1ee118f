"""Checks the values of pyproject.toml, which TOML has given types already.

The error messages are worded as in `values`.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from keras_initcheck.command import values


def codes(value: Any) -> tuple[str, ...]:
    """Checks a list of codes or slugs; a string is read as on the command line.

    >>> codes(["IC102", "dead-layer"]), codes("IC102,dead-layer")
    (('IC102', 'dead-layer'), ('IC102', 'dead-layer'))
    """
    if isinstance(value, str):
        return values.codes(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ArgumentTypeError(
        f'must be a list of codes or slugs, such as ["IC101", "dead-layer"]. Received: {value!r}.'
    )


def fail_on(value: Any) -> str:
    """Checks that the value is one of `values.FAIL_ON`."""
    return values.fail_on(value)


def at_least(least: int) -> Callable[[Any], int]:
    """Returns a function that checks for an integer of at least `least`."""

    def check(value: Any) -> int:
        # `True` is an `int` in Python, but no number in TOML.
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ArgumentTypeError(f"must be an integer, {least} or more. Received: {value!r}.")
        return value

    return check


def thresholds(value: Any) -> dict[str, float]:
    """Checks a table of numbers by the names of thresholds.

    >>> thresholds({"sgd_gain_warning": 8})
    {'sgd_gain_warning': 8.0}
    """
    if not isinstance(value, dict) or not all(
        isinstance(number, int | float) and not isinstance(number, bool)
        for number in value.values()
    ):
        raise ArgumentTypeError(
            f"must be a table NAME = NUMBER, such as {{sgd_gain_warning = 8}}. Received: {value!r}."
        )
    return {name: float(number) for name, number in value.items()}


def exemptions(value: Any) -> dict[str, tuple[str, ...]]:
    """Checks a table of codes by patterns of layer paths.

    >>> exemptions({"backbone/*": ["IC102", "IC103"], "head": "*"})
    {'backbone/*': ('IC102', 'IC103'), 'head': ('*',)}
    """
    found = (
        {pattern: codes(names) for pattern, names in value.items()}
        if isinstance(value, dict)
        else {}
    )
    if not isinstance(value, dict) or not all(found.values()):
        raise ArgumentTypeError(
            'must be a table PATTERN = CODES, such as {"backbone/*" = ["IC102"], "head" = "*"}.'
            f" Received: {value!r}."
        )
    return found
