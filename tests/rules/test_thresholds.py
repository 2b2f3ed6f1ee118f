import math
from dataclasses import fields

import pytest

from keras_initcheck.rules.gains import ForwardGain
from keras_initcheck.rules.kernel_rules import ConstantKernel
from keras_initcheck.rules.layer_ratio import LayerRatio
from keras_initcheck.rules.thresholds import DEFAULTS, MEANINGS, Thresholds, named
from tests.support.profiles import findings_of


def judged(rule, profile, **values):
    return list(findings_of(rule, profile, named(values)))


def gaining(make, ln_gain, **changes):
    """A network whose forward gain is `e^ln_gain`."""
    layers = make.weight_layer("first"), make.weight_layer("second", 2 / 64 * math.exp(ln_gain))
    return make.chain(*layers, make.head(), **changes)


@pytest.mark.parametrize(
    ("ln_gain", "expected"),
    [(7.9, []), (8.1, ["warning"]), (-8.1, ["warning"]), (9.1, ["error"])],
    ids=lambda value: str(value),
)
def test_budget_of_sgd_is_where_it_is_put(make, ln_gain, expected):
    found = judged(ForwardGain(), gaining(make, ln_gain), sgd_gain_warning=8.0, sgd_gain_error=9.0)
    assert [finding.severity for finding in found] == expected


@pytest.mark.parametrize(("ln_gain", "expected"), [(2.9, []), (3.1, ["warning"]), (4.1, ["error"])])
def test_budget_of_adaptive_optimizers_is_another(make, ln_gain, expected):
    profile = gaining(make, ln_gain, optimizer="Adam")
    found = judged(ForwardGain(), profile, adaptive_gain_warning=3.0, adaptive_gain_error=4.0)
    assert [finding.severity for finding in found] == expected
    assert not judged(ForwardGain(), profile, sgd_gain_warning=1.0)


def test_infinite_budget_is_never_exceeded(make):
    assert not judged(
        ForwardGain(), gaining(make, 300.0), sgd_gain_warning=math.inf, sgd_gain_error=math.inf
    )


def test_finding_states_the_budget_that_was_used(make):
    (finding,) = judged(ForwardGain(), gaining(make, 3.0), sgd_gain_warning=2.5)
    assert finding.expected.startswith("at most 3.5 times weaker or stronger")


def test_finding_within_the_measured_budget_claims_no_measured_cost(make):
    (finding,) = judged(ForwardGain(), gaining(make, 3.0), sgd_gain_warning=2.5)
    assert finding.why == ForwardGain.why


@pytest.mark.parametrize(("share", "culprits"), [(0.59, ("b",)), (0.61, ("b", "a"))])
def test_culprits_explain_their_share(make, share, culprits):
    layers = [
        make.weight_layer(name, 2 / 64 * math.exp(ln_ratio))
        for name, ln_ratio in (("first", 0.0), ("a", 4.0), ("b", 6.0))
    ]
    (finding,) = judged(ForwardGain(), make.chain(*layers, make.head()), culprit_share=share)
    assert finding.culprits == culprits


@pytest.mark.parametrize(("ratio", "count"), [(1.99, 0), (2.01, 1), (1 / 1.99, 0), (1 / 2.01, 1)])
def test_layer_may_be_off_by_its_factor(make, ratio, count):
    profile = make.chain(make.weight_layer("dense", 2 / 64 * ratio), make.head())
    found = judged(LayerRatio(), profile, layer_ratio_factor=2.0)
    assert len(found) == count
    assert all(finding.expected == "at most 1.41 times weaker or stronger" for finding in found)


@pytest.mark.parametrize(("ratio", "count"), [(2.0, 0), (2.1, 1)])
def test_layer_of_sixteen_weights_may_be_off_by_chance(make, ratio, count):
    profile = make.chain(make.weight_layer("dense", 2 / 4 * ratio, 4.0, 4.0), make.head())
    assert (
        len(judged(LayerRatio(), profile, layer_ratio_deviations=2.0)) == count
    )  # exp(2 sqrt(2/16)) = 2.03


@pytest.mark.parametrize(("variance", "count"), [(0.0024, 1), (0.0026, 0)])
def test_values_are_equal_up_to_their_share(make, variance, count):
    kernel = make.kernel("dense", 0.25, moments=make.moments(0.25, mean=0.5, variance=variance))
    profile = make.chain(make.weight_layer("dense", 0.25, kernels=[kernel]), make.head())
    assert len(judged(ConstantKernel(), profile, constant_share=0.01)) == count


def test_defaults_are_what_rules_use_without_any(make):
    profile = gaining(make, 7.0)
    assert list(findings_of(ForwardGain(), profile)) == list(
        findings_of(ForwardGain(), profile, DEFAULTS)
    )


def test_every_threshold_says_its_origin():
    assert list(MEANINGS) == [field.name for field in fields(Thresholds)]
    assert all(
        any(word in text for word in ("Measured: ", "Computed: ", "Empirical: ", "Chosen: "))
        for text in MEANINGS.values()
    )


@pytest.mark.parametrize(
    ("values", "received"),
    [
        ({"sgd_gain_warning": -0.1}, "a number from 0 to inf. Received: sgd_gain_warning=-0.1"),
        ({"layer_ratio_factor": 0.99}, "a number from 1 to inf"),
        ({"culprit_share": 1.01}, "a number from 0.01 to 1. Received: culprit_share=1.01"),
        ({"culprit_share": 0.0}, "a number from 0.01 to 1"),
        ({"constant_share": math.nan}, "a number from 0 to 1. Received: constant_share=nan"),
        ({"sgd_gain_error": "12"}, "Received: sgd_gain_error='12'"),
        ({"sgd_gain_error": True}, "Received: sgd_gain_error=True"),
    ],
)
def test_number_out_of_its_range_is_refused(values, received):
    with pytest.raises(ValueError, match=f"`thresholds` must give .*{received}"):
        named(values)


def test_ends_of_a_range_belong_to_it():
    values = {
        "sgd_gain_warning": 0,
        "layer_ratio_factor": 1.0,
        "culprit_share": 0.01,
        "constant_share": 1.0,
    }
    assert all(getattr(named(values), name) == value for name, value in values.items())


@pytest.mark.parametrize("family", ["sgd", "adaptive"])
def test_error_does_not_come_before_its_warning(family):
    with pytest.raises(
        ValueError,
        match=(
            f"must keep {family}_gain_warning at or below {family}_gain_error. Received: .*=25,"
            " .*=24"
        ),
    ):
        named({f"{family}_gain_warning": 25.0, f"{family}_gain_error": 24.0})
    assert named({f"{family}_gain_warning": 24.0, f"{family}_gain_error": 24.0})


def test_unknown_name_is_refused_with_all_that_are_known():
    with pytest.raises(
        ValueError,
        match=(
            r"must name known thresholds\. Received: 'nope'\. Choose from: sgd_gain_warning,"
            r" .*narrow_log_variance\."
        ),
    ):
        named({"nope": 1.0})


def test_anything_but_a_mapping_is_refused():
    with pytest.raises(
        TypeError, match=r"`thresholds` must map names to numbers\. Received: 8\.0\."
    ):
        named(8.0)
