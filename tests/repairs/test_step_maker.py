"""Every cure that a rule names has steps, on profiles whose numbers are known by hand."""

from dataclasses import replace

import pytest

from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.repairs.planner import plan, settling
from keras_initcheck.repairs.step_maker import DEEP, StepMaker, cure_of
from keras_initcheck.rules.catalogue import RULES, RULES_BY_SLUG
from keras_initcheck.rules.cure import Cure
from tests.support.profiles import chain, head, kernel, make, site, weight_layer, zero

__all__ = ["make", "zero"]


def found(slug, *culprits, severity="error"):
    layer = culprits[0] if culprits else None
    return RULES_BY_SLUG[slug].finding(severity, "It is so.", layer=layer, culprits=culprits)


def actions(profile, finding, **options):
    steps = plan(profile, [finding], ModelRepairOptions(**options)).steps
    return [(step.layer, step.action) for step in steps]


@pytest.mark.parametrize("cure", Cure)
def test_every_cure_is_named_by_a_rule_and_has_a_maker(cure):
    assert cure in {rule.cure for rule in RULES}
    assert cure in StepMaker._MAKERS


def test_blamed_layer_is_rescaled_and_its_neighbors_only_if_they_are_off():
    layers = [weight_layer("a"), weight_layer("b", 1 / 64), weight_layer("c", 1.4 * 2 / 64)]
    profile = chain(*layers, head())
    assert actions(profile, found("forward-gain", "b")) == [("b", "rescale")]
    assert actions(profile, found("forward-gain", "c")) == [("b", "rescale"), ("c", "rescale")]


def test_kernel_with_a_mean_is_redrawn_instead(make):
    kernels = [make.kernel("a", 1.0, moments=make.moments(1.0, mean=0.11))]
    profile = chain(weight_layer("a", 1.0, kernels=kernels), head())
    assert actions(profile, found("forward-gain", "a")) == [("a", "redraw")]


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("constant-kernel", [("b", "redraw"), ("c", "redraw")]),
        ("zero-kernel", [("b", "redraw"), ("c", "redraw")]),
        ("duplicate-kernels", [("c", "redraw")]),
        ("nonfinite-loss", []),
    ],
)
def test_values_are_redrawn_and_the_first_of_equal_kernels_is_kept(slug, expected):
    profile = chain(weight_layer("a"), weight_layer("b"), weight_layer("c"), head())
    assert actions(profile, found(slug, "b", "c")) == expected


@pytest.mark.parametrize(("size", "expected"), [(0.19, []), (0.21, [("a", "reset")])])
def test_bias_is_reset_from_a_tenth_of_what_the_weights_make(size, expected):
    """64 He weights make a second moment of 2 of an input of 1."""
    bias = kernel("a", size, role="bias", name="a/bias")
    profile = chain(weight_layer("a", kernels=[kernel("a", 2 / 64), bias]), head())
    assert actions(profile, found("measured-forward-gain", "a")) == expected
    assert actions(profile, found("forward-gain", "a")) == []


def test_dead_layer_of_the_right_size_is_redrawn():
    profile = chain(weight_layer("a"), weight_layer("b"), head())
    assert actions(profile, found("dead-layer", "b")) == [("b", "redraw")]
    assert actions(profile, found("saturated-units", "b")) == []


def reason_of(profile, finding, **options):
    ((_, why),) = plan(profile, [finding], ModelRepairOptions(**options)).unresolved
    return why


def test_finding_that_no_weights_cure_is_left_with_its_advice():
    why = reason_of(chain(weight_layer("a"), head()), found("nonfinite-loss"))
    assert why.startswith("nothing in the weights cures this. Check the labels")


def without_fans(name, **changes):
    """A layer of the user's own, whose weight may be anything."""
    return site(name), [kernel(name, 1.0, fan_in=64.0, fan_out=64.0, role="other", **changes)]


@pytest.mark.parametrize(
    ("layer", "options", "expected"),
    [
        (without_fans("own"), {}, "the right size is not known"),
        (without_fans("own", is_trainable=False), {}, "frozen"),
        (weight_layer("own"), {}, "of the right size already"),
        (
            weight_layer("own", 1.0, kernels=[kernel("own", 1.0, is_trainable=False)]),
            {},
            "frozen",
        ),
        (
            (site("own", "embedding"), [kernel("own", 1.0, role="embedding")]),
            {},
            "protected, as an embedding or normalization that `layers` does not name",
        ),
        (
            weight_layer("own", 1.0),
            {"selects": lambda weight: weight.layer != "own"},
            "not among the layers that may change",
        ),
    ],
    ids=["own", "own and frozen", "right", "frozen", "embedding", "not named"],
)
def test_layer_that_stays_has_its_own_reason(layer, options, expected):
    profile = chain(layer, weight_layer("b", chain=1), head())
    finding = found("measured-forward-gain", "own")
    assert reason_of(profile, finding, **options) == f"`own`: {expected}."


