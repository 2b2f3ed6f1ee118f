import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.input_rules import (
    IdenticalInputs,
    InputScale,
    NonfiniteInput,
    NonfiniteLoss,
)
from keras_initcheck.rules.weight_rules import NonfiniteWeights
from tests.support.profiles import findings_of, target


def test_healthy_network_is_silent(healthy):
    assert not [
        finding
        for rule in (NonfiniteInput(), NonfiniteLoss(), NonfiniteWeights())
        for finding in findings_of(rule, healthy)
    ]


def test_input_with_nan_is_named(make, healthy):
    inputs = (("image", make.moments()), ("age", make.moments(share_nonfinite=0.25)))
    (finding,) = findings_of(NonfiniteInput(), healthy.with_changes(inputs=inputs))
    assert (finding.severity, finding.measured) == ("error", 0.25)
    assert "25% of the values of input `age`" in finding.message


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_nonfinite_loss_is_an_error(healthy, loss):
    assert [
        finding.severity
        for finding in findings_of(NonfiniteLoss(), healthy.with_changes(loss=loss))
    ] == ["error"]


@pytest.mark.parametrize("loss", [None, 0.0, 1e30])
def test_finite_or_unknown_loss_is_silent(healthy, loss):
    assert not list(findings_of(NonfiniteLoss(), healthy.with_changes(loss=loss)))


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "error"),
        ({"is_trainable": False}, "error"),
        ({"site": None}, "error"),
        ({"role": "state", "is_trainable": False, "name": "norm/moving_variance"}, "error"),
        ({"role": "state", "is_trainable": False, "name": "attention/mask"}, "info"),
        ({"role": "other", "is_trainable": True}, "error"),
    ],
    ids=["kernel", "frozen kernel", "not called", "moving variance", "mask", "custom weight"],
)
def test_nonfinite_weight_is_an_error_unless_it_may_be_a_mask(
    make, healthy, broken, changes, severity
):
    weight = make.kernel("dense_3", 0.1, **{"moments": broken, "site": 3, **changes})
    (finding,) = findings_of(NonfiniteWeights(), healthy.with_changes(weights=(weight,)))
    assert finding.severity == severity
    assert weight.name in finding.message


@pytest.mark.parametrize(
    ("q", "expected"), [(1.0, 0), (math.exp(5.9), 0), (math.exp(6.1), 1), (math.exp(-6.1), 1)]
)
def test_input_scale_beyond_the_budget_is_a_warning(make, q, expected):
    layer = make.weight_layer("first", activations=make.places(x=q))
    assert [
        finding.severity for finding in findings_of(InputScale(), make.chain(layer, make.head()))
    ] == ["warning"] * expected


def test_mean_of_pixels_is_mentioned(make):
    pixels = make.moments(19_000.0, mean=127.0, variance=2871.0)
    (finding,) = findings_of(
        InputScale(),
        make.chain(make.weight_layer("first", activations=make.places(x=pixels)), make.head()),
    )
    assert "138, most of it from its mean of 127" in finding.message


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        (("tab",), "The input `tab`, which enters `first`, has"),
        (("input",), "The input, which enters `first`, has"),
        (("tab", "image"), "The input of `first` has"),
        ((), "The input of `first` has"),
    ],
)
def test_input_has_the_name_that_its_author_gave_it(make, names, subject):
    flat = make.site("flatten", "pass", layer_type="Flatten", model_inputs=names)
    first = make.weight_layer("first", activations=make.places(x=9e4))
    (finding,) = findings_of(InputScale(), make.chain(flat, first, make.head()))
    assert finding.message.startswith(f"{subject} a root mean square of 300")


def test_normalised_and_frozen_first_layers_bear_any_scale(make):
    normalized = [
        make.weight_layer("first", activations=make.places(x=1e4)),
        make.site("norm", "normalization"),
        make.head(),
    ]
    frozen = [
        make.weight_layer("first", activations=make.places(x=1e4), is_trainable=False),
        make.head(),
    ]
    for layers in (normalized, frozen):
        assert [finding.severity for finding in findings_of(InputScale(), make.chain(*layers))] == [
            "info"
        ]


def test_scale_of_made_up_inputs_is_not_held_against_the_model(make):
    made_up = replace(
        make.chain(make.weight_layer("first", activations=make.places(x=1e-5)), make.head()),
        is_synthetic=True,
    )
    assert [finding.severity for finding in findings_of(InputScale(), made_up)] == ["info"]


@pytest.mark.parametrize("q", [0.0, math.inf])
def test_input_of_no_scale_is_left_to_other_rules(make, q):
    layer = make.weight_layer("first", activations=make.places(x=q))
    assert not findings_of(InputScale(), make.chain(layer, make.head()))


@pytest.mark.parametrize(("mean", "is_named"), [(70.0, False), (71.0, True)])
def test_mean_is_mentioned_from_half_of_the_second_moment(make, mean, is_named):
    x = make.moments(1e4, mean=mean)
    layer = make.weight_layer("first", activations=make.places(x=x))
    (finding,) = findings_of(InputScale(), make.chain(layer, make.head()))
    assert ("from its mean" in finding.message) is is_named


@pytest.mark.parametrize(
    ("changes", "count"),
    [({}, 1), ({"batch_size": 3}, 0), ({"outputs": ()}, 0), ({"is_contradictory": False}, 0)],
    ids=["alike", "few samples", "a loss of one's own", "different"],
)
def test_samples_that_nothing_tells_apart_are_an_error(changes, count, healthy):
    facts = {"is_contradictory": True, "batch_size": 8, "outputs": (target(),), **changes}
    found = findings_of(IdenticalInputs(), healthy.with_changes(**facts))
    assert [finding.severity for finding in found] == ["error"] * count
