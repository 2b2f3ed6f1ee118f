"""Indices that an embedding's table does not have."""

import pytest

from keras_initcheck.records.data import IndexInput
from keras_initcheck.rules.index_rules import Indices
from tests.support.profiles import findings_of


def found(make, minimum, maximum, outside=0.0, fractional=0.0, name="tab", **changes):
    """The findings for a table of four rows."""
    indices = IndexInput(0, name, 4, minimum, maximum, outside, fractional)
    sites = (make.site("embedding", "embedding"), make.head())
    return findings_of(Indices(), make.chain(*sites, index_inputs=(indices,), **changes))


def test_indices_of_the_table_are_silent(make):
    assert not found(make, 0.0, 3.0)


@pytest.mark.parametrize(
    ("facts", "severity", "message", "fix"),
    [
        ((0.0, 7.0, 0.5), "error", "reach 7, but its table has 4 rows", "Use input_dim=8 or more"),
        ((-1.0, 3.0, 0.1), "warning", "range from -1 to 3, and negative", "Number the ids from 0"),
        ((-5.0, 3.0, 0.1), "error", "range from -5 to 3, and negative", "Number the ids from 0"),
        ((0.1, 0.9, 0.0, 1.0), "warning", "are no whole numbers, 100% of them", "Feed measurement"),
        ((-2.5, 5.5, 0.5, 1.0), "error", "they range from -2.5 to 5.5", "Feed measurements"),
    ],
    ids=["too large", "from the end", "beyond the end", "fractions", "measurements"],
)
def test_other_numbers_are_told_with_their_extent(make, facts, severity, message, fix):
    (finding,) = found(make, *facts)
    assert (finding.severity, finding.site) == (severity, "embedding")
    assert finding.message.startswith("The ids that `embedding` looks up from the input `tab` ")
    assert message in finding.message
    assert finding.fix.startswith(fix)


def test_indices_that_layers_make_have_no_input_to_name(make):
    (finding,) = found(make, 0.0, 7.0, 0.5, name="")
    assert finding.message.startswith("The ids that `embedding` looks up reach 7")


def test_made_up_inputs_are_not_judged(make):
    assert not found(make, -3.0, 3.0, 0.5, 1.0, is_synthetic=True)
