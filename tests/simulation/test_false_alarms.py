"""A few of the networks that `make bench-false-alarms` draws by the hundred, each with one seed."""

import pytest

from tests.support.random_draws import MLPS, alarms, cnn_alarms, fault_alarms, inputs, mlp

DRAWN = (
    ("relu, he_normal", 16, 10, True),
    ("relu, he_uniform", 64, 5, False),
    ("relu, orthogonal · √2", 64, 8, False),
    ("tanh, glorot_normal", 64, 8, True),
    ("selu, lecun_normal", 64, 5, True),
    ("gelu, n Var w = 2.35", 64, 5, False),
)


@pytest.mark.parametrize(("kind", "width", "depth", "is_correlated"), DRAWN)
def test_healthy_network_raises_no_alarm(kind, width, depth, is_correlated):
    activation, initializer, _ = MLPS[kind]
    found = alarms(
        mlp(width, depth, activation, initializer, seed=0), inputs((16, width), 0, is_correlated)
    )
    # tanh squashes its first signals by design: that layer-ratio, which is information, says so is
    # right
    assert found <= ({"layer"} if activation == "tanh" else set())


def test_healthy_convolutional_network_raises_no_alarm():
    assert not set().union(
        *cnn_alarms("CNN, relu, he_normal", seed=0, sizes=((4, 16),), batches=(4,))
    )


@pytest.mark.parametrize(
    ("fault", "depth", "expected"),
    [
        ("glorot_uniform", 14, {"layer", "gain"}),
        ("N(0, 1)", 5, {"layer", "gain"}),
        ("He, one layer × 3", 5, {"layer"}),
        ("He, all × 1.2", 20, {"gain"}),
    ],
)
def test_fault_is_found(fault, depth, expected):
    assert fault_alarms(fault, 64, depth, seed=0) >= expected


def test_small_drift_of_a_short_network_is_left_alone():
    assert not fault_alarms("He, all × 1.05", 64, 5, seed=0)


def test_correlated_inputs_have_what_they_share():
    """Nine tenths of the second moment: the between-sample share of the variance is a tenth, up to
    chance of 1024 numbers.
    """
    x = inputs((256, 1024), 0, is_correlated=True)
    assert x.var(axis=0).mean() == pytest.approx(
        0.1, rel=0.05
    )  # five standard deviations of 256 · 1024 squares are 1.4%
    assert (x**2).mean() == pytest.approx(1.0, rel=0.2)  # of 1024 shared squares, 4.4% each
