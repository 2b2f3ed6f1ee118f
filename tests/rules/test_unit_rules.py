"""Saturated and dead units, and collapsed samples."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.records.draw import Draw
from keras_initcheck.rules.unit_rules import CollapsedSamples, DeadUnits, SaturatedUnits
from tests.support.profiles import findings_of


def tanh_layers(make, *slopes):
    """Tanh layers that pass these shares of the gradient's mean square."""
    return make.chain(
        *(
            make.weight_layer(
                f"dense_{k}", activation="tanh", random_gradients=make.places(h=1.0, z=slope)
            )
            for k, slope in enumerate(slopes)
        ),
        make.head(),
    )


@pytest.mark.parametrize(
    ("slope", "expected"), [(0.46, []), (0.151, []), (0.149, ["warning"]), (1e-6, ["warning"])]
)
def test_saturation_begins_at_a_seventh_of_the_slope(make, slope, expected):
    assert [
        finding.severity for finding in findings_of(SaturatedUnits(), tanh_layers(make, slope))
    ] == expected


@pytest.mark.parametrize(("slope", "count"), [(0.101, 0), (0.099, 1)])
def test_training_may_bring_units_nearer_to_their_ends(make, slope, count):
    profile = tanh_layers(make, slope)
    draws = (Draw("loaded or trained"),) * len(profile.weights)
    loaded = replace(profile, measurement=replace(profile.measurement, weight_draws=draws))
    for learned in (replace(profile, step=100), loaded):
        assert len(findings_of(SaturatedUnits(), learned)) == count


def test_one_saturated_layer_of_many_is_information(make):
    (finding,) = findings_of(SaturatedUnits(), tanh_layers(make, 0.4, 0.4, 0.05, 0.4, 0.4))
    assert (finding.severity, finding.site) == ("info", "dense_2")


def test_slope_is_relative_to_the_activation_s_steepest(make):
    gradients = make.places(h=1.0, z=1 / 16)  # sigmoid around zero: all that it can pass
    assert not list(
        findings_of(
            SaturatedUnits(),
            make.chain(
                make.weight_layer("dense", activation="sigmoid", random_gradients=gradients),
                make.head(),
            ),
        )
    )


def relu_layer(make, share_dead, units=64, **changes):
    layer = make.weight_layer(
        "dense",
        activations=make.places(h=make.moments(share_dead=share_dead)),
        output_shape=(8, units),
    )
    return make.chain(layer, make.head(), **changes)


@pytest.mark.parametrize(
    ("share", "units", "expected"),
    [(0.78, 64, 0), (0.79, 64, 1), (0.76, 1000, 1), (0.74, 1000, 0), (0.9, 16, 0)],
)
def test_dead_units_are_more_than_chance_silences(make, share, units, expected):
    # half of the units, and 4.5 · 0.5 / sqrt(units) more by chance: 0.781 of 64, more than all of
    # 16
    assert len(list(findings_of(DeadUnits(), relu_layer(make, share, units)))) == expected


def test_small_batch_says_nothing_about_dead_units(make):
    assert not list(findings_of(DeadUnits(), relu_layer(make, 0.95, batch_size=3)))


def test_unknown_share_of_dead_units_is_passed_over(make):
    assert not list(findings_of(DeadUnits(), relu_layer(make, math.nan)))


def collapsing(make, shares, **changes):
    layers = [
        make.weight_layer(f"dense_{k}", activations=make.places(h=make.moments(batch_share=share)))
        for k, share in enumerate(shares)
    ]
    return make.chain(
        *layers, make.head(), **{"inputs": (("x", make.moments(batch_share=1.0)),), **changes}
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(1.1e-4, []), (0.9e-4, ["warning"]), (1e-9, ["error"])]
)
def test_samples_have_collapsed_below_one_in_ten_thousand(make, share, expected):
    assert [
        finding.severity
        for finding in findings_of(CollapsedSamples(), collapsing(make, [0.1, share]))
    ] == expected


def test_first_collapsed_layer_is_named(make):
    (finding,) = findings_of(CollapsedSamples(), collapsing(make, [0.1, 1e-5, 1e-6]))
    assert (finding.site, finding.culprits) == ("dense_1", ("dense_1",))


def test_samples_that_recover_are_not_mentioned(make):
    assert not list(findings_of(CollapsedSamples(), collapsing(make, [0.1, 1e-6, 0.2])))


def test_equal_inputs_cannot_be_told_apart(make):
    assert not list(
        findings_of(
            CollapsedSamples(),
            collapsing(make, [1e-9], inputs=(("x", make.moments(batch_share=0.0)),)),
        )
    )


def test_repeated_probe_cannot_tell_a_collapse_from_rounding(make):
    layer = make.weight_layer(
        "dense", activations=make.places(h=make.moments(batch_share=-1e-7, share_dead=math.nan))
    )
    assert not list(
        findings_of(
            CollapsedSamples(),
            make.chain(layer, make.head(), inputs=(("x", make.moments(batch_share=1.0)),)),
        )
    )


