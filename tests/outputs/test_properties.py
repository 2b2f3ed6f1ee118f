"""Properties of the pure layers for any names and numbers: nothing is lost on the way."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from keras_initcheck.outputs.cell_text import pad, shorten, wrap
from keras_initcheck.outputs.cleaning import LONGEST
from keras_initcheck.outputs.json_format import from_json, to_json
from keras_initcheck.outputs.markdown import escape
from keras_initcheck.outputs.repeated_blocks import SHORT, RepeatedBlock, fold
from keras_initcheck.records.finding import SEVERITIES, Finding
from keras_initcheck.records.number_format import format_number, format_power_of_ten
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments, Places

ALL_CHARACTERS = st.characters(codec=None, exclude_categories=())  # halves of surrogate pairs, too
NAMES = st.text(ALL_CHARACTERS, max_size=40)
NUMBERS = st.floats()
SIZES = st.floats(min_value=0.0) | st.just(math.nan)
SHARES = st.floats(0.0, 1.0) | st.just(math.nan)
MOMENTS = st.builds(
    Moments, NUMBERS, NUMBERS, SIZES, SIZES, SHARES, SHARES, NUMBERS, st.integers(0, 2**40), SHARES
)
FINDINGS = st.builds(
    Finding,
    NAMES,
    NAMES,
    st.sampled_from(SEVERITIES),
    NAMES,
    NAMES,
    NAMES,
    site=st.none() | NAMES,
    layer=st.none() | NAMES,
    measured=st.none() | NUMBERS,
    culprits=st.lists(NAMES, max_size=2).map(tuple),
)


@st.composite
def reports(draw):
    sites = tuple(
        SiteStats(
            index,
            draw(NAMES),
            draw(NAMES),
            draw(NAMES),
            draw(st.sampled_from(["weight", "merge", "other"])),
            inputs=tuple(range(index)) if draw(st.booleans()) else (),
            output_shape=draw(st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple)),
            activations=Places(h=draw(st.none() | MOMENTS)),
            forward_ratio=draw(st.none() | SIZES),
            unpredicted=draw(st.none() | NAMES),
        )
        for index in range(draw(st.integers(0, 3)))
    )
    profile = Profile.of(
        draw(NAMES), sites, loss=draw(st.none() | NUMBERS), step=draw(st.integers(0, 9))
    )
    return Report(profile, tuple(draw(st.lists(FINDINGS, max_size=2))))


@settings(max_examples=60, deadline=None)
@given(reports())
def test_report_comes_back_from_its_json(report):
    text = to_json(report)
    assert text.isascii()
    assert from_json(text) == report
    assert to_json(from_json(text)) == text


TYPES = st.sampled_from(["Dense", "Add", "BatchNormalization"])


@settings(max_examples=60, deadline=None)
@given(st.lists(TYPES, max_size=130), st.sets(st.integers(0, 129), max_size=5))
def test_folding_loses_no_layer_and_keeps_their_order(types, loud):
    """Sites without a ratio, such as normalizations and merges, are all that may be left out."""
    sites = [
        SiteStats(index, f"s{index}", "s", kind, "weight", forward_ratio=1.0)
        for index, kind in enumerate(types)
    ]
    items = fold(sites, frozenset(loud))
    shown = [item for item in items if isinstance(item, SiteStats)]
    spread = [
        site.index
        for item in items
        for site in (item.sites if isinstance(item, RepeatedBlock) else (item,))
    ]
    assert spread == list(range(len(types)))
    assert all(first.index < second.index for first, second in pairwise(shown))
    if len(types) <= SHORT:
        assert shown == sites


@settings(max_examples=200, deadline=None)
@given(st.text(ALL_CHARACTERS, max_size=300), st.integers(12, 60))
def test_wrapped_lines_fit_and_hold_every_word(text, width):
    lines = wrap(text, width, indent="  ", first="* ")
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.startswith("* " if number == 0 else "  ") for number, line in enumerate(lines))
    assert len(text) <= LONGEST
    kept = "".join("".join(line[2:].split()) for line in lines)
    assert len(kept) == len("".join(text.split()))


@settings(max_examples=200, deadline=None)
@given(st.text(ALL_CHARACTERS, max_size=80), st.integers(3, 40))
def test_shortened_names_fit(text, width):
    assert cell_len(shorten(text, width)) <= width
    assert cell_len(pad(shorten(text, width), width)) == width


@settings(max_examples=300, deadline=None)
@given(NUMBERS)
def test_number_keeps_its_sign_and_size(number):
    shown = float(format_number(number).replace(",", ""))
    assert math.isnan(shown) is math.isnan(number)
    if math.isfinite(number):
        assert shown == float(f"{number:.2e}") or math.isclose(shown, number, rel_tol=0.5)


@settings(max_examples=300, deadline=None)
@given(st.floats(-1e6, 1e6))
def test_power_of_ten_is_a_short_number(exponent):
    assert len(format_power_of_ten(exponent)) <= len("1e-1000000")


@settings(max_examples=200, deadline=None)
@given(st.text(ALL_CHARACTERS, max_size=80))
def test_markdown_holds_no_command(text):
    assert not set(escape(text)) & set("<>|`*_[]\\~!\"'$:\n")
