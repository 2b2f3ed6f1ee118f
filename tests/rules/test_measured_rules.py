"""Measured gains against predicted ones. The numbers are chosen by hand: six He layers of 64 ReLU
units, B = 6 · 0.0842 = 0.505.
"""

import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.measured import MeasuredBackwardGain, MeasuredForwardGain, MeasuredLayers
from keras_initcheck.rules.thresholds import Thresholds
from tests.support.profiles import findings_of

VARIANCE = 0.0842  # of the log ratio at 64 ReLU units: v (1 + v), v = 5/64
BAND = 2.576 * math.sqrt(6 * VARIANCE) - 3 * VARIANCE + math.log(2)
"""How far the sum of six log ratios may be above zero: the band, less the median, plus ln 2."""


@pytest.fixture
def six(make):
    """`six(ln_ratio, direction, **changes)`: each layer's measured log ratio; the predicted one is
    0.
    """

    def made(ln_ratio, direction="forward", kernels=None, **changes):
        ratios = {
            "forward_ratio": 1.0,
            "backward_ratio": 1.0,
            f"{direction}_ratio": math.exp(ln_ratio),
            "log_ratio_variance": VARIANCE,
        }
        layers = [make.weight_layer(f"dense_{k}", **ratios, **changes) for k in range(6)]
        profile = make.chain(
            make.weight_layer("first", **{**ratios, f"{direction}_ratio": 1.0, "chain": 1}),
            *layers,
            make.head(),
        )
        return profile.with_changes(optimizer="SGD")

    return made


@pytest.mark.parametrize("sign", [1, -1])
def test_gain_within_its_band_is_not_mentioned(six, sign):
    edge = BAND if sign > 0 else BAND + 6 * VARIANCE  # the band lies around -B/2
    strict = Thresholds(sgd_gain_warning=1.0)
    assert not list(findings_of(MeasuredForwardGain(), six(sign * 0.99 * edge / 6), strict))
    assert list(findings_of(MeasuredForwardGain(), six(sign * 1.01 * edge / 6), strict))


def test_gain_beyond_its_band_but_within_the_budget_is_not_mentioned(six):
    assert not list(findings_of(MeasuredForwardGain(), six(5.9 / 6)))


def test_gain_that_the_weights_explain_is_left_to_their_rule(six):
    profile = six(2.1)
    assert list(findings_of(MeasuredForwardGain(), profile))
    weights = tuple(
        replace(w, moments=replace(w.moments, second_moment=6 * w.moments.second_moment))
        for w in profile.weights
    )
    sites = tuple(
        replace(site, predicted_forward_ratio=6.0) if site.name.startswith("dense") else site
        for site in profile.sites
    )
    assert not list(
        findings_of(MeasuredForwardGain(), profile.with_changes(weights=weights, sites=sites))
    )


@pytest.mark.parametrize(
    ("ln_gain", "severity"),
    [(6.1, "warning"), (-6.1, "warning"), (11.9, "warning"), (12.1, "error")],
)
def test_gain_beyond_the_budget_follows_it(six, ln_gain, severity):
    (finding,) = findings_of(MeasuredForwardGain(), six(ln_gain / 6))
    assert finding.severity == severity


def test_backward_gain_is_judged_alike(six):
    (finding,) = findings_of(MeasuredBackwardGain(), six(-2.2, "backward"))
    assert (finding.code, finding.severity) == ("IC303", "error")
    assert not list(findings_of(MeasuredForwardGain(), six(-2.2, "backward")))


def test_normalisation_behind_makes_it_harmless(make, six):
    profile = six(2.1)
    sites = list(profile.sites)
    normalized = make.site("norm", "normalization")
    head = replace(sites[-1], index=8, inputs=(7,))
    profile = profile.with_changes(
        sites=(*sites[:-1], replace(normalized, index=7, inputs=(6,)), head)
    )
    assert not list(findings_of(MeasuredForwardGain(), profile))


def test_large_biases_are_named_as_the_cause(make, six):
    profile = six(2.1)
    bias = make.kernel("dense_3", 1.0, role="bias", shape=(64,))
    (finding,) = findings_of(
        MeasuredForwardGain(), profile.with_changes(weights=(*profile.weights, bias))
    )
    assert "Biases contribute a good part of it in `dense_3`." in finding.message


