"""Batches with several labels for one input are recognized, on each backend and with any nest."""

import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.data.contradiction import is_contradictory

ONE = np.ones((6, 4), "float32")
MANY = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
LAST = np.concatenate([ONE[:5], MANY[:1]])
LABELS = np.arange(6)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (ONE, LABELS, True),
        (ONE.astype("int32"), LABELS, True),
        ({"a": ONE, "b": 2.0 * ONE}, LABELS, True),
        (ONE, {"class": LABELS, "size": ONE}, True),
        (ONE, np.zeros(6), False),
        (ONE, None, False),
        (MANY, LABELS, False),
        (LAST, LABELS, False),
        ({"a": ONE, "b": MANY}, LABELS, False),
        (np.full_like(ONE, np.nan), LABELS, False),
        (ONE[:1], LABELS[:1], False),
    ],
    ids=[
        "one input",
        "ids",
        "two inputs",
        "two outputs",
        "one label",
        "no labels",
        "own inputs",
        "the last differs",
        "a constant beside data",
        "NaN",
        "a batch of one",
    ],
)
def test_labels_that_differ_for_one_input(x, y, expected):
    assert is_contradictory(take_batch(x, y)) == expected
