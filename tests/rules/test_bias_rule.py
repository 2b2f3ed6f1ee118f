"""Biases that are larger than the signal which they are added to."""

import pytest

from keras_initcheck.rules.biases import DrowningBiases
from tests.support.profiles import findings_of


def biased(make, share, name="a", rounding=0.0, **changes):
    """A layer whose biases make that share of its pre-activation's second moment of 2."""
    moments = make.moments(2.0 * share, mean=(2.0 * share) ** 0.5, variance=rounding)
    bias = make.kernel(name, 0.0, name=f"{name}/bias", role="bias", shape=(64,), moments=moments)
    facts = {"activations": make.places(z=2.0), **changes}
    return make.weight_layer(name, kernels=[make.kernel(name, 2 / 64), bias], **facts)


def severities(make, *layers, **changes):
    found = findings_of(DrowningBiases(), make.chain(*layers, make.head(), **changes))
    return [finding.severity for finding in found]


@pytest.mark.parametrize(("share", "count"), [(0.89, 0), (0.91, 1)])
def test_a_constant_that_leaves_a_tenth_of_the_signal_is_a_warning(make, share, count):
    assert severities(make, biased(make, share)) == ["warning"] * count


def test_shares_of_a_chain_multiply(make):
    layers = [biased(make, share, name) for name, share in (("a", 0.5), ("b", 0.7), ("c", 0.6))]
    (finding,) = findings_of(DrowningBiases(), make.chain(*layers, make.head()))
    # 0.5 · 0.3 · 0.4
    assert "Over the 3 layers from `a` to `c`, biases leave 6% of the signal." in finding.message
    assert finding.culprits == ("b", "c", "a")
    assert not severities(make, *layers[:2])


@pytest.mark.parametrize(
    "changes",
    [{"is_trainable": False}, {"chain": None}, {"rounding": 1.0}],
    ids=["frozen", "in no chain", "not constant"],
)
def test_biases_of_other_kinds_are_silent(make, changes):
    assert not severities(make, biased(make, 0.95, **changes))


def test_trained_networks_are_silent(make):
    assert not severities(make, biased(make, 0.95), step=1)


def test_biases_before_a_normalization_are_silent(make):
    assert not severities(make, biased(make, 0.95), make.site("norm", "normalization"))


def test_made_up_inputs_have_no_size_to_hold_biases_against(make):
    assert severities(make, biased(make, 0.95), is_synthetic=True) == ["info"]