def test_trained_weights_are_named_as_the_cause(six):
    (finding,) = findings_of(MeasuredForwardGain(), replace(six(2.1), step=100))
    assert "have been trained" in finding.message


@pytest.mark.parametrize(
    "ratio", [None, 0.0, math.nan, math.inf], ids=["unknown", "zero", "nan", "infinite"]
)
def test_layer_without_a_ratio_leaves_the_chain_unjudged(six, ratio):
    profile = six(3.0)
    sites = tuple(
        replace(site, forward_ratio=ratio) if site.name == "dense_2" else site
        for site in profile.sites
    )
    assert not list(findings_of(MeasuredForwardGain(), profile.with_changes(sites=sites)))


def test_single_layer_out_of_line_is_information(six):
    profile = six(0.0)
    sites = tuple(
        replace(site, forward_ratio=4.0) if site.name == "dense_2" else site
        for site in profile.sites
    )
    (finding,) = findings_of(MeasuredLayers(), profile.with_changes(sites=sites))
    assert (finding.severity, finding.site) == ("info", "dense_2")
    assert "1 of 7 layers" in finding.message


def test_layers_within_chance_are_not_mentioned(six):
    assert not list(findings_of(MeasuredLayers(), six(2.5 * math.sqrt(VARIANCE))))


