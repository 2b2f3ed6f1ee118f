"""Dropout that leaves little of the signal, with its bounds and where signals meet."""

import pytest

from keras_initcheck.rules.dropout import HeavyDropout
from tests.support.profiles import findings_of


@pytest.fixture
def dropout(make):
    """`dropout(name, share, before)`: a layer that keeps a share of a second moment."""

    def build(name, share, before=1.0, **facts):
        changes = {"layer_type": "Dropout", "activations": make.places(before / share), **facts}
        return make.site(name, "pass", **changes)

    return build


@pytest.mark.parametrize(
    ("share", "severity"), [(0.02, None), (0.014, "warning"), (0.004, "error")]
)
def test_single_dropout_has_bounds(share, severity, make, dropout):
    profile = make.chain(make.weight_layer("dense"), dropout("drop", share), make.head())
    found = findings_of(HeavyDropout(), profile)
    assert [finding.severity for finding in found] == [severity] * bool(severity)


def test_dropout_that_kept_nothing_keeps_less_than_one_of_the_batch(make, dropout):
    nothing = make.places(make.moments(0.0, num_elements=500))
    layers = [make.weight_layer("dense"), dropout("drop", 1.0, activations=nothing), make.head()]
    (finding,) = findings_of(HeavyDropout(), make.chain(*layers))
    assert (finding.severity, finding.measured) == ("error", 1 / 500)


def test_shares_multiply_along_the_way(make, dropout):
    layers = [
        layer
        for number in range(3)
        for layer in (make.weight_layer(f"dense_{number}"), dropout(f"drop_{number}", 0.2))
    ]
    (finding,) = findings_of(HeavyDropout(), make.chain(*layers, make.head()))
    assert finding.severity == "warning"
    assert finding.measured == pytest.approx(0.008)
    assert finding.culprits == ("drop_0", "drop_1", "drop_2")
    assert "The 3 dropout layers up to `drop_2` leave 0.8% of it together." in finding.message


def test_skip_connection_carries_the_signal(make, dropout):
    profile = make.chain(
        make.weight_layer("dense"),
        dropout("drop", 0.001),
        make.site("add", "merge", inputs=(0, 1)),
        make.head(),
    )
    assert not findings_of(HeavyDropout(), profile)


@pytest.mark.parametrize("layer_type", ["MyDropout", "AlphaDropout", "UpSampling1D"])
def test_other_layers_do_not_count(layer_type, make, dropout):
    other = dropout("other", 0.001, layer_type=layer_type)
    assert not findings_of(
        HeavyDropout(), make.chain(make.weight_layer("dense"), other, make.head())
    )


def test_dropout_that_rests_or_leaves_nothing_is_silent(make, dropout):
    """In inference mode it keeps everything; a signal of zero is told by other rules."""
    for share, before in ((1.0, 1.0), (0.001, 0.0)):
        profile = make.chain(
            make.weight_layer("dense", activations=make.places(before)),
            dropout("drop", share, before),
            make.head(),
        )
        assert not findings_of(HeavyDropout(), profile)
