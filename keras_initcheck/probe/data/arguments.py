"""The arguments `seed`, `batch_size` and `steps`, which `check`, `repair` and `InitCheck` share.

A wrong one is the caller's mistake, and must not be reported as a failure of the probe.
"""

import operator
from typing import Any

LARGEST_SEED = 2**63 - 1
"""A report keeps the seed as an integer of 64 bits."""


def as_seed(value: Any) -> int:
    """Converts a seed, which may be a NumPy integer, to an `int`.

    Raises:
        ValueError: It is not a whole number from 0 to `LARGEST_SEED`.
    """
    seed = _as_int(value)
    if seed is None or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(
            f"`seed` must be a whole number from 0 to {LARGEST_SEED}. Received: seed={value!r:.80}."
        )
    return seed


def as_batch_size(value: Any) -> int | None:
    """Converts a batch size, which may be a NumPy integer, to an `int`; `None` stays.

    Raises:
        ValueError: It is not a positive whole number.
    """
    if value is None:
        return None
    size = _as_int(value)
    if size is None or size < 1:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={value!r:.80}."
        )
    return size


def as_steps(value: Any, argument: str = "steps") -> int:
    """Converts a number of steps, which may be a NumPy integer, to an `int`.

    Raises:
        ValueError: It is not a positive whole number.
    """
    steps = _as_int(value)
    if steps is None or steps < 1:
        raise ValueError(
            f"`{argument}` must be a positive integer, such as 50. Received:"
            f" {argument}={value!r:.80}."
        )
    return steps


def _as_int(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
