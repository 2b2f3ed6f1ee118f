import pytest

from keras_initcheck.rules import budgets

ADAPTIVE = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Adafactor", "Lamb", "Lion", "Muon", "Ftrl")


@pytest.mark.parametrize("optimizer", ["SGD", None, "LossScaleOptimizer", "MyOptimizer"])
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
        (-13.0, "Adam", "up to 4 times the steps at e^-12"),
        (-21.0, "Adam", "up to 6 times the steps at e^-20"),
        (13.0, "Adam", "3 to 7 times the steps at e^12"),
        (21.0, "Adam", "at e^20"),
    ],
)
def test_cost_says_what_was_measured(ln_gain, optimizer, words):
    assert words in budgets.cost(ln_gain, optimizer)


def test_a_gain_within_the_budget_costs_nothing():
    assert budgets.cost(-5.9, "SGD") == ""


@pytest.mark.parametrize(("optimizer", "words"), [(None, "no optimizer is compiled"), ("SGD", "e^-6 to e^6"), ("Adam", "e^-12 to e^12")])
def test_expected_range_names_the_optimizer(optimizer, words):
    assert words in budgets.described(optimizer)
