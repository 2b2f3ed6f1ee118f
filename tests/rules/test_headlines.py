"""The verdict's sentences of the main rules: what happens, where, and the cure, in plain words."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.records.report import Report
from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.measured import MeasuredForwardGain
from tests.support.profiles import findings_of


def verdict(rule, profile):
    return Report(profile, tuple(findings_of(rule, profile))).verdict


def lost(make, ln_gain, num=5, **changes):
    """A layer that does not count, and five that multiply the second moment by `e^ln_gain`."""
    variance = 2 / 64 * math.exp(ln_gain / num)
    layers = [make.weight_layer(f"dense_{k}", variance) for k in range(1, num + 1)]
    return make.chain(make.weight_layer("dense", 1.9 / 64), *layers, make.head(), **changes)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (ForwardGain(), "The signal dies: 290,000 times weaker from `dense_1` to `dense_5`."),
        (
            BackwardGain(),
            "The gradient dies: 290,000 times weaker on its way back from `dense_5` to `dense_1`.",
        ),
    ],
)
def test_gain(make, rule, said):
    profile = lost(make, -25.155)
    assert verdict(rule, profile) == (
        f'{profile.model}: error: {said} Use kernel_initializer="he_normal".'
    )


def test_gain_of_layers_with_different_activations(make):
    layers = [make.weight_layer(f"relu_{k}", 0.01 / 64) for k in range(3)]
    layers += [make.weight_layer(f"tanh_{k}", 0.01 / 64, activation="tanh") for k in range(3)]
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, make.head()))
    assert 'kernel_initializer="he_normal" for layers followed by relu' in finding.fix


def test_measured_number_is_told_where_it_confirms_the_weights(make):
    """The chart beside it shows what was measured: mean squares of 1 in front and 1e-10 behind."""
    profile = lost(make, -25.155)
    sites = [
        replace(site, activations=make.places(h=1e-10)) if site.name == "dense_5" else site
        for site in profile.sites
    ]
    (finding,) = findings_of(ForwardGain(), profile.with_changes(sites=tuple(sites)))
    assert "100,000 times weaker from `dense_1` to `dense_5`." in finding.message
    assert "Root mean square: 1 before `dense_1`, 1e-5 behind `dense_5`." in finding.details
    assert "multiply the mean square by e^-25.2" in finding.details


def test_prediction_is_told_where_the_measurement_does_not_confirm_it(make):
    (finding,) = findings_of(ForwardGain(), lost(make, -25.155))
    assert finding.message.endswith("The weights predict that; measured: as strong as before.")


def test_measured_gain(make):
    facts = {"forward_ratio": math.exp(7.0), "log_ratio_variance": 0.01}
    layers = [make.weight_layer(f"dense_{k}", **facts) for k in range(2)]
    profile = make.chain(make.weight_layer("first", chain=1), *layers, make.head())
    said = verdict(MeasuredForwardGain(), profile)
    assert "error: The signal explodes: 1,100 times stronger from `dense_0` to `dense_1`." in said
    assert said.endswith(" Center and scale the input, and initialize biases with zeros.")


@pytest.mark.parametrize("ln_gain", [-6.5, 6.5, -13.0, 13.0])
@pytest.mark.parametrize("rule", [ForwardGain(), BackwardGain()])
def test_headline_has_no_formula(make, rule, ln_gain):
    headline = verdict(rule, lost(make, ln_gain))
    assert not any(symbol in headline for symbol in ("e^", "Var[w]", "½", "second moment"))
