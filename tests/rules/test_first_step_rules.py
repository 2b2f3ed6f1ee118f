"""Rules on the first step: each with a step that it reports, a healthy one, and its bounds."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.records.data import Labels, OutputStats
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.rules.first_step import (
    BelowEpsilon,
    FirstStepDiverges,
    FirstStepNothing,
    guessing_loss,
    steps_to_first_per_cent,
)
from keras_initcheck.rules.judgement import judge
from tests.support.profiles import findings_of

HEALTHY = FirstStep(2.3, 2.2, -0.1, 0.01)


def output(loss, width=10, activation="softmax", from_logits=False):
    labels = Labels(0.0, 9.0, 4.5, 3.0, 2.5)
    return OutputStats(
        "out", 0, activation, width, loss, from_logits, 2.3, 0.0, 1.0, math.nan, labels
    )


CLASSIFIER = output("sparse_categorical_crossentropy")
LOGITS = output("sparse_categorical_crossentropy", activation=None, from_logits=True)
REGRESSOR = output("mean_squared_error", 1, None)


@pytest.fixture
def profile(make):
    """`profile(step, ...)`: two layers of which each kernel has a gradient."""

    def build(step=HEALTHY, updates=(0.01, 0.01), below=(0.0, 0.0), outputs=(LOGITS,), **facts):
        kernels = [[make.kernel(name, 2 / 64, gradient_norm=1.0)] for name in ("dense", "dense_1")]
        layers = [make.weight_layer(each[0].layer, kernels=each) for each in kernels]
        filled = replace(step, relative_updates=updates, shares_below_epsilon=below)
        changes = {"optimizer": "SGD", "backend": "jax", **facts}
        return make.chain(*layers, outputs=outputs, first_step=filled, **changes)

    return build


@pytest.mark.parametrize("rule", [FirstStepDiverges(), FirstStepNothing(), BelowEpsilon()])
def test_healthy_step_and_no_step_are_silent(rule, profile):
    assert not findings_of(rule, profile())
    assert not findings_of(rule, profile().with_changes(first_step=None))


@pytest.mark.parametrize(
    ("after", "words"), [(math.nan, "NaN"), (math.inf, "infinity"), (1.1e9, "1.1e9")]
)
def test_loss_that_is_lost_is_an_error(after, words, profile):
    step = replace(HEALTHY, loss_before=2.6, loss_after=after, learning_rate=50.0)
    (finding,) = findings_of(FirstStepDiverges(), profile(step))
    assert finding.severity == "error"
    assert finding.message == (
        f"The first step of SGD at a learning rate of 50 turns a loss of 2.6 into {words}."
    )


@pytest.mark.parametrize(
    "changes",
    [{"loss_before": 14.01, "loss_after": 14.9}, {"loss_before": 570.0, "loss_after": 554.0}],
    ids=["clipped before the step", "penalties of weights"],
)
def test_loss_that_was_there_before_is_not_the_steps_fault(changes, profile):
    step = replace(HEALTHY, **changes)
    assert not findings_of(
        FirstStepDiverges(), profile(step, outputs=(CLASSIFIER,), backend="torch")
    )


@pytest.mark.parametrize(("penalties", "count"), [(0.0, 1), (3.0, 0)])
def test_penalties_come_on_top_of_a_clipped_loss(penalties, count, profile):
    step = replace(HEALTHY, loss_before=5.3, loss_after=14.0)
    facts = {"outputs": (CLASSIFIER,), "backend": "torch", "regularization": penalties}
    assert len(findings_of(FirstStepDiverges(), profile(step, **facts))) == count


@pytest.mark.parametrize(("after", "count"), [(229.0, 0), (231.0, 1)])
def test_growth_has_a_bound(after, count, profile):
    """A hundred times the loss before, 2.3, and guessing's, 2.3026 = ln 10."""
    step = replace(HEALTHY, loss_after=after)
    assert len(findings_of(FirstStepDiverges(), profile(step))) == count


@pytest.mark.parametrize(("update", "after", "count"), [(1.1, 4, 1), (0.9, 4, 0), (1.1, 3, 0)])
def test_update_as_large_as_the_weights_is_a_warning_where_the_loss_rises(
    update, after, count, profile
):
    step = replace(HEALTHY, loss_after=float(after))
    found = findings_of(FirstStepDiverges(), profile(step, (update, update)))
    assert [finding.severity for finding in found] == ["warning"] * count


