"""Weight decay and constraints that take the weights away, with their bounds."""

import math

import pytest

from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.rules.vanishing_weights import VanishingWeights
from tests.support.profiles import findings_of


@pytest.fixture
def profile(make):
    """`profile(sizes, ...)`: a chain of three layers and a head, each with one kernel."""

    def build(sizes=(1.0,) * 4, decay=0.0, updates=(1.0,) * 4, between=(), **facts):
        layers = [make.weight_layer(f"dense_{number}") for number in range(3)]
        step = FirstStep(
            2.3, 2.2, -0.1, 0.01, relative_updates=updates, relative_sizes=sizes, decay=decay
        )
        return make.chain(
            *layers, *between, make.head(), first_step=step, **{"optimizer": "SGD", **facts}
        )

    return build


@pytest.mark.parametrize(
    ("decay", "severity"), [(0.09, None), (0.11, "warning"), (0.3, "error"), (2.0, "error")]
)
def test_decay_has_bounds(decay, severity, profile):
    found = findings_of(VanishingWeights(), profile(decay=decay, optimizer="AdamW"))
    assert [finding.severity for finding in found] == [severity] * bool(severity)


def test_decay_is_told_in_words(profile):
    (finding,) = findings_of(VanishingWeights(), profile(decay=0.3, optimizer="AdamW"))
    assert finding.message.startswith("The weight decay of AdamW takes 30% off each weight")
    (finding,) = findings_of(VanishingWeights(), profile(decay=2.0))
    assert "turns each weight into its opposite" in finding.message


def test_decay_that_all_weights_are_excluded_from_is_silent(profile):
    assert not findings_of(VanishingWeights(), profile(decay=0.5, updates=(0.01,) * 4))


@pytest.mark.parametrize(
    ("size", "optimizer", "severity"),
    [
        (0.5, "SGD", None),  # ½ to the eighth is e^-5.5
        (0.4, "SGD", "warning"),  # e^-7.3
        (0.2, "SGD", "error"),  # e^-12.9
        (0.3, "Adam", None),  # e^-9.6
        (0.2, "Adam", "warning"),
    ],
)
def test_constraints_have_the_budget_of_a_chain(size, optimizer, severity, profile):
    found = findings_of(VanishingWeights(), profile((size,) * 4, optimizer=optimizer))
    assert [finding.severity for finding in found] == [severity] * bool(severity)


def test_worst_kernel_is_told_and_all_are_named(profile):
    (finding,) = findings_of(VanishingWeights(), profile((1e-3, 1e-6, 1e-6, 0.99)))
    assert finding.culprits == ("dense_1", "dense_2")
    assert "`dense_1` becomes 1e6 times smaller" in finding.message
    assert finding.fix == VanishingWeights.fix_of_constraint


@pytest.mark.parametrize("size", [math.nan, math.inf, 1e6])
def test_kernels_that_do_not_shrink_are_silent(size, profile):
    assert not findings_of(VanishingWeights(), profile((size,) * 4))


def test_kernel_of_zeros_after_the_step_is_an_error(profile):
    (finding,) = findings_of(VanishingWeights(), profile((0.0, 1.0, 1.0, 1.0)))
    assert finding.severity == "error"


def test_normalization_removes_the_size(make, profile):
    norm = make.site("norm", "normalization")
    sizes = (1.0, 1.0, 1e-6, 1.0)
    assert findings_of(VanishingWeights(), profile(sizes))
    assert not findings_of(VanishingWeights(), profile(sizes, between=(norm,)))


def test_no_step_is_silent(profile):
    assert not findings_of(VanishingWeights(), profile().with_changes(first_step=None))
