"""Findings that follow from others become information, and name the likeliest cause."""

from dataclasses import replace

import pytest

from keras_initcheck.rules.catalogue import RULES_BY_SLUG
from keras_initcheck.rules.root_causes import demote_consequences


def found(slug, severity="error", layer=None):
    return RULES_BY_SLUG[slug].finding(severity, "It is so.", layer=layer)


def demoted(*findings):
    """The severity of each finding, and the code that its message names."""
    return [
        (finding.severity, finding.message.partition("follows from ")[2].rstrip("."))
        for finding in demote_consequences(findings, RULES_BY_SLUG, {})
    ]


def test_consequence_becomes_information_that_names_its_cause():
    cause, consequence = demote_consequences(
        [found("nonfinite-input"), found("nonfinite-activations")], RULES_BY_SLUG, {}
    )
    assert cause == found("nonfinite-input")
    assert consequence.severity == "info"
    assert consequence.message == "It is so. This follows from IC401."
    assert consequence.fix == "As for IC401."


@pytest.mark.parametrize(
    ("cause", "consequence", "expected"),
    [
        ("error", "error", "info"),
        ("error", "warning", "info"),
        ("warning", "warning", "info"),
        ("warning", "error", "error"),
        ("info", "warning", "warning"),
        ("info", "info", "info"),
    ],
)
def test_cause_is_as_severe_as_its_consequence_or_more(cause, consequence, expected):
    findings = [found("nonfinite-weights", cause), found("nonfinite-activations", consequence)]
    assert demoted(*findings)[1][0] == expected


def test_information_is_left_as_it_is():
    information = found("nonfinite-activations", "info")
    findings = [found("nonfinite-input"), information]
    assert demote_consequences(findings, RULES_BY_SLUG, {})[1] == information


def test_first_of_several_causes_is_named():
    findings = [found(slug) for slug in ("nonfinite-weights", "nonfinite-input", "no-gradient")]
    assert demoted(*findings)[2] == ("info", "IC401")


def test_worst_of_several_findings_of_a_cause_counts():
    findings = [found("zero-kernel", "info"), found("zero-kernel"), found("no-gradient")]
    assert demoted(*findings)[2] == ("info", "IC106")


@pytest.mark.parametrize(("layer", "expected"), [("a", "info"), ("b", "error")])
def test_zero_kernel_silences_its_own_layer_alone(layer, expected):
    findings = [found("zero-kernel", layer="a"), found("dead-layer", layer=layer)]
    assert demoted(*findings)[1][0] == expected


@pytest.mark.parametrize("cause", ["nonfinite-input", "nonfinite-weights"])
@pytest.mark.parametrize(("signal", "expected"), [("error", "info"), ("info", "error")])
def test_input_and_weights_explain_a_loss_by_way_of_the_signal_alone(cause, signal, expected):
    findings = [found(cause), found("nonfinite-activations", signal), found("nonfinite-loss")]
    assert demoted(*findings)[2][0] == expected


def test_labels_explain_a_loss_themselves():
    assert demoted(found("labels-out-of-range"), found("nonfinite-loss"))[1] == ("info", "IC405")


def test_finding_without_a_cause_stays():
    assert demoted(found("forward-gain"), found("backward-gain")) == [("error", "")] * 2


def severities(*findings):
    return [finding.severity for finding in demote_consequences(findings, RULES_BY_SLUG, {})]


def test_cause_is_raised_to_the_severity_of_its_consequence():
    cause, consequence = demote_consequences(
        [found("loss-at-init", "warning"), found("no-weight-gradient")], RULES_BY_SLUG, {}
    )
    assert cause.severity == "error"
    assert cause.message == "It is so. That is an error because of IC304: It is so."
    assert consequence.severity == "info"
    assert consequence.message == "It is so. This follows from IC404."


def test_cause_of_a_raised_cause_is_raised_in_turn():
    slugs = ("forward-gain", "loss-at-init", "no-weight-gradient")
    findings = [
        found(slug, severity)
        for slug, severity in zip(slugs, ("warning",) * 2 + ("error",), strict=True)
    ]
    first, second, third = demote_consequences(findings, RULES_BY_SLUG, {})
    assert [each.severity for each in (first, second, third)] == ["error", "info", "info"]
    assert first.message.endswith("because of IC304: It is so.")
    assert second.message.endswith("This follows from IC102.")
    assert third.message.endswith("This follows from IC404.")


def test_every_warning_of_the_cause_is_raised_and_no_information():
    warned = [found("forward-gain", "warning", layer=layer) for layer in "ab"]
    harmless = found("forward-gain", "info", layer="c")
    findings = [*warned, harmless, found("no-weight-gradient")]
    assert severities(*findings) == ["error", "error", "info", "info"]


def test_cause_that_is_an_error_already_leaves_the_warnings_alone():
    findings = [found("dead-layer"), found("forward-gain", "warning"), found("no-weight-gradient")]
    assert severities(*findings) == ["error", "warning", "info"]


def test_warning_raises_nothing():
    findings = [found("forward-gain", "warning"), found("no-weight-gradient", "warning")]
    assert severities(*findings) == ["warning", "warning"]


def test_ignored_cause_leaves_its_consequence_as_it_is():
    assert severities(found("no-weight-gradient")) == ["error"]


def test_ignored_consequence_raises_nothing():
    findings = [found("forward-gain", "warning"), found("loss-at-init", "warning")]
    assert severities(*findings) == ["warning", "info"]


def test_gain_follows_from_an_idle_normalization_between_its_ends():
    gain = RULES_BY_SLUG["forward-gain"].finding("error", "It is so.", span=("first", "last"))
    idle = RULES_BY_SLUG["frozen-normalization"].finding("error", "It is so.")
    idle = replace(idle, site="norm")

    def severity(norm):
        places = {"first": 0, "last": 4, "norm": norm}
        return demote_consequences([gain, idle], RULES_BY_SLUG, places)[0].severity

    assert severity(norm=3) == "info"
    assert severity(norm=5) == "error"
