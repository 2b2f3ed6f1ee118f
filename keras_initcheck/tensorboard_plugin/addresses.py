"""Parses the addresses by which requests name a series or a probe."""

import re

from tensorboard import errors

LONGEST_RUN = 4096
"""Characters of a run's name; no file system has longer paths."""

_SITES = re.compile(r"[0-9a-f]{12}")
_STEP = re.compile(r"-?[0-9]{1,18}")


def parse_series(text: str) -> tuple[str, str]:
    """Splits `<sites>/<run>` into the hash of the sites and the run.

    Raises:
        errors.InvalidArgumentError: The text has another form.
    """
    sites, slash, run = text.partition("/")
    if not slash or not _SITES.fullmatch(sites) or len(run) > LONGEST_RUN:
        raise errors.InvalidArgumentError(
            "`series` must be `<sites>/<run>`, with twelve hexadecimal digits of sites. Received:"
            f" {text[:200]!r}."
        )
    return sites, run


def parse_probe(text: str) -> tuple[str, int, str]:
    """Splits `<sites>/<step>/<run>` into the hash of the sites, the step and the run.

    Raises:
        errors.InvalidArgumentError: The text has another form.
    """
    sites, _, rest = text.partition("/")
    step, slash, run = rest.partition("/")
    is_address = slash and _SITES.fullmatch(sites) and _STEP.fullmatch(step)
    if not is_address or len(run) > LONGEST_RUN:
        raise errors.InvalidArgumentError(
            "`probe` must be `<sites>/<step>/<run>`, with a whole number of steps. Received:"
            f" {text[:200]!r}."
        )
    return sites, int(step), run
