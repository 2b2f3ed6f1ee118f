import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.signal import DeadLayer, NonfiniteActivations
from tests.support.profiles import findings_of


def test_healthy_network_is_silent(healthy):
    assert not [*findings_of(NonfiniteActivations(), healthy), *findings_of(DeadLayer(), healthy)]


def test_first_nonfinite_site_is_named_and_the_others_counted(make, broken):
    layers = [
        make.weight_layer("a"),
        *(make.weight_layer(name, activations=make.places(h=broken)) for name in "bc"),
        make.head(),
    ]
    (finding,) = findings_of(NonfiniteActivations(), make.chain(*layers))
    assert (finding.severity, finding.site, finding.measured) == ("error", "b", 1.0)
    assert "100% of the signal in `b`" in finding.message
    assert "in 1 further site." in finding.message


def test_pre_activation_counts(make, broken):
    layer = make.weight_layer("a", activations=make.places(h=1.0, z=broken))
    assert [
        finding.site
        for finding in findings_of(NonfiniteActivations(), make.chain(layer, make.head()))
    ] == ["a"]


@pytest.mark.parametrize(
    ("after", "severity"), [(1.0, "info"), (None, "error")], ids=["absorbed", "spreads"]
)
def test_infinite_mask_is_information(make, broken, after, severity):
    masked = make.site("add", "merge", activations=make.places(h=broken))
    softmax = make.site(
        "softmax", "activation", activations=make.places(h=broken if after is None else after)
    )
    (finding,) = findings_of(
        NonfiniteActivations(), make.chain(make.weight_layer("a"), masked, softmax, make.head())
    )
    assert finding.severity == severity


def test_mask_does_not_hide_the_layer_that_fails(make, broken):
    masked = make.site("add", "merge", activations=make.places(h=broken))
    layers = [
        masked,
        make.site("softmax", "activation"),
        make.weight_layer("b", activations=make.places(h=broken)),
        make.head(),
    ]
    (finding,) = findings_of(NonfiniteActivations(), make.chain(*layers))
    assert (finding.severity, finding.site) == ("error", "b")


def test_dead_relu_layer_is_reported_where_the_signal_ends(make, zero):
    dead = make.weight_layer("dead", activations=make.places(h=zero))
    behind = make.weight_layer("behind", activations=make.places(zero, zero, zero))
    (finding,) = findings_of(
        DeadLayer(), make.chain(make.weight_layer("a"), dead, behind, make.head())
    )
    assert (finding.severity, finding.site) == ("error", "dead")
    assert "what the network gives" not in finding.message


def test_dead_network_is_said_to_be(make, zero):
    dead = make.weight_layer("dead", activations=make.places(h=zero))
    (finding,) = findings_of(
        DeadLayer(), make.chain(dead, make.head(activations=make.places(zero, zero, zero)))
    )
    assert "so is the output of the network" in finding.message


def test_dead_activation_layer_is_reported(make, zero):
    relu = make.site("relu", "activation", activations=make.places(h=zero))
    assert [
        finding.site
        for finding in findings_of(
            DeadLayer(), make.chain(make.site("norm", "normalization"), relu, make.head())
        )
    ] == ["relu"]


def test_zero_input_and_zero_gamma_are_no_dead_layers(make, zero):
    norm = make.site("norm", "normalization", activations=make.places(h=zero))
    relu = make.site("relu", "activation", activations=make.places(h=zero))
    fed_zeros = make.weight_layer("dense", activations=make.places(zero, zero, zero))
    assert not list(findings_of(DeadLayer(), make.chain(fed_zeros, norm, relu, make.head())))


def test_underflow_of_the_second_moment_is_no_dead_layer(make):
    tiny = make.weight_layer("tiny", activations=make.places(h=make.moments(0.0, max_abs=1e-200)))
    assert not list(findings_of(DeadLayer(), make.chain(tiny, make.head())))


def test_zero_output_of_a_head_is_silent(make, zero):
    assert not list(
        findings_of(
            DeadLayer(),
            make.chain(make.weight_layer("a"), make.head(activations=make.places(h=zero))),
        )
    )


