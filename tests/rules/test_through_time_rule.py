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
    assert "through the 50 steps of `rnn`" in finding.message
    assert "grows by e^20.0 or more" in finding.message
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


def test_rule_is_in_the_catalogue(make):
    assert "IC305" in {
        finding.code for finding in judge(make.chain(layer(make, 20.0), make.head())).findings
    }
