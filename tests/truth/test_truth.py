"""Every network of the truth table is judged as the table says, on one draw.

A verdict does not depend on the backend. On all but torch, which is quickest, the rows that are
neither the first with their codes nor one of a kind of healthy network are slow tests.
`make bench-truth` takes five draws.
"""

import pytest

from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.repairs.planner import plan
from tests.truth.judging import judged, wrong
from tests.truth.nets import FAULTY, HEALTHY

HEALTHY_KINDS = (
    "MLP 5x256, Keras defaults",
    "MLP 10x16 He",
    "MLP 8x128 tanh Glorot",
    "MLP 8x128 GELU He",
    "first layer / 100",
    "MLP with dropout",
    "MLP with batch norm, N(0,1)",
    "CNN 8 He",
    "CNN 8 with batch norm",
    "gated linear units",
    "residual MLP 48, zero branches",
    "ReZero 24",
    "transformer, pre-norm",
    "LSTM",
    "autoencoder",
    "variational autoencoder",
    "subclassed, bare relu",
    "frozen backbone",
    "digits",
    "iris as it comes",
    "one-hot table",
)
SET_BY_HAND = ("first layer / 100", "zero head", "digits, head x 4", "attention with zero queries")
"""Healthy rows that assign weights after these were drawn, which is information."""


def rows():
    """All networks; those that stand for others are slow where the backend is."""
    first = {net.codes: net.name for net in reversed(FAULTY)}
    quick = {*HEALTHY_KINDS, *first.values()}
    for net in [*HEALTHY, *FAULTY]:
        marks = () if net.name in quick else pytest.mark.slow_on("tensorflow", "jax")
        yield pytest.param(net, id=net.name, marks=marks)


@pytest.mark.filterwarnings(
    "ignore:You are using a softmax over axis -1"
)  # Keras itself sees that one
@pytest.mark.parametrize("net", [*rows()])
def test_verdict(net):
    report = judged(net, seed=0)
    assert not wrong(net, report)
    if not net.codes:
        is_told = "IC109" in {finding.code for finding in report.findings}
        # The sign of 16 values is set by hand: whether that shows depends on the draw.
        assert net.name == "seven rows, softplus" or is_told == (net.name in SET_BY_HAND), (
            "weights are as their initializers promise"
        )
        assert "IC210" not in {finding.code for finding in report.findings}, (
            "the prediction holds in healthy networks, whatever their kind"
        )
        assert not plan(report.profile, report.findings, ModelRepairOptions()).steps, (
            "a repair leaves healthy networks alone"
        )


def test_table_is_large_enough():
    assert len(HEALTHY) + len(FAULTY) >= 60


def test_every_healthy_kind_is_in_the_table():
    assert set(HEALTHY_KINDS) <= {net.name for net in HEALTHY}
