"""Which rows stay. `rows` writes a fold as `(sites, blocks)` and a shown site as its index."""

import pytest

from keras_initcheck.outputs.repeated_blocks import RepeatedBlock, fold
from keras_initcheck.records.sites import SiteStats


def rows(sites, loud=()):
    items = fold(sites, frozenset(loud))
    return [
        (len(item.sites), item.num_blocks) if isinstance(item, RepeatedBlock) else item.index
        for item in items
    ]


def sites_of(types, with_ratio=lambda layer_type: True, shape=lambda index: (8, 64)):
    """Sites of those layer types."""
    return [
        SiteStats(
            index,
            f"s{index}",
            f"s{index}",
            name,
            "weight",
            output_shape=shape(index),
            forward_ratio=1.0 if with_ratio(name) else None,
        )
        for index, name in enumerate(types)
    ]


def unlike(count):
    return [f"Type{number}" for number in range(count)]


def test_forty_rows_are_shown_whole():
    assert rows(sites_of(["Dense"] * 40)) == list(range(40))


def test_equal_rows_are_folded_between_the_first_and_the_last():
    assert rows(sites_of(["Dense"] * 41)) == [0, (39, 39), 40]


def test_repeated_blocks_are_folded():
    sites = sites_of(["Stem", *["Conv2D", "BatchNormalization", "Add"] * 20, "Dense"])
    assert rows(sites) == [0, 1, 2, 3, (54, 18), 58, 59, 60, 61]


def test_stages_of_blocks_are_folded_inside_and_as_a_whole():
    sites = sites_of(["Pooling", *["Conv2D"] * 50] * 4)
    assert rows(sites) == [0, 1, (48, 48), 50, (102, 2), 153, 154, (48, 48), 203]


def test_a_fold_that_would_hide_one_row_is_not_made():
    assert rows(sites_of([*unlike(38), "Dense", "Dense", "Dense"])) == list(range(41))


def test_row_with_a_finding_is_shown():
    assert rows(sites_of(["Dense"] * 300), loud=[150]) == [
        0,
        (148, 148),
        149,
        150,
        151,
        (147, 147),
        299,
    ]


def test_block_with_a_finding_is_shown_apart():
    sites = sites_of(["Conv2D", "Add"] * 50)
    assert rows(sites, loud=[40]) == [0, 1, (36, 18), 38, 39, 40, 41, 42, (54, 27), 97, 98, 99]


def test_equal_types_fold_where_every_shape_differs():
    assert rows(sites_of(["Dense"] * 70, shape=lambda index: (8, index))) == [0, (68, 68), 69]


def test_equal_shapes_are_preferred_to_equal_types():
    sites = sites_of(["Dense"] * 70, shape=lambda index: (8, 64 if index < 30 else 32))
    assert rows(sites) == [0, (28, 28), 29, 30, (38, 38), 69]


def test_rows_without_a_ratio_go_where_they_keep_blocks_apart():
    types = [name for number in range(50) for name in ("Dense", f"Norm{number}")]
    sites = sites_of(types, with_ratio=lambda layer_type: layer_type == "Dense")
    assert rows(sites) == [0, (48, 48), 98]


def test_row_without_a_ratio_stays_if_it_has_a_finding():
    types = [name for number in range(50) for name in ("Dense", f"Norm{number}")]
    sites = sites_of(types, with_ratio=lambda layer_type: layer_type == "Dense")
    assert rows(sites, loud=[51]) == [0, (24, 24), 50, 51, 52, (22, 22), 98]


def test_middle_is_left_out_where_nothing_repeats():
    assert rows(sites_of(unlike(100))) == [*range(20), (60, 0), *range(80, 100)]


def test_findings_in_a_middle_that_is_left_out_are_shown():
    assert rows(sites_of(unlike(100)), loud=[50]) == [
        *range(20),
        (30, 0),
        50,
        (29, 0),
        *range(80, 100),
    ]


def test_findings_everywhere_still_give_a_table_of_two_screens():
    assert rows(sites_of(["Dense"] * 300), loud=range(300)) == [
        *range(40),
        (240, 0),
        *range(280, 300),
    ]


@pytest.mark.parametrize("count", [0, 1, 41, 97, 300])
@pytest.mark.parametrize("period", [1, 3, 7, 45])
def test_every_site_is_shown_or_folded_once_and_in_order(count, period):
    sites = sites_of([f"Type{index % period}" for index in range(count)])
    items = fold(sites)
    found = [
        site
        for item in items
        for site in (item.sites if isinstance(item, RepeatedBlock) else [item])
    ]
    assert found == sites
