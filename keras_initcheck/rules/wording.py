"""Words of the rules' messages: how numbers and changes of size are put into a sentence."""

import math

from keras_initcheck.records.number_format import (
    LARGEST_FLOAT_EXPONENT,
    format_in_prose,
    format_power_of_ten,
)

DIGITS_OF_FACTORS = 2
"""Significant digits of a factor in words; chance makes more than the third of most of them."""
SMALLEST_CHANGE = math.log(1.05)
"""Logarithm of the smallest factor that two significant digits tell from 1."""


LARGEST_WIDTH = 20
"""Characters of a factor that no float holds; nothing in a sentence has to be aligned."""


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
    log10_factor = abs(ln_gain) / math.log(100.0)
    if log10_factor <= LARGEST_FLOAT_EXPONENT:
        return format_in_prose(10.0**log10_factor, DIGITS_OF_FACTORS)
    return format_power_of_ten(log10_factor, width=LARGEST_WIDTH)


def times_weaker_or_stronger(ln_gain: float) -> str:
    """The change of a root mean square, in words.

    Args:
        ln_gain: Natural logarithm of the factor on the second moment, the square of the root mean
            square.

    >>> times_weaker_or_stronger(-25.155), times_weaker_or_stronger(math.log(144.0))
    ('290,000 times weaker', '12 times stronger')
    >>> times_weaker_or_stronger(0.0), times_weaker_or_stronger(-math.inf)
    ('as strong as before', 'infinitely weaker')
    """
    if abs(ln_gain) < 2.0 * SMALLEST_CHANGE:
        return "as strong as before"
    change = "stronger" if ln_gain > 0 else "weaker"
    return f"infinitely {change}" if math.isinf(ln_gain) else f"{times(ln_gain)} times {change}"
