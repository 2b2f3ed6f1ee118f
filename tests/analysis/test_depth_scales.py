"""The page of mean field theory on hand-made profiles: like layers with a given `n Var w`, of which
the first is fed by data.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from keras_initcheck.analysis.depth_scales import summarize
from keras_initcheck.theory.activations import activation_moments, numpy_activation
from keras_initcheck.theory.mean_field import MeanField


@pytest.fixture
def net(make):
    """`net(num, weight_variance, activation, q, bias, **changes)`: layers whose pre-activations
    have second moment `q`.
    """

    def made(num, weight_variance=2.0, activation="relu", q=1.0, bias=0.0, between=None, **changes):
        forward = (
            weight_variance * activation_moments(numpy_activation(activation), q).forward_factor
        )
        facts = {
            "activation": activation,
            "predicted_forward_ratio": forward,
            "activations": make.places(z=q),
            **changes,
        }
        layers = []
        for number in range(num):
            name = f"dense_{number}"
            kernels = [
                make.kernel(name, weight_variance / 64),
                make.kernel(name, bias, role="bias", name=f"{name}/bias"),
            ]
            layers.append(make.weight_layer(name, weight_variance / 64, kernels=kernels, **facts))
            layers += [between] if between is not None and number == num // 2 else []
        return make.chain(*layers, make.head())

    return made


def test_he_with_relu_is_at_the_edge(net):
    found = summarize(net(20))
    assert (found.reason, found.first, found.last, found.num_layers) == (
        None,
        "dense_1",
        "dense_19",
        19,
    )
    assert (found.chi1, found.weight_variance, found.bias_variance) == (
        pytest.approx(1.0),
        pytest.approx(2.0),
        0.0,
    )
    assert found.correlation == 1.0
    assert found.gradient_scale > 1e6
    assert "The gradient keeps its size over all of them." in found.sentence
    assert "no exponential law" in found.sentence


def test_glorot_with_relu_loses_the_gradient(net):
    found = summarize(net(12, 1.0))
    assert found.gradient_scale == pytest.approx(1 / math.log(2))
    assert "mean square vanishes by e in every 1.4 layers" in found.sentence


@pytest.mark.parametrize(("weight_variance", "scale"), [(1.0, 3.6), (1.3, 7.8), (1.5, 15.8)])
def test_ordered_tanh_has_the_scale_of_the_theory(net, weight_variance, scale):
    """tanh with a bias variance of 0.05 (Schoenholz et al. 2017, figure 1): the scales by
    quadrature.
    """
    found = summarize(net(60, weight_variance, "tanh", q=0.3, bias=0.05))
    assert found.correlation == 1.0
    assert found.correlation_scale == pytest.approx(scale, rel=0.02)  # given to two digits
    assert found.second_moment == pytest.approx(
        MeanField(np.tanh, weight_variance, 0.05).fixed_point()
    )
    assert "Two inputs become alike" in found.sentence


@pytest.mark.parametrize(("num", "is_too_deep"), [(42, False), (44, True)])
def test_depth_is_compared_with_six_scales(net, num, is_too_deep):
    """σ_w² = 4 and σ_b² = 0.05: c* = 0.1651 and ξ_c = 7.0, so that six of them are 42 layers; the
    first layer is not counted.
    """
    found = summarize(net(num, 4.0, "tanh", q=2.2, bias=0.05))
    assert found.correlation == pytest.approx(0.1651, abs=1e-4)
    assert (
        "go to a correlation of 0.17: the distance falls by e in every 7 layers" in found.sentence
    )
    assert found.sentence.endswith("42 layers, and there are more.") is is_too_deep


def test_second_moment_that_does_not_settle_is_the_measured_one(net):
    found = summarize(net(8, 2.0, "gelu", q=0.7))
    assert found.second_moment == pytest.approx(0.7)
    exact = 2.0 * activation_moments(numpy_activation("gelu"), 0.7).derivative_second_moment
    assert found.chi1 == pytest.approx(
        exact, rel=3e-4
    )  # the tanh form stands for GELU: 1.7e-4 off at q = 0.7


def test_four_layers_behind_the_first_are_enough(net):
    assert summarize(net(5)).reason is None
    assert (
        summarize(net(4)).reason
        == "no 4 like layers follow one another with only their activation between"
    )


@pytest.mark.parametrize("kind", ["normalization", "pass", "merge", "other"])
def test_anything_between_ends_the_run(net, make, kind):
    assert summarize(net(7, between=make.site("between", kind))).reason is not None
    assert summarize(net(7, between=make.site("between", "activation"))).num_layers == 6


def test_layers_that_are_not_alike_end_the_run(net, make):
    profile = net(9)
    other = replace(profile.sites[4], activation="tanh")
    assert (
        summarize(
            profile.with_changes(sites=(*profile.sites[:4], other, *profile.sites[5:]))
        ).num_layers
        == 4
    )
    kernels = tuple(
        (
            replace(weight, moments=make.moments(2 * weight.moments.second_moment))
            if weight.layer == "dense_4"
            else weight
        )
        for weight in profile.weights
    )
    doubled = replace(profile.sites[4], predicted_forward_ratio=2.0)
    changed = profile.with_changes(
        weights=kernels, sites=(*profile.sites[:4], doubled, *profile.sites[5:])
    )
    assert summarize(changed).num_layers == 4


def test_trained_weights_are_not_random(net):
    assert "trained" in summarize(replace(net(9), step=1)).reason


def test_weights_with_a_mean_are_left_out(net, make):
    profile = net(9)
    kernels = tuple(
        replace(w, moments=make.moments(2 / 64, mean=0.1)) if w.role == "kernel" else w
        for w in profile.weights
    )
    assert summarize(profile.with_changes(weights=kernels)).reason is not None


def test_parameters_that_are_not_the_defaults_are_told_by_their_factor(net):
    profile = net(9, activation="leaky_relu")
    assert summarize(profile).reason is None
    sites = tuple(
        replace(s, predicted_forward_ratio=1.3) if s.kind == "weight" and not s.is_head else s
        for s in profile.sites
    )
    assert (
        summarize(profile.with_changes(sites=sites)).reason
        == "the parameters of leaky_relu are not known"
    )


@pytest.mark.parametrize("activation", ["softmax", "unknown", None])
def test_activation_that_the_theory_does_not_have_is_left_out(net, activation):
    profile = net(9)
    sites = tuple(replace(site, activation=activation) for site in profile.sites)
    assert summarize(profile.with_changes(sites=sites)).reason is not None
