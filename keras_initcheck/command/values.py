"""Text to values, the same for the command line and the configuration file. Errors are those that
argparse puts after a name.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable

from keras_initcheck.repairs.options import METHODS

FAIL_ON = ("never", "warning", "error")


def codes(text: str) -> tuple[str, ...]:
    """Codes or slugs, separated by commas.

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


def severity(text: str) -> str:
    """One of `FAIL_ON`."""
    if text not in FAIL_ON:
        raise ArgumentTypeError(f"must be one of {', '.join(FAIL_ON)}. Received: {text!r}.")
    return text


def method(text: str) -> str:
    """One of the methods of a repair."""
    if text not in METHODS:
        raise ArgumentTypeError(
            f"must be one of {', '.join(METHODS)}, and MODEL and DATA must stand before it."
            f" Received: {text!r}."
        )
    return text


def at_least(least: int) -> Callable[[str], int]:
    """Reads an integer that is not less than `least`."""

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
    """A name and a number.

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
    """A pattern of layer paths, and codes.

    >>> exemption("backbone/* = IC102, IC103")
    ('backbone/*', ('IC102', 'IC103'))
    """
    pattern, _, names = (part.strip() for part in text.rpartition("="))
    if not pattern or not names.strip(", "):
        raise ArgumentTypeError(
            f"must be PATTERN=CODES, such as backbone/*=IC102,IC103 or head=*. Received: {text!r}."
        )
    return pattern, codes(names)


def joined(exemptions: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Exemptions by pattern. A pattern that comes twice has the codes of both.

    >>> joined([("head", ("IC102",)), ("head", ("IC103",))])
    {'head': ('IC102', 'IC103')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for pattern, names in exemptions:
        found[pattern] = (*found.get(pattern, ()), *names)
    return found