@pytest.mark.parametrize(
    ("units", "batch_size", "severity"), [(1, 19, "info"), (1, 20, "error"), (10, 8, "error")]
)
def test_silent_head_with_relu_is_dead(make, zero, units, batch_size, severity):
    head = replace(
        make.head(activations=make.places(h=zero), output_shape=(batch_size, units))[0],
        activation="relu",
    )
    (finding,) = findings_of(
        DeadLayer(),
        make.chain(
            make.weight_layer("a"), (head, [make.kernel("head", 0.1)]), batch_size=batch_size
        ),
    )
    assert (finding.severity, finding.culprits) == (severity, ("head",))
    assert severity == "info" or "softplus" in finding.fix


def test_zero_kernel_does_not_excuse_a_silent_head_with_relu(make, zero):
    """Linear heads leave zero with the first step, a ReLU passes no gradient at zero."""
    head = replace(make.head(activations=make.places(h=zero, z=zero))[0], activation="relu")
    kernel = replace(make.kernel("head", 0.0), moments=zero)
    assert [
        finding.severity
        for finding in findings_of(
            DeadLayer(), make.chain(make.weight_layer("a"), (head, [kernel]))
        )
    ] == ["error"]


def test_intended_zero_branch_is_information(make, zero):
    kernel = replace(make.kernel("b", 0.0), moments=zero)
    branch = make.weight_layer("b", 0.0, kernels=[kernel], activations=make.places(zero, zero, 1.0))
    profile = make.chain(
        make.weight_layer("a"), branch, make.site("add", "merge", inputs=(1, 0)), make.head()
    )
    assert [finding.severity for finding in findings_of(DeadLayer(), profile)] == ["info"]


@pytest.mark.parametrize(
    ("units", "batch_size", "severity"), [(19, 1, "info"), (20, 1, "error"), (19, 2, "error")]
)
def test_few_units_may_be_silent_on_one_sample(make, zero, units, batch_size, severity):
    layer = make.weight_layer(
        "a", activations=make.places(h=zero), output_shape=(batch_size, units)
    )
    profile = make.chain(layer, make.head(), batch_size=batch_size)
    assert [finding.severity for finding in findings_of(DeadLayer(), profile)] == [severity]


@pytest.mark.parametrize(
    ("batch_size", "has_gradient", "severity"),
    [(7, False, "error"), (7, True, "info"), (1, False, "info")],
    ids=["no gradient", "a gradient", "one sample"],
)
def test_few_samples_excuse_no_head_that_keeps_the_gradient_from_all_weights(
    make, zero, batch_size, has_gradient, severity
):
    gradient = make.moments() if has_gradient else zero
    kernel = make.kernel("head", 0.1, 64.0, 1.0, gradient=gradient)
    head = make.weight_layer(
        "head",
        kernels=[kernel],
        activation="relu",
        is_head=True,
        activations=make.places(h=zero),
        output_shape=(batch_size, 1),
    )
    hidden = make.weight_layer("a", kernels=[make.kernel("a", 0.1, gradient=zero)])
    (finding,) = findings_of(DeadLayer(), make.chain(hidden, head, batch_size=batch_size))
    assert finding.severity == severity


@pytest.mark.parametrize(
    ("share_zero", "is_dead"), [(1.0, True), (0.999, False)], ids=["all zero", "nearly all zero"]
)
def test_dead_layer_is_found_where_the_largest_magnitude_was_not_taken(make, share_zero, is_dead):
    """As in the probes of a training after the first one. A second moment of zero alone may be an
    underflow.
    """
    unmeasured = make.moments(0.0, max_abs=math.nan, share_zero=share_zero)
    dead = make.weight_layer("dead", activations=make.places(unmeasured, unmeasured, 1.0))
    assert bool(list(findings_of(DeadLayer(), make.chain(dead, make.head())))) is is_dead


def test_network_with_a_zero_head_is_not_called_dead(make, zero):
    """Its output is zero on purpose, and says nothing of the layer that died."""
    dead = make.weight_layer("dead", activations=make.places(h=zero, x=1.0))
    kernels = [make.kernel("head", 0.0, moments=zero)]
    silent = make.places(h=zero, z=zero, x=zero)
    for own, is_dead in ((kernels, False), ([make.kernel("head", 1 / 64)], True)):
        head = make.head(kernels=own, activations=silent)
        (finding,) = findings_of(DeadLayer(), make.chain(dead, head, batch_size=64))
        assert ("so is the output of the network" in finding.message) is is_dead
