"""A trial as text, in the report, on the page, in a notebook, as a figure and in JSON."""

import json
import math
from dataclasses import replace

import pytest

from keras_initcheck.outputs import console, html_report, json_format, notebook, trial_text
from keras_initcheck.outputs.figures.trial import trial_curves
from keras_initcheck.records.report import Report
from keras_initcheck.records.trial import Trial

LOSSES = tuple(2.4 - 0.1 * step for step in range(12))
TRIAL = Trial(
    "net",
    "learns",
    "the loss fell from 2.4 to 1.3 in 12 steps",
    curves=(("loss", LOSSES), ("accuracy", (0.5,) * 12)),
    judged="loss",
    guessing_loss=2.3,
    start=2.35,
    end=1.35,
    noise=0.01,
    num_updates=12,
    weights=("a", "b", "c"),
    watched_steps=(0, 11),
    relative_updates=((0.2, 0.4, math.nan), (0.01, 0.03, 5.0)),
    optimizer="Adam",
    batch_size=32,
    source="12 batches of ndarray, shuffled",
    seconds=0.5,
)
ADVERSARIES = replace(
    TRIAL, verdict="undecided", judged="", curves=(("d_loss", (1.0, 2.0)), ("g_loss", (3.0, 1.0)))
)
DIVERGES = replace(
    TRIAL, verdict="diverges", curves=(("loss", (2.0, *(math.nan,) * 11)),), noise=math.nan
)


@pytest.fixture
def report(full_report):
    return with_trial(full_report, TRIAL)


def with_trial(report, trial):
    return replace(report, profile=replace(report.profile, trial=trial))


def test_text_has_verdict_curve_and_updates():
    assert str(TRIAL).splitlines() == [
        "net: trial of 12 steps, Adam, 12 batches of ndarray, shuffled, 32 samples each, 0.500 s",
        "    Learns: the loss fell from 2.4 to 1.3 in 12 steps.",
        "    loss 2.40 █▇▇▆▅▅▄▄▃▂▂▁ 1.30, noise 0.0100 a step",
        "    12 updates, of each weight (median): 0.300 at step 1, 0.0200 at step 12.",
    ]


def test_curves_of_several_losses_are_shown_each():
    lines = trial_text.lines(ADVERSARIES)
    assert lines[1:3] == ["d_loss 1.00 ▁█ 2.00", "g_loss 3.00 █▁ 1.00"]


def test_long_curve_fits_a_line():
    assert len(trial_text.sparkline(range(1000))) == trial_text.LONGEST_CURVE


def test_report_shows_it(report):
    assert "Trial of 12 steps: Learns: the loss fell" in console.render(report, 100)
    assert max(map(len, console.render(report, 60).splitlines())) <= 60


def test_page_shows_verdict_and_figure(report):
    page = html_report.render(report)
    assert "A trial: training steps, made and taken back" in page
    assert "Learns: the loss fell from 2.4 to 1.3 in 12 steps." in page
    assert 'data-figure="trial"' in page


def test_page_without_a_trial_has_no_section(full_report):
    assert "A trial" not in html_report.render(with_trial(full_report, None))


def test_notebook_shows_both_figures(report):
    assert notebook.render(report).count('id="initcheck-') == 2
    assert TRIAL._repr_html_().count('id="initcheck-') == 1


@pytest.mark.parametrize("dark", [False, True])
def test_figure_has_curve_noise_and_guess(dark):
    names = [trace.name for trace in TRIAL.figure(dark=dark).data]
    assert names == ["noise of a step", "loss", "guessing, 2.30"]
    assert list(TRIAL.figure().data[1].y) == list(LOSSES)


def test_figure_without_a_judged_curve_has_all():
    assert [trace["name"] for trace in trial_curves(ADVERSARIES).data] == ["d_loss", "g_loss"]


def test_figure_leaves_out_what_is_not_finite():
    curve = next(trace for trace in trial_curves(DIVERGES).data if trace["name"] == "loss")
    assert curve["y"] == [2.0, *[None] * 11]
    assert curve["hovertext"][1].endswith("nan")


def test_trial_without_curves_has_no_figure():
    with pytest.raises(ValueError, match=r"must have a curve"):
        replace(TRIAL, curves=()).figure()


@pytest.mark.parametrize("trial", [TRIAL, ADVERSARIES, DIVERGES], ids=["learns", "two", "NaN"])
def test_json_is_the_report(full_report, trial):
    found = with_trial(full_report, trial)
    assert Report.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("verdict", "fine", "one of learns, learns slowly, does not learn, diverges, undecided"),
        ("judged", "other", "the name of a curve"),
        ("curves", [["loss", [1.0]], ["accuracy", [1.0, 2.0]]], "a list of 2 entries"),
        ("penalties", [1.0], "a list of 12 entries"),
        ("watched_steps", [0], "a list of 1 entries"),
        ("relative_updates", [[1.0], [2.0]], "a list of 3 entries"),
        ("noise", -1.0, "0 or more"),
        ("num_updates", -1, "0 or more"),
    ],
)
def test_document_that_contradicts_itself_is_refused(report, field, value, match):
    document = json.loads(json_format.to_json(report))
    document["profile"]["trial"][field] = value
    with pytest.raises(ValueError, match=match):
        json_format.from_json(json.dumps(document))
