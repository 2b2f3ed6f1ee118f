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
    normalised = make.site("norm", "normalization")
    head = replace(sites[-1], index=8, inputs=(7,))
    profile = profile.with_changes(
        sites=(*sites[:-1], replace(normalised, index=7, inputs=(6,)), head)
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
def test_layer_without_a_ratio_leaves_the_stretch_unjudged(six, ratio):
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
