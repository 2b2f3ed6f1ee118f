"""What every figure has in common: kinds, errors, escaping, colors."""

import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import FIGURES, NOTHING, draw
from keras_initcheck.outputs.figures.layout import tick_distance
from keras_initcheck.outputs.figures.palette import DARK, LIGHT, dark_for_light
from keras_initcheck.outputs.figures.text import break_lines, escape
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.statistics import Histogram


@pytest.fixture
def frames(make):
    report = make.report(
        findings=[make.finding("plain0")],
        num_sites=9,
        histograms=(("activation/000_a", Histogram(0, 1, (1, 2))),),
    )
    return [
        FigureData.from_report(report, run="<i>first</i>"),
        FigureData.from_report(report, run="second"),
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", list(FIGURES))
def test_each_kind_is_drawn_in_its_colors(frames, kind, dark):
    figure = draw(kind, frames, dark=dark)
    assert figure.data
    assert NOTHING not in [each.text for each in figure.layout.annotations]
    assert figure.layout.paper_bgcolor == (DARK if dark else LIGHT).background
    assert (LIGHT if dark else DARK).ink not in figure.to_json()


@pytest.mark.parametrize("kind", list(FIGURES))
def test_names_are_never_read_as_markup(frames, kind):
    text = draw(kind, frames).to_json()
    for harmful in ("<script", "<i>", "\\u003cscript", "\\u003ci\\u003e", "\\u001b", "\\u202e"):
        assert harmful not in text.lower()


def test_unknown_kind_is_an_error():
    with pytest.raises(
        ValueError, match=r"`kind` must be one of \['signal', .*\]. Received: kind='pie'."
    ):
        draw("pie", [])


@pytest.mark.parametrize(
    "kind", [kind for kind in FIGURES if kind not in ("before_after", "histograms")]
)
def test_no_frames_are_an_error(kind):
    with pytest.raises(ValueError, match=r"`frames` must hold .* Received: none."):
        draw(kind, [])


@pytest.mark.parametrize("kind", ["signal", "ratios", "heat_map", "update_ratio"])
def test_picture_of_a_network_without_layers_says_that_it_has_no_numbers(kind):
    figure = draw(kind, [FigureData.from_report(Report(Profile.of("empty", ())))])
    assert NOTHING in [each.text for each in figure.layout.annotations]


@pytest.mark.parametrize(
    ("kind", "is_drawn"),
    [("signal", True), ("ratios", False), ("heat_map", True), ("update_ratio", False)],
)
def test_layer_without_weights_has_a_signal_but_no_ratio(make, kind, is_drawn):
    figure = draw(
        kind, [FigureData.from_report(make.report([make.other(0, "drop", "Dropout", "pass")]))]
    )
    assert ("drop" in figure.to_json()) is is_drawn
    assert (NOTHING in [each.text for each in figure.layout.annotations]) is not is_drawn


def test_every_light_color_has_one_dark_color():
    light = [
        each
        for value in vars(LIGHT).values()
        for each in (value if isinstance(value, tuple) else (value,))
    ]
    dark = [
        each
        for value in vars(DARK).values()
        for each in (value if isinstance(value, tuple) else (value,))
    ]
    assert [dark_for_light()[color] for color in light] == dark


def test_text_is_escaped_and_broken_into_lines():
    assert (
        escape("<a href='x'>%{y}\n$e^x$ & so")
        == "&lt;a href='x'&gt;&#37;{y} &#36;e^x&#36; &amp; so"
    )
    assert break_lines("one two three", 7) == "one two<br>three"
    assert break_lines("one two three four", 7, most=2) == "one two<br>three…"


@pytest.mark.parametrize(
    ("span", "distance"), [(0.5, 1), (8, 1), (9, 2), (16, 2), (17, 5), (600, 100), (9e5, 200_000)]
)
def test_ticks_stand_on_whole_powers_of_ten(span, distance):
    assert tick_distance(span) == distance
