"""Tables whose columns have different scales."""

import pytest

from keras_initcheck.rules.column_rules import ColumnScale
from tests.support.profiles import findings_of


def table(make, columns, *between, layer=None, **changes):
    first = layer if layer is not None else make.weight_layer("first", input_shape=(8, 13))
    return make.chain(
        *between,
        first,
        make.weight_layer("second"),
        make.head(),
        tabular_inputs=(columns,),
        **changes,
    )


def severities(profile):
    return [finding.severity for finding in findings_of(ColumnScale(), profile)]


@pytest.mark.parametrize(
    ("ratio", "share", "count"), [(20.1, 0.96, 1), (19.9, 0.99, 0), (100.0, 0.94, 0), (1.0, 0.1, 0)]
)
def test_column_that_drowns_the_others_is_a_warning(make, ratio, share, count):
    assert severities(table(make, make.columns(ratio, share))) == ["warning"] * count


def test_columns_are_named(make):
    (finding,) = findings_of(
        ColumnScale(), table(make, make.columns(400.0, width=13, largest=(12, 3, 4, 5)))
    )
    assert finding.message.startswith(
        "Columns 12, 3, 4 and 1 more outweigh the other columns of input `x`: the largest of 13"
    )
    assert finding.details == "99% of the mean square of all columns."
    assert finding.site == "first"


@pytest.mark.parametrize(
    ("kind", "layer_type", "count"),
    [("pass", "Dropout", 1), ("pass", "Rescaling", 0), ("normalization", "Norm", 0)],
)
def test_what_may_rescale_columns_is_trusted(make, kind, layer_type, count):
    before = make.site("before", kind, layer_type=layer_type)
    assert len(severities(table(make, make.columns(400.0), before))) == count


def test_normalised_output_makes_it_information(make):
    layers = (
        make.weight_layer("first", input_shape=(8, 13)),
        make.site("norm", "normalization"),
        make.head(),
    )
    assert severities(make.chain(*layers, tabular_inputs=(make.columns(400.0),))) == ["info"]


def test_frozen_and_other_layers_are_silent(make):
    for layer in (
        make.weight_layer("first", input_shape=(8, 13), is_trainable=False),
        make.weight_layer("first", input_shape=(8, 20)),
    ):
        assert not severities(table(make, make.columns(400.0), layer=layer))


def test_made_up_inputs_say_nothing(make):
    assert not severities(table(make, make.columns(400.0), is_synthetic=True))


def test_two_tables_of_one_width_cannot_be_told_apart(make):
    profile = table(make, make.columns(400.0))
    assert not severities(
        profile.with_changes(tabular_inputs=(make.columns(1.0, input="y"), make.columns(400.0)))
    )


@pytest.mark.parametrize(
    ("largest", "words"),
    [
        ((12,), "Column 12 outweighs the other columns of input `x`"),
        ((12, 3, 5), "Columns 12, 3, 5 outweigh"),
        ((12, 3, 5, 7), "Columns 12, 3, 5 and 1 more outweigh"),
    ],
)
def test_up_to_three_columns_are_named(make, largest, words):
    columns = make.columns(42.0, largest=largest, median=2.0)
    (finding,) = findings_of(ColumnScale(), table(make, columns))
    assert words in finding.message
    assert finding.measured == 21.0


def test_table_whose_median_column_is_zero_has_no_ratio(make):
    assert not findings_of(ColumnScale(), table(make, make.columns(40.0, median=0.0)))
