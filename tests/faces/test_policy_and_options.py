"""A policy and a repair's options as objects, in place of the short keywords."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic


@pytest.fixture
def exploding():
    """Three layers that multiply the mean square by 32 each."""
    draw = keras.initializers.RandomNormal
    hidden = [
        keras.layers.Dense(64, "relu", kernel_initializer=draw(0.0, 1.0, n), name=f"dense_{n}")
        for n in range(3)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(3, name="head")])


def codes(report):
    return {finding.code for finding in report.findings if finding.severity != "info"}


def test_policy_says_what_the_keywords_say(exploding):
    choices = {"select": ["IC102", "IC103"], "exempt": {"dense_*": ["forward-gain"]}}
    report = ic.check(exploding, policy=ic.Policy(**choices))
    assert report.findings == ic.check(exploding, **choices).findings
    assert codes(report) == {"IC103"}


def test_assertion_takes_a_policy(exploding):
    ic.assert_healthy(exploding, policy=ic.Policy(ignore=["IC102", "IC103", "IC203", "IC303"]))


def test_policy_decides_what_is_repaired(exploding):
    done = ic.repair(exploding, policy=ic.Policy(ignore=["IC102", "IC103"]))
    assert not done.applied
    assert ic.repair(exploding).applied


def test_options_say_what_the_keywords_say(exploding):
    before = exploding.get_weights()
    options = {"method": "he", "layers": "dense_*", "mode": "balanced"}
    steps = ic.repair(exploding, options=ic.RepairOptions(**options)).steps
    weights = exploding.get_weights()
    exploding.set_weights(before)
    assert ic.repair(exploding, **options).steps == steps
    assert all(map(np.array_equal, weights, exploding.get_weights()))


def test_callback_takes_both_objects(exploding):
    exploding.compile("sgd", "mse")
    policy = ic.Policy(ignore=["IC303", "label-scale"])
    watcher = ic.InitCheck(
        None, on_drift="repair", policy=policy, repair=ic.RepairOptions(layers="dense_[01]")
    )
    with pytest.warns(ic.InitCheckWarning):
        exploding.fit(np.ones((8, 64)), np.ones((8, 3)), callbacks=[watcher], verbose=0)
    assert {step.layer for step in watcher.repairs[0].steps} == {"dense_0", "dense_1"}


MIXED = {
    "check": lambda: ic.check(None, policy=ic.Policy(), ignore=["IC102"]),
    "repair": lambda: ic.repair(None, policy=ic.Policy(), thresholds={"dead_share": 0.9}),
    "InitCheck": lambda: ic.InitCheck(policy=ic.Policy(), exempt={"head": ["*"]}),
}


@pytest.mark.parametrize("call", MIXED.values(), ids=MIXED)
def test_policy_and_its_keywords_together_are_refused(call):
    with pytest.raises(ValueError, match=r"`policy` must come without .* Received: both\."):
        call()


def test_options_and_their_keywords_together_are_refused():
    with pytest.raises(ValueError, match=r"`options` must come without `method`.* Received: both"):
        ic.repair(None, options=ic.RepairOptions(), method="he")
    with pytest.raises(ValueError, match=r"`repair` must come without `repair_options`\."):
        ic.InitCheck(on_drift="repair", repair=ic.RepairOptions(), repair_options={"method": "he"})


@pytest.mark.parametrize("value", [{"ignore": ["IC102"]}, ["IC102"]], ids=["dict", "list"])
def test_something_else_is_no_policy(value):
    with pytest.raises(TypeError, match=r"`policy` must be a keras_initcheck\.Policy\. Received"):
        ic.check(None, policy=value)


def test_something_else_is_no_repair_options():
    with pytest.raises(TypeError, match=r"`options` must be a keras_initcheck\.RepairOptions"):
        ic.repair(None, options={"method": "he"})


def test_options_need_a_callback_that_repairs():
    with pytest.raises(ValueError, match=r"need on_drift=\"repair\". Received: on_drift='warn'"):
        ic.InitCheck(repair=ic.RepairOptions())


def test_policies_that_say_the_same_are_equal():
    assert ic.Policy(ignore=["IC102"]) == ic.Policy(ignore="forward-gain") != ic.Policy()
    assert len({ic.Policy(), ic.Policy(select=())}) == 1
