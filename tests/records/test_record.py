"""Equality of records, which has to be the same on every Python."""

import math
from dataclasses import dataclass

from keras_initcheck.records.record import Record


@dataclass(frozen=True, eq=False)
class Pair(Record):
    first: object
    second: object = None


@dataclass(frozen=True, eq=False)
class Other(Record):
    first: object
    second: object = None


def test_nan_equals_nan_at_any_depth():
    one, two = (Pair(float("nan"), (1, (float("nan"), Pair(-math.nan)))) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


def test_records_of_other_values_differ():
    assert Pair(1.0) != Pair(2.0)
    assert Pair(math.nan) != Pair(0.0)
    assert Pair(math.nan) != Pair("nan")
    assert Pair((1, 2)) != Pair((1,))


def test_records_of_other_classes_differ():
    assert Pair(1) != Other(1)
    assert Pair(1) != (1, None)
