"""The console's table: what stands below what, and which columns there is room for."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from rich.cells import cell_len

from keras_initcheck.outputs import table as layout
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.statistics import Places

ALL = (
    "type",
    "output",
    "parameters",
    "mean",
    "std z",
    "zeros",
    "largest",
    "batch",
    "forward",
    "backward",
    "gain",
    "size",
    "gradient",
)
BASIC = ("type", "output", "std z", "forward", "backward", "gain")


@pytest.fixture
def widest(make):
    """Sites whose cells are as wide as cells can be."""
    extreme = make.moments(
        1.23456e-300, mean=-1.23456e-300, max_abs=1.23456e-300, batch_share=1.23456e-300
    )
    facts = {
        "layer_type": "MultiHeadAttentionWithRelativePositions",
        "output_shape": (32, 1024, 1024, 1024, 65536),
        "activations": Places(extreme, extreme, extreme),
        "backward_ratio": 1.23456e-300,
        "predicted_forward_ratio": 1.23456e-300,
        "predicted_backward_ratio": 1.23456e-300,
        "log10_forward_gain": -400.25,
        "predicted_log10_second_moment": -400.25,
        "predicted_log10_gradient": -400.25,
    }
    return [
        make.site(index, f"stage_{index}/block/attention/query_dense", 1.23456e-300, **facts)
        for index in range(300)
    ]


def lay_out(sites, marks, width):
    """The table of all those sites, and its titles."""
    data = FigureData.from_report(Report(Profile.of("net", tuple(sites))))
    return layout.lay_out(data, range(len(sites)), marks, width)


def titles_of(table):
    return tuple(column.title for column in table.columns)


def place(text, sign):
    return cell_len(text[: text.index(sign)])


def test_slashes_stand_below_each_other(make):
    ratios = [1.0, 1e-300, 123.4, math.nan, 0.0]
    table = lay_out(
        [make.site(index, f"a{index}", ratio) for index, ratio in enumerate(ratios)], " " * 5, 80
    )
    assert len({place(line, "/") for line in table.lines}) == 1


def test_wide_names_do_not_shift_the_columns(make):
    names = ["a", "層の名前", "e\u0301", "🙂"]
    table = lay_out(
        [make.site(index, name, output_shape=(8, 7)) for index, name in enumerate(names)],
        " " * 4,
        80,
    )
    assert len({place(line, "Dense") for line in table.lines}) == 1
    assert len({cell_len(line) for line in table.lines}) == 1


def test_numbers_end_below_each_other_and_their_head(make):
    table = lay_out(
        [make.site(0, "a", output_shape=(8, 7)), make.site(1, "b", output_shape=(8, 12345))],
        "  ",
        80,
    )
    ends = [
        place(line, sign) + len(sign)
        for line, sign in zip((table.head, *table.lines), ("output", " 7 ", "12345"), strict=True)
    ]
    assert ends[0] == ends[1] - 1 == ends[2]


def test_row_holds_the_site_s_numbers(make):
    site = make.site(
        0,
        "dense",
        0.5,
        backward_ratio=0.25,
        output_shape=(32, 10),
        num_parameters=1010,
        log10_forward_gain=-1.0,
        predicted_log10_gradient=math.log10(2.0),
    )
    (line,) = lay_out([site], "!", 200).lines
    cells = (
        "! 0 dense Dense 10 1.01k 0 1.41 50% 3.00 0.250 0.707 / 1.00 0.500 / 1.00 0.316 0.707 /"
        " 1.00 0.707 / 1.41"
    )
    assert line.split() == cells.split()


def test_number_that_is_not_known_is_a_minus(make):
    sites = [
        make.site(0, "a", 0.5, predicted_forward_ratio=None),
        make.site(1, "b", forward_ratio=None, activations=Places()),  # nothing was measured
    ]
    table = lay_out(sites, "  ", 80)
    assert "0.707 / - " in table.lines[0]
    assert "- / 1.00" in table.lines[1]


def test_columns_without_content_take_no_room(make):
    table = lay_out([make.other(0, "add", "Add", "merge")], " ", 200)
    assert titles_of(table) == ("type", "output", "mean", "std z", "zeros", "largest", "batch")
    assert "forward" not in table.head


def test_wider_tables_have_more_columns(make):
    sites = [
        replace(site, predicted_log10_gradient=0.0)
        for site in make.report(num_sites=9).profile.sites
    ]
    titles = [set(titles_of(lay_out(sites, " " * 9, width))) for width in range(40, 221)]
    assert titles[0] == {"forward", "gain"}
    assert all(narrow <= wide for narrow, wide in pairwise(titles))
    assert titles[-1] == set(ALL)


def test_eighty_cells_hold_the_basic_columns_whatever_they_hold(widest):
    assert set(titles_of(lay_out(widest, " " * 300, 80))) >= set(BASIC)


@pytest.mark.parametrize("width", [40, 41, 60, 79, 80, 81, 120, 200, 500])
def test_no_line_is_too_long(make, widest, width):
    for sites in (make.report(num_sites=30).profile.sites, widest):
        table = lay_out(sites, " " * len(sites), width)
        assert max(map(cell_len, (table.head, *table.lines))) <= width


def test_no_sites_are_a_head_only():
    assert lay_out([], [], 80).lines == ()