def test_right_size_is_claimed_of_no_layer_that_is_not_known():
    profile = chain(weight_layer("a"), without_fans("own"), head())
    why = reason_of(profile, found("measured-forward-gain", "a", "own", "gone"))
    assert why == "`a`: of the right size already; `own`, `gone`: the right size is not known."


def test_layers_that_share_the_fault_are_mended_though_nothing_blames_them():
    large = head(predicted_forward_ratio=64.0)
    large = large[0], [kernel("head", 1.0, fan_out=10.0)]
    other = weight_layer("other", 1.0, chain=1)
    normal = weight_layer("normal", 3.9 * 2 / 64, chain=2)
    profile = chain(weight_layer("a", 1.0), other, normal, large)
    assert actions(profile, found("forward-gain", "a")) == [
        ("a", "rescale"),
        ("other", "rescale"),
        ("head", "rescale"),
    ]
    assert actions(profile, found("constant-kernel", "a")) == [("a", "redraw")]


def test_first_step_of_a_layer_that_shares_the_fault_is_told():
    layers = [weight_layer("a", 1.0), weight_layer("other", 1.0, chain=1), head()]
    first = FirstStep(3.0, 2.9, -0.1, learning_rate=0.001, relative_updates=(0.1, 0.00123, 0.1))
    profile = chain(*layers, first_step=first)
    _, step = plan(profile, [found("forward-gain", "a")], ModelRepairOptions()).steps
    assert step.why == "far too large as well; the first step moves it by 0.123% of its size"


@pytest.mark.parametrize("changes", [{"step": 1}, {"findings": []}])
def test_layers_share_no_fault_in_a_training_or_where_there_is_none(changes):
    profile = chain(weight_layer("a", 1.0), weight_layer("other", 1.0, chain=1), head())
    findings = changes.pop("findings", [found("forward-gain", "a")])
    steps = plan(profile.with_changes(**changes), findings, ModelRepairOptions()).steps
    assert [step.layer for step in steps] == ["a"] * len(findings)


def test_wide_layer_by_its_fan_out_shares_no_fault():
    """He's fan-out of 10 units and 4096 inputs."""
    wide = weight_layer("wide", 2 / 10, fan_in=4096.0, fan_out=10.0, chain=1)
    profile = chain(weight_layer("a", 1.0), wide, head())
    assert actions(profile, found("forward-gain", "a")) == [("a", "rescale")]


@pytest.mark.parametrize(("depth", "action"), [(DEEP - 1, "rescale"), (DEEP, "redraw")])
def test_kernels_of_a_deep_chain_are_drawn_anew(depth, action):
    layers = [weight_layer(f"dense_{number}", 1 / 64) for number in range(depth)]
    names = [f"dense_{number}" for number in range(depth)]
    profile = chain(*layers, head())
    steps = plan(profile, [found("forward-gain", *names)], ModelRepairOptions()).steps
    assert [(step.layer, step.action) for step in steps] == [(name, action) for name in names]
    assert all(step.is_orthogonal == (action == "redraw") for step in steps)


def test_kernels_of_a_recurrent_layer_are_redrawn_where_they_are_off():
    kernels = [
        kernel("rnn", 1 / 64, name="rnn/kernel"),
        kernel("rnn", 1.0, name="rnn/recurrent_kernel"),
    ]
    profile = chain((site("rnn", "recurrent", activation="tanh", chain=0), kernels), head())
    (step,) = plan(profile, [found("saturated-units", "rnn")], ModelRepairOptions()).steps
    assert (step.action, step.variables) == ("redraw", ("rnn/recurrent_kernel",))


def test_findings_about_sizes_are_settled():
    profile = chain(weight_layer("a"), weight_layer("b", chain=1), head())
    findings = [found("measured-forward-gain", "a"), found("zero-kernel", "b")]
    settled = settling(profile, findings, ModelRepairOptions())
    assert [(step.layer, step.action) for step in settled.steps] == [("a", "settle")]
    assert [finding.slug for finding in settled.targets] == ["measured-forward-gain"]


def test_redrawing_all_leaves_zeros_that_nothing_blames(make, zero):
    kernels = [make.kernel("zeros", 0.0, moments=zero)]
    profile = chain(weight_layer("a"), weight_layer("zeros", 0.0, kernels=kernels), head())
    assert ("zeros", "redraw") not in actions(profile, found("forward-gain", "a"), method="he")
    assert ("zeros", "redraw") in actions(profile, found("zero-kernel", "zeros"), method="he")


def test_finding_of_an_unknown_rule_has_no_cure():
    assert cure_of(replace(found("forward-gain"), slug="of-a-later-release")) is None
