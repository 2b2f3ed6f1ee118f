"""Numbers as text, with the boundaries between the ways of writing them."""

import math

import pytest

from keras_initcheck.records.number_format import (
    format_count,
    format_in_prose,
    format_number,
    format_power_of_ten,
    format_shape,
    format_share,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (0, "0"),
        (-0.0, "0"),
        (1, "1.00"),
        (-1.5, "-1.50"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (999, "999"),
        (999.6, "1,000"),
        (1000, "1,000"),
        (1234, "1,230"),
        (287_314, "287,000"),
        (999_499, "999,000"),
        (999_600, "1e6"),
        (-1234, "-1,230"),
        (-287_314, "-2.87e5"),
        (0.01, "0.0100"),
        (0.009996, "0.0100"),
        (0.00999, "0.00999"),
        (-0.00999, "-0.010"),
        (0.001, "0.00100"),
        (0.000999, "9.99e-4"),
        (1e300, "1e300"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.8e308"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_number_has_three_digits_and_a_compact_exponent(value, expected):
    assert format_number(value) == expected


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [
        (0.123456, 5, "0.123"),
        (0.0123456, 6, "0.0123"),
        (0.0123456, 5, "0.012"),
        (287_314, 6, "2.87e5"),
        (-0.00999, 8, "-0.00999"),
        (1.234e-13, 6, "1e-13"),
        (-1.234e-300, 5, "-1e-300"),
    ],
    ids=[
        "fits",
        "just fits",
        "one digit less",
        "a power of ten",
        "wider",
        "two digits less",
        "never less than one digit",
    ],
)
def test_digits_give_way_to_width(value, width, expected):
    assert format_number(value, width) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (1.0, 3, "1"),
        (1.5, 3, "1.5"),
        (0.01, 3, "0.01"),
        (100.0, 3, "100"),
        (287_314.0, 3, "287,000"),
        (287_314.0, 2, "290,000"),
        (-287_314.0, 3, "-287,000"),
        (1.5e8, 3, "1.5e8"),
        (math.nan, 3, "nan"),
    ],
)
def test_number_in_prose_has_no_padding(value, digits, expected):
    assert format_in_prose(value, digits) == expected


@pytest.mark.parametrize("mantissa", ["1.234567", "-1.234567", "9.999999", "-9.999999"])
def test_seven_characters_hold_every_float(mantissa):
    numbers = [float(f"{mantissa}e{exponent}") for exponent in range(-307, 308)]
    assert max(len(format_number(number)) for number in numbers) <= 7


@pytest.mark.parametrize(
    ("log10_value", "expected"),
    [
        (None, ""),
        (0.0, "1.00"),
        (2.0, "100"),
        (3.0, "1,000"),
        (-3.0, "0.00100"),
        (300.0, "1e300"),
        (300.5, "3.2e300"),
        (400.0, "1e400"),
        (400.25, "1.8e400"),
        (400.999, "1e401"),
        (-400.5, "3e-401"),
        (1e6, "1e1000000"),
        (math.inf, "inf"),
        (-math.inf, "0"),
        (math.nan, "nan"),
    ],
)
def test_power_of_ten_is_shown_beyond_float64(log10_value, expected):
    assert format_power_of_ten(log10_value) == expected


def test_power_of_ten_beyond_float64_keeps_to_its_width():
    assert (format_power_of_ten(400.25, 7), format_power_of_ten(400.25, 6)) == ("1.8e400", "2e400")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.23k"),
        (999_499, "999k"),
        (999_600, "1000k"),
        (1_000_000, "1M"),
        (2_500_000_000, "2.5G"),
    ],
)
def test_count_has_a_unit(count, expected):
    assert format_count(count) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, ""), (0.0, "0%"), (0.254, "25%"), (1.0, "100%"), (math.nan, "nan")],
)
def test_share_is_a_percentage(share, expected):
    assert format_share(share) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(None, ""), ((), ""), ((8,), "scalar"), ((8, 3), "3"), ((8, 55, 55, 96), "55×55×96")],
)
def test_shape_is_that_of_a_sample(shape, expected):
    assert format_shape(shape) == expected
