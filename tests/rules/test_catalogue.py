import re
from dataclasses import replace
from pathlib import Path

import pytest

from keras_initcheck.rules import catalogue
from keras_initcheck.rules.catalogue import RULES, explain
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy

README = Path(__file__).parents[2] / "README.md"
FIELDS = ("code", "slug", "title", "what", "why", "example", "limits", "fix")


@pytest.fixture
def ill(make, healthy, broken):
    """A network with NaN in its input, and one Glorot layer."""
    sites = tuple(
        replace(
            site,
            activations=make.places(broken, broken, broken),
            random_gradients=make.places(h=broken),
        )
        for site in healthy.sites
    )
    glorot = replace(sites[2], predicted_forward_ratio=0.5, predicted_backward_ratio=0.5)
    sites = (*sites[:2], glorot, *sites[3:])
    return healthy.with_changes(sites=sites, inputs=(("x", broken),), loss=float("nan"))


def found(profile, **choices):
    return judge(profile, Policy(**choices)).findings


def test_codes_and_slugs_are_unique():
    assert len({rule.code for rule in RULES}) == len({rule.slug for rule in RULES}) == len(RULES)


def test_rules_are_in_the_order_of_their_codes():
    assert [rule.code for rule in RULES] == sorted(rule.code for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_rule_is_documented(rule):
    assert re.fullmatch(r"IC[1-6]\d\d", rule.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.slug)
    assert all(getattr(rule, field).strip() for field in FIELDS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_page_has_every_section_and_fits_a_terminal(rule):
    page = explain(rule.code)
    assert page == explain(rule.slug) == explain(rule.code.lower())
    assert page.startswith(f"{rule.code} {rule.slug}: {rule.title}\n")
    assert all(
        f"\n{title}\n  " in page
        for title in ("What it means", "Why it matters", "Example", "Known limits", "Fix")
    )
    assert max(map(len, page.splitlines())) <= 100


def test_readme_lists_every_rule():
    listing = README.read_text().partition("## What it looks for")[2].partition("\n## ")[0]
    slugs = re.findall(r"[a-z]+(?:-[a-z]+)+", listing.partition("`initcheck")[0])
    assert slugs == [rule.slug for rule in RULES]


def test_unknown_page_is_refused():
    with pytest.raises(
        ValueError,
        match=(
            r"must name rules by code or slug\. Received: 'IC999'\. Choose from: IC101"
            r" \(nonfinite-weights\)"
        ),
    ):
        explain("IC999")


@pytest.mark.parametrize("argument", ["select", "ignore"])
def test_unknown_rule_is_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must name rules"):
        Policy(**{argument: ["no-such-rule"]})


def test_healthy_network_has_no_findings(healthy):
    assert found(healthy) == ()


def test_worst_come_first_then_those_that_come_first_in_the_network(ill):
    assert [(finding.severity, finding.code) for finding in found(ill)] == [
        ("error", "IC401"),
        ("info", "IC402"),
        ("info", "IC201"),
        ("info", "IC104"),
        ("info", "IC301"),
    ]


def test_followers_name_their_cause(ill):
    told = {finding.code: finding for finding in found(ill)}
    assert all(
        told[code].message.endswith("This follows from IC401.")
        for code in ("IC201", "IC301", "IC402")
    )


@pytest.mark.parametrize(
    "names", [["IC201"], ["nonfinite-activations"], "IC201"], ids=["code", "slug", "bare string"]
)
def test_selected_rule_judges_alone(ill, names):
    assert [(finding.severity, finding.code) for finding in found(ill, select=names)] == [
        ("error", "IC201")
    ]


def test_ignored_cause_leaves_its_consequences_as_errors(ill):
    severities = {
        finding.code: finding.severity for finding in found(ill, ignore=["nonfinite-input"])
    }
    assert severities == {"IC201": "error", "IC402": "info", "IC301": "info", "IC104": "info"}


def test_ignore_wins_over_select(ill):
    assert found(ill, select=["IC401"], ignore=["IC401"]) == ()


def test_dead_layer_follows_from_its_own_zero_kernel_only(make, zero):
    def dead(name, values):
        kernels = [replace(make.kernel(name, 0.1), moments=values)]
        return make.weight_layer(name, kernels=kernels, activations=make.places(zero, zero, 1.0))

    profile = make.chain(dead("zeros", zero), dead("relu", make.moments(2 / 64)), make.head())
    severities = {(finding.code, finding.layer): finding.severity for finding in found(profile)}
    assert severities == {
        ("IC106", "zeros"): "error",
        ("IC202", "zeros"): "info",
        ("IC202", "relu"): "error",
    }


def test_loss_stands_for_itself_where_the_signal_is_finite(make, healthy, broken):
    profile = healthy.with_changes(inputs=(("x", broken),), loss=float("nan"))
    assert [(finding.code, finding.severity) for finding in found(profile)] == [
        ("IC401", "error"),
        ("IC402", "error"),
    ]


@pytest.mark.parametrize("kind", ["activation", "recurrent", "embedding", "other"])
def test_model_without_weight_layers_is_silent(make, kind):
    assert found(make.chain(make.site("only", kind, random_gradients=None), batch_size=1)) == ()


def test_every_rule_has_a_place_in_the_catalogue():
    from keras_initcheck.rules.rule import Rule

    def concrete(rule):
        return [rule, *(each for child in rule.__subclasses__() for each in concrete(child))]

    assert {type(rule) for rule in catalogue.RULES} == {
        rule for rule in concrete(Rule) if hasattr(rule, "code")
    }


def test_rules_name_their_causes_by_slugs_of_other_rules():
    slugs = {rule.slug for rule in RULES}
    for rule in RULES:
        assert slugs.issuperset(rule.explained_by)
        assert rule.slug not in rule.explained_by
        assert len(set(rule.explained_by)) == len(rule.explained_by)


def test_no_rule_is_the_cause_of_its_own_cause():
    causes = {rule.slug: set(rule.explained_by) for rule in RULES}
    for _ in RULES:  # each round follows one more step from effect to cause
        causes = {
            slug: found.union(*(causes[each] for each in found)) for slug, found in causes.items()
        }
    assert all(slug not in found for slug, found in causes.items())


def test_rules_of_broken_layers_are_those_that_a_training_repairs():
    assert {rule.slug for rule in RULES if rule.breaks_layers} == {
        "nonfinite-weights",
        "nonfinite-activations",
        "dead-layer",
        "saturated-units",
        "dead-units",
        "nonfinite-gradients",
    }
