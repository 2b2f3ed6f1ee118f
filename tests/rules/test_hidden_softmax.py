"""A softmax between the hidden layers, and the many that weight what they meet."""

import pytest

from keras_initcheck.rules.hidden_softmax import HiddenSoftmax
from tests.support.profiles import findings_of


def found(make, *between, outputs=None, **changes):
    """The findings where `between` stands behind a hidden softmax."""
    softmax = make.weight_layer("hidden", activation="softmax", output_shape=(8, 64))
    index = 1 + len(between)
    known = (make.target(site=index),) if outputs is None else outputs
    return findings_of(
        HiddenSoftmax(), make.chain(softmax, *between, make.head(), outputs=known, **changes)
    )


def test_softmax_before_a_layer_with_weights_is_a_warning(make):
    (finding,) = found(make)
    assert (finding.severity, finding.culprits) == ("warning", ("hidden",))
    assert "the 64 units of `hidden` sum to one for every sample" in finding.message
    assert "each is about 0.0156" in finding.message


def test_dropout_between_changes_nothing(make):
    assert found(make, make.site("dropout", "pass"))


@pytest.mark.parametrize("kind", ["merge", "normalization", "other", "block"])
def test_softmax_that_meets_something_else_is_silent(make, kind):
    assert not found(make, make.site("other", kind))


def test_softmax_that_is_an_output_itself_is_silent(make):
    assert not found(make, outputs=(make.target(site=0), make.target(site=1)))


def test_softmax_that_may_be_an_output_is_information(make):
    (finding,) = found(make, outputs=())
    assert finding.severity == "info"


def test_softmax_before_arithmetic_outside_of_layers_is_silent(make):
    softmax = make.weight_layer("scores", activation="softmax")
    after = make.weight_layer("after", inputs_known=False)
    assert not findings_of(
        HiddenSoftmax(), make.chain(softmax, after, make.head(), outputs=(make.target(),))
    )


def test_head_may_end_in_a_softmax(make):
    head = make.weight_layer("head", activation="softmax", is_head=True)
    assert not findings_of(
        HiddenSoftmax(), make.chain(make.weight_layer("a"), head, outputs=(make.target(),))
    )