def recurrent_layer(make, std, activation="tanh", **changes):
    """32 units on 8 inputs of unit scale, both kernels with that standard deviation, a state that
    fills half of its range.
    """
    site = make.site(
        "gru",
        "recurrent",
        activation=activation,
        activations=make.places(x=1.0, h=0.25),
        inputs_known=False,
    )
    kernels = [
        make.kernel("gru", std**2, fan, 32.0, name=f"gru/{name}")
        for name, fan in (("kernel", 8.0), ("recurrent_kernel", 32.0))
    ]
    return make.chain(site, make.head()).with_changes(weights=tuple(kernels), **changes)


@pytest.mark.parametrize(("std", "expected"), [(0.2, 0), (1.2, 0), (1.5, 1), (2.0, 1)])
def test_recurrent_kernels_are_judged_by_the_size_of_the_candidate_state(make, std, expected):
    # q_z = (8 + 32/4) std²; E[tanh'²] falls below 0.1 at a standard deviation of 5.2 (quadrature),
    # which is a std of 1.3
    assert len(list(findings_of(SaturatedUnits(), recurrent_layer(make, std)))) == expected


def test_recurrent_layers_with_other_activations_or_trained_weights_are_passed_over(make):
    assert not list(findings_of(SaturatedUnits(), recurrent_layer(make, 2.0, activation="relu")))
    assert not list(findings_of(SaturatedUnits(), recurrent_layer(make, 2.0, step=10)))


@pytest.mark.parametrize(
    ("activation", "steepest"),
    [
        ("tanh", 1.0),
        ("hard_tanh", 1.0),
        ("softsign", 1.0),
        ("sigmoid", 1 / 4),
        ("hard_sigmoid", 1 / 6),
        ("sparse_sigmoid", 1 / 2),
    ],
)
def test_every_squashing_activation_is_held_against_its_own_slope(make, activation, steepest):
    """0.15 of the squared steepest slope, behind an output gradient of 3."""
    for share, count in ((0.16, 0), (0.14, 1)):
        gradients = make.places(h=3.0, z=3.0 * share * steepest**2)
        layer = make.weight_layer("dense", activation=activation, random_gradients=gradients)
        found = findings_of(SaturatedUnits(), make.chain(layer, make.head()))
        assert len(found) == count
        assert all(finding.measured == pytest.approx(share) for finding in found)


@pytest.mark.parametrize(("num", "severity"), [(3, "warning"), (4, "info")])
def test_a_quarter_of_the_layers_makes_a_warning(make, num, severity):
    (finding,) = findings_of(SaturatedUnits(), tanh_layers(make, 0.05, *[0.4] * num))
    assert finding.severity == severity
    assert f"In 1 of {num + 1} layers" in finding.message


def test_heads_gates_and_unmeasured_slopes_are_no_saturated_layers(make):
    flat = {"activation": "tanh", "random_gradients": make.places(h=1.0, z=0.05)}
    unmeasured = {"activation": "tanh", "random_gradients": make.places(h=0.0, z=0.0)}
    layers = [make.weight_layer("gate", **flat), make.site("times", "merge", layer_type="Multiply")]
    layers += [make.weight_layer("unmeasured", **unmeasured), make.weight_layer("flat", **flat)]
    head = make.weight_layer("head", is_head=True, chain=None, **flat)
    (finding,) = findings_of(SaturatedUnits(), make.chain(*layers, head))
    assert finding.culprits == ("flat",)
    assert "In 1 of 1 layers" in finding.message


@pytest.mark.parametrize("rule", [DeadUnits(), CollapsedSamples()], ids=["dead", "collapsed"])
def test_four_samples_are_enough(make, rule):
    h = make.moments(share_dead=0.9, batch_share=1e-5)
    layer = make.weight_layer("dense", activations=make.places(h=h))
    for size, count in ((3, 0), (4, 1)):
        profile = make.chain(
            layer, make.head(), batch_size=size, inputs=(("x", make.moments(batch_share=0.02)),)
        )
        assert len(findings_of(rule, profile)) == count


@pytest.mark.parametrize(("share", "count"), [(0.009, 0), (0.011, 1)])
def test_inputs_have_to_differ_by_a_hundredth_before_samples_can_collapse(make, share, count):
    h = make.moments(batch_share=1e-5)
    profile = make.chain(
        make.weight_layer("dense", activations=make.places(h=h)),
        make.head(),
        inputs=(("x", make.moments(batch_share=share)),),
    )
    assert len(findings_of(CollapsedSamples(), profile)) == count


@pytest.mark.parametrize(("share", "severity"), [(1.1e-8, "warning"), (0.9e-8, "error")])
def test_collapse_is_an_error_below_the_square_of_its_threshold(make, share, severity):
    h = make.moments(batch_share=share)
    profile = make.chain(
        make.weight_layer("dense", activations=make.places(h=h)),
        make.head(),
        inputs=(("x", make.moments()),),
    )
    (finding,) = findings_of(CollapsedSamples(), profile)
    assert finding.severity == severity


def test_silent_layers_and_heads_have_no_dead_units(make, zero):
    """A layer that is zero throughout is another rule's, and a head may be anything."""
    silent = make.places(h=make.moments(0.0, max_abs=0.0, share_zero=1.0, share_dead=1.0))
    dead = make.places(h=make.moments(share_dead=0.9))
    layers = [make.weight_layer("silent", activations=silent)]
    head = make.weight_layer("head", activations=dead, is_head=True, chain=None)
    other = make.site("relu", "activation", activation="relu", activations=dead)
    assert not findings_of(DeadUnits(), make.chain(*layers, other, head))