@pytest.mark.parametrize(
    ("outputs", "backend", "count"),
    [
        ((CLASSIFIER,), "torch", 1),
        ((CLASSIFIER,), "tensorflow", 0),
        ((LOGITS,), "torch", 0),
        ((CLASSIFIER, CLASSIFIER), "torch", 0),
        ((REGRESSOR,), "torch", 0),
    ],
)
def test_clipped_loss_is_lost_where_most_samples_are(outputs, backend, count, profile):
    """Nine of ten samples at -ln 1e-7 = 16.1 cost 14.5."""
    step = replace(HEALTHY, loss_after=14.0)
    found = findings_of(FirstStepDiverges(), profile(step, outputs=outputs, backend=backend))
    assert len(found) == count


def test_height_of_a_warm_up_is_information(profile):
    step = replace(HEALTHY, loss_after=math.nan, warms_up=True)
    (finding,) = findings_of(FirstStepDiverges(), profile(step))
    assert finding.severity == "info"


def test_loss_that_was_lost_before_is_not_the_steps_fault(profile):
    step = replace(HEALTHY, loss_before=math.nan, loss_after=math.nan)
    assert not findings_of(FirstStepDiverges(), profile(step))


def test_rate_that_nobody_tells_is_left_out(profile):
    step = replace(HEALTHY, loss_after=math.nan, learning_rate=math.nan)
    (finding,) = findings_of(FirstStepDiverges(), profile(step))
    assert finding.message.startswith("The first step of SGD turns a loss")


def test_steps_to_the_first_per_cent_are_known_by_hand():
    assert steps_to_first_per_cent(FirstStep(2.0, 2.0, -1e-6, 0.1)) == pytest.approx(20_000)
    assert steps_to_first_per_cent(FirstStep(2.0, 2.0, -1e-6, 0.1, 0.9)) == pytest.approx(2_000)
    assert steps_to_first_per_cent(FirstStep(2.0, 2.0, 1e-6, 0.1)) == math.inf


def test_loss_of_guessing_is_known_by_hand(profile):
    assert guessing_loss(profile(outputs=(CLASSIFIER,))) == pytest.approx(math.log(10))
    assert guessing_loss(profile(outputs=(REGRESSOR,))) == 9.0
    absolute = output("mean_absolute_error", 1, None)
    assert guessing_loss(profile(outputs=(absolute,))) == 2.5
    for unknown in ((), (CLASSIFIER, REGRESSOR), (output("huber", 1, None),)):
        assert math.isnan(guessing_loss(profile(outputs=unknown)))


TINY = FirstStep(2.3, 2.3, -2.3e-7, 1e-7)
"""The first per cent takes 100,000 steps."""


def test_rate_that_is_far_too_low_is_told_in_steps(profile):
    (finding,) = findings_of(FirstStepNothing(), profile(TINY, (1e-9, 1e-9)))
    assert finding.severity == "warning"
    assert finding.message == (
        "At the pace of its first step, SGD at a learning rate of 1e-7 needs about 100,000 steps"
        " to take the first per cent off the loss."
    )
    assert finding.fix == FirstStepNothing.fix


def test_step_that_changes_nothing_is_an_error(profile):
    step = replace(TINY, promised_change=0.0)
    (finding,) = findings_of(FirstStepNothing(), profile(step, (0.0, 0.0)))
    assert finding.severity == "error"
    assert finding.message == "A step of SGD at a learning rate of 1e-7 changes nothing at all."


@pytest.mark.parametrize(("promised", "count"), [(-2.4e-6, 0), (-2.2e-6, 1)])
def test_ten_thousand_steps_are_the_bound_without_a_plan(promised, count, profile):
    step = replace(TINY, promised_change=promised)
    assert len(findings_of(FirstStepNothing(), profile(step, (1e-9, 1e-9)))) == count


