"""Gradients that grow over the steps of a recurrent layer."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.through_time import ThroughTime
from tests.support.profiles import findings_of

SAMPLES, STEPS, UNITS = 8, 50, 64


def layer(make, ln_growth, gates=1, seen=1, state=0.5, gradient=1e-6, **changes):
    """Whose recurrent kernel has a gradient of that size beside the bound of the rule."""
    num_elements = SAMPLES * seen * UNITS
    bound = (
        SAMPLES * STEPS * UNITS * max(1.0, state) * STEPS * seen * gates * gradient * num_elements
    )
    kernels = [
        make.kernel("rnn", 0.01, fan_out=gates * UNITS, name=f"rnn/{name}")
        for name in ("kernel", "recurrent_kernel")
    ]
    kernels[1] = replace(kernels[1], gradient_norm=math.sqrt(bound * math.exp(ln_growth)))
    gradients = make.places(h=make.moments(gradient, num_elements=num_elements))
    facts = {
        "input_shape": (SAMPLES, STEPS, 8),
        "activations": make.places(h=state),
        "loss_gradients": gradients,
        "activation": "tanh",
    }
    return make.site("rnn", "recurrent", **{**facts, **changes}), kernels


def found(make, *arguments, **changes):
    return list(
        findings_of(
            ThroughTime(),
            make.chain(layer(make, *arguments, **changes), make.head(), optimizer="SGD"),
        )
    )


@pytest.mark.parametrize(
    ("ln_growth", "severities"),
    [(-0.1, []), (0.1, ["warning"]), (11.9, ["warning"]), (12.1, ["error"])],
)
def test_growth_beyond_the_bound_is_told(make, ln_growth, severities):
    assert [finding.severity for finding in found(make, ln_growth)] == severities


@pytest.mark.parametrize(
    "changes",
    [{"gates": 4}, {"seen": STEPS}, {"state": 30.0}],
    ids=["gates", "a loss at every step", "large state"],
)
def test_bound_counts_what_adds_up(make, changes):
    assert [len(found(make, ln_growth, **changes)) for ln_growth in (-0.1, 0.1)] == [0, 1]


def test_layer_and_size_are_named(make):
    (finding,) = found(make, 20.0)
    assert finding.message == (
        "The gradient explodes on its way back through the 50 steps of `rnn`: it grows at least"
        " 22,000 times."
    )  # the root of e^20
    assert "gradient e^20.0" in finding.details
    assert finding.culprits == ("rnn",)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_gradients": None},
        {"loss_gradients": "zero"},
        {"input_shape": (SAMPLES, STEPS, 8, 8, 8)},
        {"kind": "other"},
    ],
    ids=["no labels", "its state alone is used", "images in a row", "no recurrent layer"],
)
def test_what_cannot_be_bounded_is_not_judged(make, zero, changes):
    changes = {
        name: make.places(h=zero) if value == "zero" else value for name, value in changes.items()
    }
    site, kernels = layer(make, 20.0)
    assert not list(
        findings_of(ThroughTime(), make.chain((replace(site, **changes), kernels), make.head()))
    )


def fed(make, ln_growth, bias=0.0, **changes):
    """A layer whose second moment is that far beyond what 50 steps of its inputs can bring in.

    Inputs of 1 and 64 weights of 0.01 bring in 0.64 a step, and the bias what it is.
    """
    state = STEPS**2 * (64 * 0.01 + bias) * math.exp(ln_growth)
    site, kernels = layer(make, -math.inf, activations=make.places(h=state), **changes)
    biases = [make.kernel("rnn", bias, name="rnn/bias", role="bias")] if bias else []
    return make.chain(
        (site, [*kernels, *biases]),
        make.head(),
        inputs=(("x", make.moments(1.0)),),
        optimizer="SGD",
    )


@pytest.mark.parametrize("bias", [0.0, 3.0])
@pytest.mark.parametrize(
    ("ln_growth", "severities"), [(5.9, []), (6.1, ["warning"]), (12.1, ["error"])]
)
def test_state_beyond_the_sum_of_its_inputs_is_told(make, ln_growth, severities, bias):
    findings = findings_of(ThroughTime(), fed(make, ln_growth, bias))
    assert [finding.severity for finding in findings] == severities
    assert all("The signal explodes on its way through" in each.message for each in findings)


def test_signal_and_gradient_are_told_together(make):
    profile = fed(make, 20.0)
    kernel = replace(profile.weights[1], gradient_norm=1e30)
    weights = (profile.weights[0], kernel, *profile.weights[2:])
    (finding,) = findings_of(ThroughTime(), profile.with_changes(weights=weights))
    assert finding.message.startswith("Signal and gradient explode on their way through")


def test_state_whose_inputs_are_not_known_is_not_judged(make):
    assert not findings_of(ThroughTime(), fed(make, 20.0, inputs_known=False))


def test_rule_is_in_the_catalogue(make):
    assert "IC305" in {
        finding.code for finding in judge(make.chain(layer(make, 20.0), make.head())).findings
    }
