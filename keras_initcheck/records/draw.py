"""The comparison of a weight's values with what its initializer promises."""

from dataclasses import dataclass
from typing import Literal, get_args

from keras_initcheck.records.number_format import format_in_prose
from keras_initcheck.records.record import Record

Family = Literal[
    "normal",
    "truncated normal",
    "uniform",
    "orthogonal",
    "identity",
    "forget bias",
    "constant",
    "other",
]
DrawVerdict = Literal[
    "unknown", "fresh", "loaded or trained", "constant", "drawn twice", "another draw"
]
VERDICTS: tuple[DrawVerdict, ...] = get_args(DrawVerdict)
"""From what needs no attention to what needs most."""

_NAMED_CONSTANTS = {0.0: "zeros", 1.0: "ones"}
_ROOT_THREE = 3.0**0.5


@dataclass(frozen=True, eq=False)
class Distribution(Record):
    """A distribution of the elements of a weight.

    >>> Distribution("normal", 0.0, 0.02).words, Distribution("constant", 0.0, 0.0).words
    ('N(0, 0.02²)', 'zeros')

    Attributes:
        family: Its kind. A `"truncated normal"` is cut at two standard deviations of the
            distribution before the cut; `"forget bias"` is constant but for ones at an LSTM's
            forget gate.
        mean: Mean of the elements.
        deviation: Standard deviation of the elements, after the cut of a truncated normal; the
            factor of an orthogonal matrix or of an identity.
    """

    family: Family
    mean: float
    deviation: float

    @property
    def words(self) -> str:
        """A short notation, such as `U(-0.05, 0.05)`."""
        mean, deviation = format_in_prose(self.mean), format_in_prose(self.deviation)
        square = "1" if deviation == "1" else f"{deviation}²"
        reach = _ROOT_THREE * self.deviation
        low, high = format_in_prose(self.mean - reach), format_in_prose(self.mean + reach)
        notations: dict[Family, str] = {
            "normal": f"N({mean}, {square})",
            "truncated normal": f"truncated N({mean}, {square})",
            "uniform": f"U({low}, {high})",
            "orthogonal": f"orthogonal × {deviation}",
            "identity": f"identity × {deviation}",
            "forget bias": f"{mean}, and 1 at the forget gate",
            "constant": _NAMED_CONSTANTS.get(self.mean, f"all {mean}"),
            "other": f"mean {mean}, std {deviation}",
        }
        return notations[self.family]


@dataclass(frozen=True, eq=False)
class Draw(Record):
    """A verdict on where a weight's values come from.

    Attributes:
        verdict: `"fresh"`: the values are what the initializer gives, by every test at a false
            alarm rate of 0.1% for a whole model. `"constant"`: all values are equal, where
            something else was promised. `"drawn twice"`: another weight holds the same numbers.
            `"another draw"`: a random draw, of another size or kind than promised. `"unknown"`:
            the initializer is none whose values can be foretold.
        promised: What the initializer promises; `None` where that is not known.
        found: What the values look like; `None` where they are as promised, or not known.
    """

    verdict: DrawVerdict
    promised: Distribution | None = None
    found: Distribution | None = None

    @property
    def rank(self) -> int:
        """Position of the verdict in `VERDICTS`."""
        return VERDICTS.index(self.verdict)
