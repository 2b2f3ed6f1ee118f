from dataclasses import replace

import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.rules import budgets
from keras_initcheck.rules.thresholds import DEFAULTS

ADAPTIVE = (
    "Adam",
    "AdamW",
    "Nadam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adafactor",
    "Lamb",
    "Lion",
    "Muon",
    "Ftrl",
    "ScheduleFreeAdamW",
)


@pytest.mark.parametrize("optimizer", ["SGD", None, "MultiOptimizer", "my_module.Adam"])
@pytest.mark.parametrize("sign", [1, -1])
def test_sgd_is_warned_beyond_six_and_stopped_beyond_twelve(optimizer, sign):
    found = [budgets.severity(sign * size, optimizer) for size in (6.0, 6.01, 12.0, 12.01)]
    assert found == [None, "warning", "warning", "error"]


@pytest.mark.parametrize("optimizer", ADAPTIVE)
def test_adaptive_optimizers_bear_more(optimizer):
    found = [budgets.severity(-size, optimizer) for size in (12.0, 12.01, 20.0, 20.01)]
    assert found == [None, "warning", "warning", "error"]


def test_a_gain_that_is_not_known_is_not_judged():
    assert budgets.severity(float("nan"), "SGD") is None


@pytest.mark.parametrize(
    ("ln_gain", "optimizer", "words"),
    [
        (-9.0, "SGD", "SGD took 2 to 5 times"),
        (-13.0, None, "3 to 11 times"),
        (9.0, "SGD", "a hundredth of the learning rate"),
        (13.0, "SGD", "in no network"),
        (-13.0, "Adam", "up to 4 times the steps where it became 400 times weaker"),
        (-21.0, "Adam", "up to 6 times the steps where it became 22,000 times weaker"),
        (13.0, "Adam", "3 to 7 times the steps where it became 400 times stronger"),
        (21.0, "Adam", "22,000 times stronger"),
    ],
)
def test_cost_says_what_was_measured(ln_gain, optimizer, words):
    assert words in budgets.cost(ln_gain, optimizer)


def test_a_gain_within_the_budget_costs_nothing():
    assert budgets.cost(-5.9, "SGD") == ""


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [(None, "no optimizer is compiled"), ("SGD", "20 times"), ("Adam", "400 times")],
)
def test_expected_range_names_the_optimizer(optimizer, words):
    assert words in budgets.described(optimizer)


@pytest.mark.parametrize(
    ("kernel", "bias", "rest", "expected"),
    [
        ("Adam", "Adam", "SGD", "Adam"),
        ("Adam", "SGD", "Adam", "SGD"),
        ("Lion", "Adam", "SGD", "Adam"),
        (None, None, "SGD", "SGD"),
        (None, None, None, "MultiOptimizer"),
    ],
    ids=["only its own", "the one that bears least", "equal ones", "frozen", "none told"],
)
def test_chain_has_the_budget_of_those_that_train_it(make, kernel, bias, rest, expected):
    weights = [
        make.kernel("a", 0.1, optimizer=kernel),
        make.kernel("a", 0.1, optimizer=bias, role="bias"),
    ]
    other = make.weight_layer("b", kernels=[make.kernel("b", 0.1, optimizer=rest)])
    profile = make.chain(make.weight_layer("a", kernels=weights), other, optimizer="MultiOptimizer")
    assert budgets.optimizer_of(Evidence(profile), profile.sites[:1]) == expected


def test_budget_of_the_first_of_several_follows_the_thresholds(make):
    """A user may let SGD bear more."""
    kernels = [make.kernel("a", 0.1, optimizer=name) for name in ("Adam", "SGD")]
    profile = make.chain(make.weight_layer("a", kernels=kernels))
    thresholds = replace(DEFAULTS, sgd_gain_warning=15.0, sgd_gain_error=25.0)
    assert budgets.optimizer_of(Evidence(profile), profile.sites, thresholds) == "Adam"