@pytest.mark.parametrize(("planned", "count"), [(99, 0), (500, 1), (200_000, 0)])
def test_plan_is_what_counts_in_fit(planned, count, profile):
    step = replace(TINY, planned_steps=planned)
    found = findings_of(FirstStepNothing(), profile(step, (1e-9, 1e-9)))
    assert len(found) == count
    if found:
        assert found[0].message.endswith("Your 500 steps move it by 0.005%.")


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 3},
        {"updates": (1e-5, 1e-5)},
        {"step_changes": {"loss_before": 1.0}},
        {"step_changes": {"loss_before": 0.0, "promised_change": 0.0}},
        {"step_changes": {"learning_rate": 0.0, "promised_change": 0.0}},
        {"step_changes": {"promised_change": math.nan}},
    ],
    ids=["later", "weights move", "learned", "no loss", "rate of a callback", "unknown"],
)
def test_small_step_for_a_good_reason_is_silent(changes, profile):
    step = replace(TINY, **changes.pop("step_changes", {}))
    updates = changes.pop("updates", (1e-9, 1e-9))
    found = profile(step, updates).with_changes(**changes)
    assert not findings_of(FirstStepNothing(), found)


def test_network_without_a_gradient_is_left_to_other_rules(profile):
    found = profile(TINY, (0.0, 0.0))
    weights = tuple(replace(weight, gradient_norm=0.0) for weight in found.weights)
    assert not findings_of(FirstStepNothing(), found.with_changes(weights=weights))


def test_kernels_below_epsilon_are_named(profile):
    found = profile(updates=(1e-6, 1e-6), below=(1.0, 0.95), optimizer="Adam")
    (finding,) = findings_of(BelowEpsilon(), found)
    assert finding.severity == "warning"
    assert finding.culprits == ("dense", "dense_1")
    assert "is smaller than the epsilon of Adam" in finding.message


@pytest.mark.parametrize(
    ("updates", "below", "expected"),
    [
        ((1e-6, 1e-2), (1.0, 0.0), ["info"]),
        ((1e-2, 1e-2), (1.0, 1.0), []),
        ((1e-6, 1e-6), (0.85, 0.85), []),
        ((1e-6, 1e-6), (math.nan, math.nan), []),
    ],
    ids=["half of the kernels", "they move", "not most of it", "no epsilon"],
)
def test_gradient_that_epsilon_leaves_alone(updates, below, expected, profile):
    found = findings_of(BelowEpsilon(), profile(updates=updates, below=below))
    assert [finding.severity for finding in found] == expected


@pytest.mark.parametrize(("factor", "codes"), [(1e-4, set()), (1e-7, {"IC603"})])
def test_loss_that_is_too_small_for_adam(factor, codes):
    """Trained on digits for 300 steps: the first reaches a fortieth of guessing, the second
    nothing.
    """

    def loss(labels, outputs):
        found = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        return factor * found

    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(3)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    model.compile("adam", loss)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((32, 64)).astype("float32")
    found = ic.check(model, x, generator.integers(0, 10, 32)).findings
    assert {each.code for each in found if each.severity != "info"} == codes


def test_labels_are_an_error_where_they_ruin_the_first_step():
    """The cause is named, and is as severe as its consequence."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu")])
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, noise = (np.random.default_rng(0).standard_normal((32, width)) for width in (64, 1))
    findings = ic.check(model, x, 150_000 + 1_000 * noise).findings
    severities = {finding.code: finding.severity for finding in findings}
    assert severities["IC407"] == "error"
    assert severities["IC601"] == "info"


def test_epsilon_is_the_cause_of_updates_that_change_nothing(profile):
    facts = {"below": (0.99, 0.99), "optimizer": "Adam"}
    findings = judge(profile(TINY, (1e-9, 1e-9), **facts)).findings
    severities = {finding.code: finding.severity for finding in findings}
    assert (severities["IC603"], severities["IC602"]) == ("warning", "info")


def test_epsilon_is_an_error_where_a_million_steps_change_nothing(profile):
    step = replace(TINY, promised_change=-2.3e-9)
    facts = {"below": (0.99, 0.99), "optimizer": "Adam"}
    findings = judge(profile(step, (1e-11, 1e-11), **facts)).findings
    severities = {finding.code: finding.severity for finding in findings}
    assert (severities["IC603"], severities["IC602"]) == ("error", "info")
