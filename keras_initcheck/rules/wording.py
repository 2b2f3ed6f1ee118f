"""Words of the rules' messages: how numbers and changes of size are put into a sentence."""

import math
from collections.abc import Sequence

from keras_initcheck.analysis.layer_fans import FORWARD
from keras_initcheck.records.finding import Severity
from keras_initcheck.records.number_format import format_change, format_factor, format_in_prose


def number(value: float) -> str:
    """A number in a sentence, with three significant digits.

    >>> number(290_000.0), number(1.58e8), number(0.0012), number(2.0)
    ('290,000', '1.58e8', '0.0012', '2')
    """
    return format_in_prose(value)


def times(ln_gain: float) -> str:
    """The factor on the root mean square, 1 or more, from a logarithm of the second moment's.

    >>> times(-25.155), times(25.155), times(math.log(2.0)), times(-4000.0)
    ('290,000', '290,000', '1.4', '3.9e868')
    """
    return format_factor(_log10_of_root(ln_gain))


def times_weaker_or_stronger(ln_gain: float) -> str:
    """The change of a root mean square, in words.

    Args:
        ln_gain: Natural logarithm of the factor on the second moment, the square of the root mean
            square.

    >>> times_weaker_or_stronger(-25.155), times_weaker_or_stronger(math.log(144.0))
    ('290,000 times weaker', '12 times stronger')
    """
    return format_change(_log10_of_root(ln_gain))


def _log10_of_root(ln_gain: float) -> float:
    return ln_gain / math.log(100.0)


def change_in_words(
    direction: str, ln_gain: float, ends: Sequence[str], severity: Severity = "info"
) -> str:
    """What becomes of the signal or the gradient between the ends of several layers.

    Args:
        direction: `"forward"` or `"backward"`.
        ln_gain: Natural logarithm of the factor on the second moment.
        ends: Names of the first and the last layer, in the order of the forward pass.
        severity: What that does to training.

    >>> change_in_words("forward", -25.155, ["dense_1", "dense_5"], "error")
    'The signal dies: 290,000 times weaker from `dense_1` to `dense_5`.'
    >>> change_in_words("backward", 5.0, ["dense_1", "dense_5"], "warning")
    'The gradient grows: 12 times stronger on its way back from `dense_5` to `dense_1`.'
    """
    subject = "signal" if direction == FORWARD else "gradient"
    size = times_weaker_or_stronger(ln_gain)
    return f"The {subject} {verb(ln_gain, severity)}: {size} {_way(direction, ends)}."


def verb(ln_gain: float, severity: Severity) -> str:
    """The verb for a change that does that to training.

    >>> verb(-12.1, "error"), verb(6.1, "warning")
    ('dies', 'grows')
    """
    return (_GROWS if ln_gain > 0 else _SHRINKS)[severity]


_SHRINKS: dict[Severity, str] = {"info": "shrinks", "warning": "fades", "error": "dies"}
_GROWS: dict[Severity, str] = {"info": "grows", "warning": "grows", "error": "explodes"}


def _way(direction: str, ends: Sequence[str]) -> str:
    if ends[0] == ends[-1]:
        return f"{'behind' if direction == FORWARD else 'before'} `{ends[0]}`"
    if direction == FORWARD:
        return f"from `{ends[0]}` to `{ends[-1]}`"
    return f"on its way back from `{ends[-1]}` to `{ends[0]}`"


def sizes_in_words(direction: str, mean_squares: Sequence[float], ends: Sequence[str]) -> str:
    """The sizes between which a change happens, as a sentence and a blank; `""` without any.

    >>> sizes_in_words("forward", [0.25, 1e-4], ["dense_1", "dense_5"])
    'Root mean square: 0.5 before `dense_1`, 0.01 behind `dense_5`. '
    """
    if not mean_squares:
        return ""
    sizes = [number(math.sqrt(size)) for size in mean_squares]
    places = [f"before `{ends[0]}`", f"behind `{ends[-1]}`"]
    if direction != FORWARD:
        places.reverse()
    return f"Root mean square: {sizes[0]} {places[0]}, {sizes[1]} {places[1]}. "
