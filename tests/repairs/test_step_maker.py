"""Every cure that a rule names has steps, on profiles whose numbers are known by hand."""

from dataclasses import replace

import pytest

from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.repairs.planner import plan, settling
from keras_initcheck.repairs.step_maker import StepMaker, cure_of
from keras_initcheck.rules.catalogue import RULES, RULES_BY_SLUG
from keras_initcheck.rules.cure import Cure
from tests.support.profiles import chain, head, kernel, make, weight_layer, zero

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


def test_finding_that_no_step_cures_is_unresolved_with_its_reason():
    profile = chain(weight_layer("a"), head())
    reasons = dict(
        (finding.slug, reason)
        for finding, reason in plan(
            profile, [found("nonfinite-loss"), found("zero-kernel", "gone")], ModelRepairOptions()
        ).unresolved
    )
    assert reasons["nonfinite-loss"] == "no initialization cures it."
    assert "protected" in reasons["zero-kernel"]


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
