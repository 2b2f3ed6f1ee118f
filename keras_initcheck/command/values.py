"""Converts text to values, for the command line and for setup.cfg.

Each error message continues a sentence that begins with the option's or the key's name, which is
how argparse reports it.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable

from keras_initcheck.records.finding import SEVERITIES
from keras_initcheck.repairs.options import METHODS

FAIL_ON = ("never", *SEVERITIES[1:])
"""Notes never make a check fail."""


def codes(text: str) -> tuple[str, ...]:
    """Splits codes or slugs at their commas.

    >>> codes("IC101, dead-layer")
    ('IC101', 'dead-layer')
    """
    found = tuple(code.strip() for code in text.split(",") if code.strip())
    if not found and text.strip():
        raise ArgumentTypeError(
            "must be codes or slugs, separated by commas, such as IC101,dead-layer. Received:"
            f" {text!r}."
        )
    return found


def fail_on(text: str) -> str:
    """Checks that the text is one of `FAIL_ON`."""
    return _one_of(text, FAIL_ON, "")


def method(text: str) -> str:
    """Checks that the text is one of the methods of a repair."""
    return _one_of(text, METHODS, ", and MODEL and DATA must stand before it")


def at_least(least: int) -> Callable[[str], int]:
    """Returns a function that reads an integer of at least `least`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"must be an integer, {least} or more. Received: {text!r}.")
        return number

    return read


def threshold(text: str) -> tuple[str, float]:
    """Splits NAME=NUMBER.

    >>> threshold("sgd_gain_warning = 8")
    ('sgd_gain_warning', 8.0)
    """
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise ArgumentTypeError(
            f"must be NAME=NUMBER, such as sgd_gain_warning=8. Received: {text!r}."
        ) from None


def exemption(text: str) -> tuple[str, tuple[str, ...]]:
    """Splits PATTERN=CODES, where the pattern matches layer paths.

    >>> exemption("backbone/* = IC102, IC103")
    ('backbone/*', ('IC102', 'IC103'))
    """
    pattern, _, names = (part.strip() for part in text.rpartition("="))
    if not pattern or not names.strip(", "):
        raise ArgumentTypeError(
            f"must be PATTERN=CODES, such as backbone/*=IC102,IC103 or head=*. Received: {text!r}."
        )
    return pattern, codes(names)


def merge_exemptions(
    exemptions: Iterable[tuple[str, tuple[str, ...]]],
) -> dict[str, tuple[str, ...]]:
    """Merges exemptions by pattern; a pattern that occurs twice gets the codes of both.

    >>> merge_exemptions([("head", ("IC102",)), ("head", ("IC103",))])
    {'head': ('IC102', 'IC103')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for pattern, names in exemptions:
        found[pattern] = (*found.get(pattern, ()), *names)
    return found


def _one_of(text: str, choices: Iterable[str], condition: str) -> str:
    if text not in choices:
        raise ArgumentTypeError(
            f"must be one of {', '.join(choices)}{condition}. Received: {text!r}."
        )
    return text
