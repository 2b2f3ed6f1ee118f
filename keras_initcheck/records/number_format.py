"""Numbers as short text, the same in messages, tables and figures.

Three significant digits, commas between thousands, and powers of ten where a number without one
would be long: 0.00123, 1.50, 290,000, 1.58e8, nan, inf.
"""

import math
import sys
from collections.abc import Iterator

LARGEST_FIXED_EXPONENT = 5
SMALLEST_FIXED_EXPONENT = -3
"""Numbers from 0.001 to 999,999 are written without a power of ten, if they fit."""

LARGEST_FLOAT_EXPONENT = 300
"""Powers of ten up to here are float64 numbers; gains of very deep networks lie beyond."""


DIGITS_OF_FACTORS = 2
"""Significant digits of a factor in words; chance makes more than the third of most of them."""

SMALLEST_CHANGE = math.log10(1.05)
"""Logarithm of the smallest factor that two significant digits tell from 1."""

LARGEST_WIDTH = 20
"""Characters of a factor that no float holds; nothing in a sentence has to be aligned."""


def format_number(value: float | None, width: int = 7, digits: int = 3) -> str:
    """The number with as many significant digits as fit, `""` for `None`.

    Args:
        value: The number.
        width: Number of characters to keep to. One significant digit is always written, and may be
            longer.
        digits: Number of significant digits to aim for.

    >>> format_number(0.4126), format_number(1.9e13), format_number(float("nan"))
    ('0.413', '1.9e13', 'nan')
    >>> format_number(-1.234e-13, width=8)
    '-1.2e-13'
    """
    if value is None:
        return ""
    for significant in range(digits, 0, -1):
        for text in _spellings(value, significant):
            if len(text) <= width:
                return text
    return text


def format_in_prose(value: float, digits: int = 3) -> str:
    """The number as part of a sentence: without zeros at the end of a fraction.

    >>> format_in_prose(1.0), format_in_prose(0.0012), format_in_prose(287_314.0)
    ('1', '0.0012', '287,000')
    >>> format_in_prose(-290_000.0, digits=2), format_in_prose(1.58e8)
    ('-290,000', '1.58e8')
    """
    text = format_number(value, width=sys.maxsize, digits=digits)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def format_factor(log10_factor: float) -> str:
    """A factor in words, 1 or more: the number or its reciprocal, with two digits.

    >>> format_factor(5.4625), format_factor(-5.4625), format_factor(400.25)
    ('290,000', '290,000', '1.8e400')
    """
    size = abs(log10_factor)
    if size <= LARGEST_FLOAT_EXPONENT:
        return format_in_prose(10.0**size, DIGITS_OF_FACTORS)
    return format_power_of_ten(size, width=LARGEST_WIDTH)


def format_change(log10_gain: float) -> str:
    """A change of size in words.

    >>> format_change(-5.4625), format_change(1.08), format_change(0.01)
    ('290,000 times weaker', '12 times stronger', 'as strong as before')
    """
    if math.isnan(log10_gain):
        return "nan"
    if abs(log10_gain) < SMALLEST_CHANGE:
        return "as strong as before"
    change = "stronger" if log10_gain > 0 else "weaker"
    factor = format_factor(log10_gain)
    return f"infinitely {change}" if math.isinf(log10_gain) else f"{factor} times {change}"


def format_power_of_ten(log10_value: float | None, width: int = 7, digits: int = 3) -> str:
    """The number `10 ** log10_value` in about `width` characters, even beyond float64's range.

    >>> format_power_of_ten(0.0), format_power_of_ten(400.25), format_power_of_ten(float("-inf"))
    ('1.00', '1.8e400', '0')
    """
    if log10_value is None or math.isnan(log10_value) or math.isinf(log10_value):
        return {None: "", math.inf: "inf", -math.inf: "0"}.get(log10_value, "nan")
    if abs(log10_value) <= LARGEST_FLOAT_EXPONENT:
        return format_number(10.0**log10_value, width, digits)
    exponent = math.floor(log10_value)
    for decimals in (1, 0):
        mantissa, _, carry = f"{10 ** (log10_value - exponent):.{decimals}e}".partition("e")
        text = f"{mantissa.removesuffix('.0')}e{exponent + int(carry)}"
        if len(text) <= width:
            break
    return text


def format_count(count: int) -> str:
    """A count with a unit of thousands, millions or billions.

    >>> format_count(640), format_count(61_100_840)
    ('640', '61.1M')
    """
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return (
                f"{count / unit:.3g}{letter}"
                if count / unit < 999.5
                else f"{count / unit:.0f}{letter}"
            )
    return str(count)


def format_share(share: float | None) -> str:
    """A share of 0..1 as a percentage."""
    if share is None or math.isnan(share):
        return "" if share is None else "nan"
    return f"{100 * share:.0f}%"


def format_shape(shape: tuple[int, ...] | None) -> str:
    """The shape of one sample, that is without the batch axis.

    >>> format_shape((32, 55, 55, 96)), format_shape((32,)), format_shape(None)
    ('55×55×96', 'scalar', '')
    """
    if not shape:
        return ""
    return "×".join(str(size) for size in shape[1:]) or "scalar"


def _spellings(value: float, digits: int) -> Iterator[str]:
    """The ways to write `value` with that many significant digits, the likeliest first."""
    if not math.isfinite(value) or value == 0:
        yield f"{value:.0f}" if value else "0"
        return
    rounded = f"{value:.{digits - 1}e}"
    mantissa, _, exponent_text = rounded.partition("e")
    exponent = int(exponent_text)
    if SMALLEST_FIXED_EXPONENT <= exponent <= LARGEST_FIXED_EXPONENT:
        yield f"{float(rounded):,.{max(digits - 1 - exponent, 0)}f}"
    yield f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{exponent}"
