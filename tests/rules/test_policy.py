from dataclasses import replace

import pytest

from keras_initcheck.rules.catalogue import ALL_CODES
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy


@pytest.fixture
def glorot(make):
    """Twelve Glorot layers with ReLU, in two halves: the signal shrinks by 2^-11 = e^-7.6, and each
    layer is told of too.
    """
    names = [f"{part}/dense_{number}" for part in ("front", "back") for number in range(6)]
    return make.chain(*(make.weight_layer(name, 1 / 64) for name in names), make.head())


@pytest.fixture
def constant(make):
    """Two layers whose weights are all equal."""

    def layer(name):
        values = make.moments(0.25, mean=0.5, variance=0.0)
        return make.weight_layer(
            name, 1 / 32, kernels=[replace(make.kernel(name, 0.25), moments=values)]
        )

    return make.chain(layer("backbone/block/dense"), layer("top"), make.head())


def blamed(profile, exempt, code):
    return [
        finding.layer
        for finding in judge(profile, Policy(exempt=exempt)).findings
        if finding.code == code
    ]


@pytest.mark.parametrize(
    ("exempt", "left"),
    [
        ({}, ["backbone/block/dense", "top"]),
        ({"top": ["IC105"]}, ["backbone/block/dense"]),
        ({"backbone/*": ["constant-kernel"]}, ["top"]),
        ({"*": "ic105"}, []),
        ({"to[pq]": ["*"], "back*dense": ["*"]}, []),
        ({"*": ["IC104"]}, ["backbone/block/dense", "top"]),
        ({"backbone": ["*"], "TOP": ["*"]}, ["backbone/block/dense", "top"]),
    ],
    ids=["none", "path", "folder and slug", "bare string", "all rules", "other rule", "no match"],
)
def test_layer_that_matches_is_left_alone(constant, exempt, left):
    assert blamed(constant, exempt, "IC105") == left


@pytest.mark.parametrize(
    ("exempt", "count"),
    [
        ({"front/*": ["IC102"]}, 1),
        ({"back/*": ["IC102"]}, 1),
        ({"front/*": ["IC102"], "back/*": ["IC102"]}, 0),
    ],
    ids=["first half", "second half", "both"],
)
def test_gain_is_left_out_only_where_every_culprit_is_exempt(glorot, exempt, count):
    assert len(blamed(glorot, exempt, "IC102")) == count


def test_exempted_findings_are_counted(constant):
    assert judge(constant).num_exempted == 0
    assert judge(constant, Policy(exempt={"top": ["IC105"]})).num_exempted == 1


def test_rules_that_do_not_apply_exempt_nothing(constant):
    report = judge(constant, Policy(ignore=["IC105"], exempt={"*": ["IC105"]}))
    assert report.num_exempted == 0


def test_finding_about_the_network_is_never_exempt(healthy):
    profile = healthy.with_changes(loss=float("nan"))
    assert [finding.code for finding in judge(profile, Policy(exempt={"*": ["*"]})).findings] == [
        "IC402"
    ]


def test_consequence_of_an_exempted_cause_is_an_error(make, zero):
    kernels = [replace(make.kernel("zeros", 0.0), moments=zero)]
    layer = make.weight_layer(
        "zeros", 0.0, kernels=kernels, activations=make.places(zero, zero, 1.0)
    )
    report = judge(make.chain(layer, make.head()), Policy(exempt={"zeros": ["IC106"]}))
    assert [(finding.code, finding.severity) for finding in report.findings] == [("IC202", "error")]


def test_thresholds_reach_the_rules(glorot):
    codes = {
        finding.code
        for finding in judge(glorot, Policy(thresholds={"sgd_gain_warning": 8.0})).findings
    }
    assert codes == {"IC104"}


def test_everything_applies_unless_told():
    policy = Policy()
    assert policy.codes == ALL_CODES
    assert policy.thresholds.sgd_gain_warning == 6.0
    assert policy.exempt == ()


@pytest.mark.parametrize(
    "names", [["IC999"], "IC10*", ["IC105", 7]], ids=["code", "pattern of codes", "number"]
)
def test_exemption_from_an_unknown_rule_is_refused(names):
    with pytest.raises(ValueError, match=r"`exempt` must name rules by code or slug\. Received: "):
        Policy(exempt={"top": names})


def test_exemptions_that_are_no_mapping_are_refused():
    with pytest.raises(
        TypeError, match=r"`exempt` must map patterns of layer paths to codes\. Received: \['top'\]"
    ):
        Policy(exempt=["top"])


def test_policy_without_a_rule_keeps_everything_else():
    policy = Policy(ignore=["IC104"], thresholds={"sgd_gain_warning": 8.0})
    less = policy.without("nothing-to-train")
    assert policy.codes - less.codes == {"IC308"}
    assert less.thresholds == policy.thresholds