def with_ratios(profile, **ratios):
    """The profile with those measured forward ratios, by the name of the site."""
    return profile.with_changes(
        sites=tuple(
            replace(site, forward_ratio=ratios.get(site.name, site.forward_ratio))
            for site in profile.sites
        )
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_layer_that_contributes_most_in_the_gains_direction_is_the_culprit(six, sign):
    away = {"dense_1": math.exp(-3.0 * sign), "dense_4": math.exp(4.0 * sign)}
    (finding,) = findings_of(MeasuredForwardGain(), with_ratios(six(sign * 2.1), **away))
    assert finding.site == "dense_4"
    assert finding.culprits == ("dense_4",)
    assert finding.measured == pytest.approx(math.exp(sign * (4 * 2.1 + 4.0 - 3.0)))


def test_what_the_weights_predict_is_multiplied_with_what_they_do_not(six):
    """Each layer is predicted to lose e^-0.9, and gains e^2.1 more than that."""
    profile = six(2.1 - 0.9, predicted_forward_ratio=math.exp(-0.9))
    (finding,) = findings_of(MeasuredForwardGain(), profile)
    assert finding.message.startswith(
        "The signal grows: 37 times stronger from `dense_0` to `dense_5`. The weights alone predict"
        " 15 times weaker."
    )
    assert "multiplied by e^7.2 over 6 layers, and by e^-5.4" in finding.details
    assert math.log(finding.measured) == pytest.approx(7.2)


@pytest.mark.parametrize(("num", "count"), [(1, 0), (2, 1)])
def test_chains_of_two_layers_are_judged(make, num, count):
    facts = {"forward_ratio": math.exp(7.0), "log_ratio_variance": VARIANCE}
    layers = [make.weight_layer(f"dense_{k}", **facts) for k in range(num)]
    profile = make.chain(make.weight_layer("first", chain=1), *layers, make.head())
    assert len(findings_of(MeasuredForwardGain(), profile)) == count


def test_first_layer_on_the_data_is_judged_forward_only_if_it_amplifies(make):
    """Its own measured ratio is e^7, and what it is predicted to do decides."""
    for variance, count in ((1.9 / 64, 0), (2.1 / 64, 1)):
        facts = {"forward_ratio": math.exp(7.0), "log_ratio_variance": VARIANCE}
        kept = {"forward_ratio": 1.0, "log_ratio_variance": VARIANCE}
        layers = [make.weight_layer("a", variance, **facts)]
        layers += [make.weight_layer(name, **kept) for name in "bc"]
        found = findings_of(MeasuredForwardGain(), make.chain(*layers, make.head()))
        assert len(found) == count


@pytest.mark.parametrize(("share", "is_named"), [(0.09, False), (0.11, True)])
def test_bias_is_a_cause_from_a_tenth_of_the_pre_activation(make, six, share, is_named):
    profile = six(2.1)
    bias = make.kernel("dense_3", share, role="bias", shape=(64,))
    (finding,) = findings_of(
        MeasuredForwardGain(), profile.with_changes(weights=(*profile.weights, bias))
    )
    assert ("Biases" in finding.message) is is_named


def test_weights_with_a_mean_are_named_as_the_cause(make, six):
    profile = six(2.1)
    weights = tuple(
        replace(weight, moments=make.moments(2 / 64, mean=0.1)) if "_3" in weight.name else weight
        for weight in profile.weights
    )
    (finding,) = findings_of(MeasuredForwardGain(), profile.with_changes(weights=weights))
    assert "The weights of `dense_3` have a mean" in finding.message


@pytest.mark.parametrize(
    ("mean", "words"), [(0.70, "The data is the likely reason"), (0.71, "not centered")]
)
def test_mean_of_the_input_is_a_cause_from_half_of_its_second_moment(make, mean, words):
    x = make.moments(1.0, mean=mean)
    facts = {"forward_ratio": math.exp(7.0), "log_ratio_variance": VARIANCE}
    first = make.weight_layer("a", 2.1 / 64, **facts, activations=make.places(x=x))
    profile = make.chain(first, make.weight_layer("b", **facts), make.head())
    (finding,) = findings_of(MeasuredForwardGain(), profile)
    assert words in finding.message


QUIET = math.log(1.25)
LARGEST_OF_SEVEN = math.sqrt(2.0 * math.log(2.0 * 7 / 0.01))


@pytest.mark.parametrize(
    ("variance", "ln_ratio"),
    [
        (0.0, QUIET),
        (0.0, -1.25 * QUIET),
        (VARIANCE, LARGEST_OF_SEVEN * math.sqrt(VARIANCE) - VARIANCE / 2),
        (VARIANCE, -1.25 * LARGEST_OF_SEVEN * math.sqrt(VARIANCE) - VARIANCE / 2),
    ],
    ids=["quiet above", "quiet below", "chance above", "chance below"],
)
def test_boundary_of_a_single_layer_is_chance_around_its_median(six, variance, ln_ratio):
    profile = six(0.0)
    sites = tuple(replace(site, log_ratio_variance=variance) for site in profile.sites)
    profile = profile.with_changes(sites=sites)
    for factor, count in ((0.99, 0), (1.01, 1)):
        found = findings_of(
            MeasuredLayers(), with_ratios(profile, dense_2=math.exp(factor * ln_ratio))
        )
        assert len(found) == count


def test_largest_difference_of_several_layers_is_named(six):
    away = {"dense_1": 8.0, "dense_4": 1 / 9}
    (finding,) = findings_of(MeasuredLayers(), with_ratios(six(0.0), **away))
    assert finding.site == "dense_4"
    assert finding.message == (
        "2 of 7 layers change the size of the signal otherwise than their weights predict:"
        " `dense_1`, `dense_4`. `dense_4` differs most: what it puts out is 3 times weaker than"
        " predicted."
    )


def test_predicted_and_further_growth_add(six):
    """Predicted e^5 is within the budget, and so is a further e^3.5; e^8.5 is not."""
    profile = six(8.5 / 6, predicted_forward_ratio=math.exp(5 / 6))
    (finding,) = findings_of(MeasuredForwardGain(), profile)
    assert finding.severity == "warning"
    assert finding.expected.startswith("12 times stronger, within a factor of 1.41")


def test_layers_that_their_biases_lead_are_counted(make, six):
    """He weights make a second moment of 2, and a bias leads from half of that on."""
    profile = six(2.1)
    biases = [
        make.kernel(f"dense_{k}", 1.5, role="bias", name=f"dense_{k}/bias", shape=(64,))
        for k in range(6)
    ]
    led = profile.with_changes(weights=(*profile.weights, *biases))
    (finding,) = findings_of(MeasuredForwardGain(), led)
    assert finding.severity == "error"
