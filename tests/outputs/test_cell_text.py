"""Text in cells: what a terminal would act on, wide characters, and characters without width."""

import pytest
from rich.cells import cell_len

from keras_initcheck.outputs.cell_text import pad, shorten, wrap
from keras_initcheck.outputs.cleaning import clean

HARMFUL = {
    "escape": "\x1b",
    "bell": "\x07",
    "carriage return": "\r",
    "line break": "\n",
    "C1 control": "\x9b",
    "right-to-left override": "\u202e",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "variation selector": "\ufe0f",
    "line separator": "\u2028",
    "lone surrogate": "\ud800",
    "private use": "\ue000",
    "unassigned": "\u0378",
}


@pytest.mark.parametrize("character", HARMFUL.values(), ids=HARMFUL)
def test_what_a_terminal_acts_on_is_replaced(character):
    assert clean(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    "text", ["dense/kernel", "[red]markup[/red]", "größe", "e\u0301", "層の名前", "🙂", "a b"]
)
def test_what_can_be_shown_stays(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefghij", 6, "ab…hij"),
        ("abcdefghij", 1, "…"),
        ("", 5, ""),
        ("層の名前", 8, "層の名前"),
        ("層の名前とても", 7, "層…ても"),
        ("層の名前とても", 6, "層…も"),
    ],
    ids=[
        "fits",
        "middle gives way",
        "one cell",
        "empty",
        "wide fits",
        "wide",
        "half a wide character is left out",
    ],
)
def test_shortened_text_keeps_start_and_end(text, width, expected):
    assert shorten(text, width) == expected


@pytest.mark.parametrize("width", range(1, 30))
def test_shortened_text_never_exceeds_its_width(make, width):
    for name in make.nasty_names:
        assert cell_len(shorten(clean(name), width)) <= width


@pytest.mark.parametrize(
    ("text", "align", "expected"),
    [
        ("ab", "left", "ab  "),
        ("ab", "right", "  ab"),
        ("層", "left", "層  "),
        ("e\u0301", "right", "   e\u0301"),
        ("abcde", "left", "abcde"),
    ],
    ids=["left", "right", "wide", "combining", "too long"],
)
def test_padding_fills_up_to_four_cells(text, align, expected):
    assert pad(text, 4, align) == expected


def test_words_are_kept_whole():
    assert wrap("one two three four", 9) == ["one two", "three", "four"]


def test_a_word_that_is_longer_than_a_line_is_cut():
    assert wrap("a bcdefghi j", 4) == ["a", "bcde", "fghi", "j"]


def test_wide_words_are_cut_by_cells():
    assert wrap("層の名前とても", 5) == ["層の", "名前", "とて", "も"]


def test_first_line_has_a_start_of_its_own():
    assert wrap("one two three", 9, indent="    ", first="- ") == ["- one two", "    three"]


def test_white_space_of_any_kind_separates_words():
    assert wrap(" one\n\ttwo\r\nthree ", 80) == ["one two three"]


def test_no_words_are_one_line():
    assert wrap("", 80, indent="  ") == ["  "]


def test_wrapped_text_holds_no_control_characters():
    assert wrap("\x1b[31mred\x07 text", 80) == ["�[31mred� text"]


@pytest.mark.parametrize("width", [10, 11, 17, 40])
def test_wrapped_lines_never_exceed_their_width(make, width):
    assert (
        max(cell_len(line) for line in wrap(" ".join(make.nasty_names), width, indent="  "))
        <= width
    )
