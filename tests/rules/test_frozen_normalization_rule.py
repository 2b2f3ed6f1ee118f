"""Batch normalizations that run by initial statistics, on profiles whose numbers are known."""

import math

import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.rules.frozen_normalization import FrozenNormalization
from tests.support.profiles import findings_of, kernel, moments, places


def norm(size, name="norm", mean=0.0, variance=1.0, **changes):
    """A normalization in inference mode, whose output has a second moment of `size`."""

    def values(weight, number):
        row = moments(number**2, mean=number, variance=0.0)
        return kernel(name, 1.0, name=f"{name}/{weight}", role="state", moments=row)

    def make_site(make):
        facts = {"uses_moving_statistics": True, "activations": places(h=size), **changes}
        weights = [values("moving_mean", mean), values("moving_variance", variance)]
        return make.site(name, "normalization", **facts), weights

    return make_site


def one(make, size, **changes):
    made = norm(size, **changes)(make)
    return findings_of(
        FrozenNormalization(), make.chain(make.weight_layer("dense"), made, make.head())
    )


@pytest.mark.parametrize(
    ("ln_size", "severity"),
    [
        (-5.9, "info"),
        (-6.1, "warning"),
        (-11.9, "warning"),
        (-12.1, "error"),
        (5.9, "info"),
        (6.1, "warning"),
    ],
)
def test_severity_follows_the_size_of_the_signal(make, ln_size, severity):
    (finding,) = one(make, math.exp(ln_size))
    assert finding.severity == severity
    assert finding.measured == pytest.approx(math.exp(ln_size))
    assert finding.culprits == ("norm",)


@pytest.mark.parametrize(
    "changes",
    [{"mean": 0.1}, {"variance": 0.9}, {"uses_moving_statistics": False}],
    ids=["mean was updated", "variance was updated", "normalizes with the batch"],
)
def test_is_silent_where_it_normalizes(make, changes):
    assert not one(make, 1e-20, **changes)


def test_message_says_how_weak_and_what_to_do(make):
    (finding,) = one(make, 1e-8, is_trainable=False)
    assert finding.message.startswith(
        "`norm` does not normalize: the signal is 10,000 times weaker than behind a working"
        " normalization."
    )
    assert finding.fix.startswith("Load weights, or train the layer")


def test_the_last_ones_decide(make):
    made = norm(1e-20, "first"), norm(1.0, "last")
    parts = [make.weight_layer("a"), made[0](make), make.weight_layer("b"), made[1](make)]
    (finding,) = findings_of(FrozenNormalization(), make.chain(*parts, make.head()))
    assert (finding.severity, finding.site) == ("info", "last")
    assert finding.message.startswith("`last` and 1 further layer do not normalize")


def test_a_small_branch_beside_a_stream_is_no_fault(make):
    branch = norm(1e-20)(make)
    total = make.site("add", "merge", inputs=(0, 2))
    parts = [make.site("stream"), make.weight_layer("dense"), branch, total, make.head()]
    (finding,) = findings_of(FrozenNormalization(), make.chain(*parts))
    assert finding.severity == "info"


@pytest.mark.parametrize(("mean", "is_normalized"), [(0.0, False), (0.1, True)])
def test_one_that_does_not_normalize_does_not_excuse_the_layer_before(make, mean, is_normalized):
    profile = make.chain(make.weight_layer("dense"), norm(1.0, mean=mean)(make), make.head())
    assert bool(Evidence(profile).is_normalized[0]) == is_normalized


@pytest.mark.parametrize(("is_trainable", "fix"), [(True, "Give your model's `call`"), (False, "")])
def test_layer_that_is_trained_is_in_inference_mode_by_the_call(make, is_trainable, fix):
    (finding,) = one(make, math.exp(-12.1), is_trainable=is_trainable)
    assert finding.fix.startswith(fix or "Load weights")
