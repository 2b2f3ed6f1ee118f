"""The verdict on a healthy model in words, with the share of its weights that it is about."""

import math

from keras_initcheck.analysis.coverage import Coverage, coverage
from keras_initcheck.records.profile import Profile

HEALTHY = "healthy. No layer loses or blows up the signal."
MOST_NAMES = 3


def healthy(profile: Profile) -> str:
    """The sentence on a model without a warning or an error."""
    found = coverage(profile)
    if found.is_complete:
        return HEALTHY
    parts = (("not probed", found.hidden), ("never called", found.unused))
    left_out = "; ".join(f"{title}: {_listed(names)}" for title, names in parts if names)
    return f"healthy as far as probed: {_share(found)} of the weights; {left_out}."


def _share(found: Coverage) -> str:
    """The share in per cent, rounded down: nothing is complete that is not."""
    percent = 100.0 * found.share
    steps = 1.0 if percent < 99.0 else 10.0
    return f"{math.floor(steps * percent) / steps:g}%"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
