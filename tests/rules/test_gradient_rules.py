from dataclasses import replace

import pytest

from keras_initcheck.rules.gradient import NoGradient, NonfiniteGradients
from tests.support.profiles import findings_of


def test_healthy_network_is_silent(healthy):
    assert not [*findings_of(NonfiniteGradients(), healthy), *findings_of(NoGradient(), healthy)]


def test_first_site_on_the_way_back_is_named(make, broken):
    layers = [make.weight_layer(name, random_gradients=make.places(x=broken)) for name in "ab"]
    (finding,) = findings_of(
        NonfiniteGradients(), make.chain(*layers, make.weight_layer("c"), make.head())
    )
    assert (finding.severity, finding.site) == ("error", "b")
    assert "and in 1 further site" in finding.message


@pytest.mark.parametrize(("is_loss_scaled", "severity"), [(False, "error"), (True, "info")])
@pytest.mark.parametrize("is_weight", [False, True], ids=["signal", "weight"])
def test_overflow_of_a_scaled_loss_is_left_to_its_optimizer(
    make, broken, is_loss_scaled, severity, is_weight
):
    kernel = make.kernel("a", 0.1, gradient=broken if is_weight else None)
    layer = make.weight_layer(
        "a", kernels=[kernel], loss_gradients=make.places(h=1.0 if is_weight else broken)
    )
    (finding,) = findings_of(
        NonfiniteGradients(), make.chain(layer, make.head(), is_loss_scaled=is_loss_scaled)
    )
    assert (finding.severity, finding.layer) == (severity, "a")


def untrainable(make, zero, **changes):
    layers = [
        make.weight_layer(name, random_gradients=make.places(h=1.0, z=zero, x=zero))
        for name in "ab"
    ]
    return make.chain(*layers, make.head(), **changes)


def test_zero_gradient_at_every_hidden_layer_is_an_error(make, zero):
    (finding,) = findings_of(NoGradient(), untrainable(make, zero))
    assert finding.severity == "error"
    assert "any of the 2 hidden layers" in finding.message


def test_one_layer_with_a_gradient_is_enough(make, zero):
    profile = untrainable(make, zero)
    assert not list(
        findings_of(
            NoGradient(),
            profile.with_changes(
                sites=(
                    replace(profile.sites[0], random_gradients=make.places()),
                    *profile.sites[1:],
                ),
            ),
        )
    )


def test_zero_head_lets_no_gradient_through_at_first(make, zero):
    profile = untrainable(make, zero)
    heads = tuple(
        replace(weight, moments=zero) if weight.layer == "head" else weight
        for weight in profile.weights
    )
    assert [
        finding.severity
        for finding in findings_of(NoGradient(), profile.with_changes(weights=heads))
    ] == ["info"]


@pytest.mark.parametrize(
    ("gradients", "severity"), [((None, None), "info"), ((0, 1), "info"), ((0, 0), "error")]
)
def test_zero_gates_are_an_excuse_only_if_the_first_step_moves_one(make, zero, gradients, severity):
    """Zero gammas in a row keep the gradient from one another; beside a skip connection each gets
    its own.
    """
    profile = untrainable(make, zero)
    gammas = []
    for number, each in enumerate(gradients):
        gradient = None if each is None else make.moments() if each else zero
        gammas.append(
            replace(
                make.kernel(f"norm_{number}", 0.0, gradient=gradient), role="scale", moments=zero
            )
        )
    (finding,) = findings_of(
        NoGradient(), profile.with_changes(weights=(*profile.weights, *gammas))
    )
    assert finding.severity == severity
    assert finding.culprits == (("norm_0", "norm_1") if severity == "error" else ())


def test_single_sample_is_not_judged(make, zero):
    assert not list(findings_of(NoGradient(), untrainable(make, zero, batch_size=1)))


def test_gradient_that_was_not_measured_is_not_judged(make):
    layers = [make.weight_layer("a", random_gradients=None), make.head()]
    assert not list(findings_of(NoGradient(), make.chain(*layers)))


def test_gradient_of_the_loss_alone_is_not_judged(make, zero):
    layers = [
        make.weight_layer("a", random_gradients=None, loss_gradients=make.places(zero, zero, zero)),
        make.head(),
    ]
    assert not list(findings_of(NoGradient(), make.chain(*layers)))


@pytest.mark.parametrize(
    ("num", "words"),
    [
        (1, "No gradient reaches `dense_0`, the only hidden layer"),
        (2, "any of the 2 hidden layers"),
    ],
)
def test_layers_without_a_gradient_are_counted(make, zero, num, words):
    layers = [
        make.weight_layer(f"dense_{k}", random_gradients=make.places(h=1.0, z=zero, x=zero))
        for k in range(num)
    ]
    (finding,) = findings_of(NoGradient(), make.chain(*layers, make.head(random_gradients=None)))
    assert words in finding.message


def test_network_that_was_not_probed_backwards_has_no_missing_gradient(make):
    layers = [make.weight_layer("a", random_gradients=None), make.head(random_gradients=None)]
    assert not findings_of(NoGradient(), make.chain(*layers))
