"""The columns of the table of sites: values to sort by, and what is shown of them."""

import math

import pytest

from keras_initcheck.outputs import summary
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.site_columns import COLUMNS, site_columns
from keras_initcheck.outputs.site_statistics import STATISTICS
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
    titles = ("q(h)", "predicted q(h)", "gradient", "predicted gradient")
    assert [found[title].texts for title in titles] == [("10.0",), ("100",), ("0.500",), ("0.100",)]
    assert [title for title in found if title in titles] == list(titles)


def test_column_without_content_is_left_out(make):
    found = columns(make, make.other(0, "add", "Add", "merge"))
    assert not {"activation", "parameters", "forward", "predicted forward", "gradient"} & set(found)


@pytest.mark.parametrize(
    ("title", "expected"),
    [("forward", ("nan", "")), ("q(h)", ("nan", "nan")), ("mean", ("nan", "nan"))],
)
def test_nan_is_shown_where_the_output_is_broken(make, title, expected):
    broken = make.moments(math.nan, mean=math.nan, share_nonfinite=1.0)
    weight = make.site(0, "a", math.nan, activations=Places(make.moments(), broken, broken))
    relu = make.other(1, "relu", "ReLU", "activation")
    relu = type(relu)(**{**vars(relu), "activations": Places(h=broken)})
    healthy = make.site(2, "b")
    assert columns(make, weight, relu, healthy)[title].texts[:2] == expected


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
