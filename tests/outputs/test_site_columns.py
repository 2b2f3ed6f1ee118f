"""The columns of the table of sites: values to sort by, and what is shown of them."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.outputs import summary
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.site_columns import COLUMNS, DRAWS, site_columns
from keras_initcheck.outputs.site_statistics import STATISTICS
from keras_initcheck.records.draw import VERDICTS, Draw
from keras_initcheck.records.statistics import Places


def columns(make, *sites):
    return {
        column.title: column
        for column in site_columns(FigureData.from_report(make.report(list(sites))))
    }


def test_every_column_has_a_title_of_its_own_and_a_meaning():
    shown = [*COLUMNS, *(column.predicted for column in COLUMNS if column.prediction)]
    assert len({column.title for column in shown}) == len(shown)
    assert all(column.meaning.endswith(".") for column in shown)


def test_predictions_are_statistics_of_the_log():
    assert {column.prediction.statistic for column in COLUMNS if column.prediction} <= set(
        STATISTICS
    )


def test_measured_and_predicted_signal_and_gradient_stand_beside_each_other(make):
    site = make.site(0, "a", 10.0, predicted_log10_second_moment=2.0, predicted_log10_gradient=-1.0)
    found = columns(make, site)
    titles = ("size", "predicted size", "gradient", "predicted gradient")
    assert [found[title].texts for title in titles] == [
        ("3.16",),
        ("10.0",),
        ("0.707",),
        ("0.316",),
    ]
    assert [title for title in found if title in titles] == list(titles)


def test_column_without_content_is_left_out(make):
    found = columns(make, make.other(0, "add", "Add", "merge"))
    assert not {"activation", "parameters", "forward", "predicted forward", "gradient"} & set(found)


@pytest.mark.parametrize(
    ("title", "expected"),
    [("forward", ("nan", "")), ("size", ("nan", "nan")), ("mean", ("nan", "nan"))],
)
def test_nan_is_shown_where_the_output_is_broken(make, title, expected):
    broken = make.moments(math.nan, mean=math.nan, share_nonfinite=1.0)
    weight = make.site(0, "a", math.nan, activations=Places(make.moments(), broken, broken))
    relu = make.other(1, "relu", "ReLU", "activation")
    relu = type(relu)(**{**vars(relu), "activations": Places(h=broken)})
    healthy = make.site(2, "b")
    assert columns(make, weight, relu, healthy)[title].texts[:2] == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("forward", ("0", "nan", "nan", "")),
        ("backward", ("nan", "nan", "", "")),
        ("gain", ("0", "nan", "", "")),
    ],
)
def test_nan_is_shown_where_no_signal_arrives(make, title, expected):
    nothing = make.moments(0.0, share_zero=1.0)
    undefined = {"forward_ratio": None, "backward_ratio": None, "log10_forward_gain": None}
    no_signal = {"activations": Places(nothing, nothing, nothing)}
    no_gradient = {"random_gradients": Places(x=nothing, h=nothing)}
    cut = {"random_gradients": None, "backward_ratio": None}
    dead = make.site(
        0, "dead", 0.0, **no_gradient, backward_ratio=None, log10_forward_gain=-math.inf
    )
    after = make.site(1, "after", **{**undefined, **no_signal, **no_gradient})
    head = make.site(2, "head", **{**undefined, **no_signal, **cut}, is_head=True)
    not_measured = make.site(3, "own", **{**undefined, **cut, "activations": Places()})
    assert columns(make, dead, after, head, not_measured)[title].texts == expected


def test_missing_predictions_are_reported_once_for_each_cause(make):
    reason = "it remembers"
    sites = [
        make.site(0, "dense", unpredicted=f"on the gradient's way back: lstm: {reason}"),
        make.site(1, "lstm", unpredicted=reason),
        make.site(2, "after", unpredicted=f"lstm: {reason}"),
        make.site(3, "own", unpredicted="a layer of the user's own"),
        make.site(4, "fine"),
    ]
    profile = make.report(sites, not_probed=(("cell", "inside lstm"),)).profile
    assert summary.not_probed(profile) == [
        ("cell", "inside lstm"),
        ("lstm", "signal or gradient is not predicted, and 2 sites because of it: it remembers"),
        ("own", "signal or gradient is not predicted: a layer of the user's own"),
    ]


def test_fault_that_is_reported_already_is_not_repeated(make):
    failed = "the prediction failed: ValueError"
    site = make.site(0, "dense", unpredicted=failed)
    notes = (("dense", f"{failed}; please report it"),)
    assert summary.not_probed(make.report([site], not_probed=notes).profile) == [*notes]


@pytest.mark.parametrize("num_others", [0, 1])
def test_missing_prediction_of_a_site_that_was_left_out_is_listed_for_other_sites_only(
    make, num_others
):
    mask = make.other(0, "mask", "NotEqual", "other")
    mask = type(mask)(**{**vars(mask), "unpredicted": "its output is not observed"})
    others = [make.site(1, "dense", unpredicted="mask: its output is not observed")]
    notes = (("mask", "its output is not a dense floating-point tensor"),)
    found = summary.not_probed(make.report([mask, *others[:num_others]], not_probed=notes).profile)
    assert found[0] == notes[0]
    assert [path for path, _ in found[1:]] == ["mask"] * num_others


@pytest.mark.parametrize(("verdict", "word"), list(zip(VERDICTS, DRAWS, strict=True)))
def test_each_verdict_on_a_draw_has_a_word(make, verdict, word):
    site = make.site(0, "a")
    kernel = replace(make.kernel(site), draw=Draw(verdict))
    report = make.report([site])
    profile = report.profile.with_changes(weights=(kernel,))
    data = FigureData.from_report(replace(report, profile=profile))
    (drawn,) = [column for column in site_columns(data) if column.title == "drawn"]
    assert drawn.texts == (word,)


def test_probe_that_does_not_compare_has_no_column_of_draws(make):
    site = make.site(0, "a")
    report = make.report([site])
    profile = report.profile.with_changes(weights=(replace(make.kernel(site), draw=None),))
    data = FigureData.from_report(replace(report, profile=profile))
    assert "drawn" not in {column.title for column in site_columns(data)}
