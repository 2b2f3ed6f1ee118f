"""Penalties of the weights beside the loss of the data."""

import math

import pytest

from keras_initcheck.rules.regularization import Regularization
from keras_initcheck.rules.thresholds import DEFAULTS
from tests.support.profiles import findings_of

RATIO = DEFAULTS.penalty_ratio


def found(make, penalties, data=2.3, **changes):
    loss = None if data is None else data + penalties
    facts = {"loss": loss, "regularization": penalties, **changes}
    return findings_of(Regularization(), make.chain(make.head(), **facts))


@pytest.mark.parametrize(("ratio", "count"), [(RATIO - 0.1, 0), (RATIO + 0.1, 1)])
def test_penalties_of_many_times_the_loss_are_a_warning(make, ratio, count):
    findings = found(make, ratio * 2.3)
    assert [finding.severity for finding in findings] == ["warning"] * count


def test_both_parts_of_the_loss_are_told(make):
    (finding,) = found(make, 1131.7)
    assert "492 times the loss of the data: 1,130 beside 2.3" in finding.message


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 1},
        {"loss": math.nan},
        {"loss": None},
        {"regularization": None},
        {"loss": 1130.0},
    ],
    ids=["trained", "not finite", "no labels", "not taken", "no loss of the data"],
)
def test_parts_that_are_not_known_are_not_judged(make, changes):
    assert not found(make, 1131.7, **changes)
