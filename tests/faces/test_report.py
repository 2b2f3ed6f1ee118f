"""What a report shows of itself: figures, a page, a notebook's output."""

import io

import keras
import pytest
import rich.console

import keras_initcheck as ic
from keras_initcheck.outputs import console


@pytest.fixture(scope="module")
def report():
    hidden = [keras.layers.Dense(8, "relu", name=f"hidden{index}") for index in range(3)]
    return ic.check(
        keras.Sequential(
            [keras.Input((8,)), *hidden, keras.layers.Dense(2, name="<head>")], name="small"
        )
    )


@pytest.mark.parametrize("kind", ["signal", "ratios", "heat_map"])
def test_figure_of_each_kind(report, kind):
    assert report.figure(kind).data
    assert (
        report.figure(kind, dark=True).layout.paper_bgcolor
        != report.figure(kind).layout.paper_bgcolor
    )


def test_figure_takes_the_options_of_its_kind(report):
    assert (
        report.figure("heat_map", statistic="share_zero_h").layout.title.text
        == "Share of exact zeros in the output"
    )


def test_figure_of_an_unknown_kind_is_an_error(report):
    with pytest.raises(ValueError, match="Received: kind='pie'"):
        report.figure("pie")


def test_report_read_from_json_has_the_same_figure(report):
    assert ic.Report.from_json(report.to_json()).figure().to_json() == report.figure().to_json()


def test_notebook_shows_the_table_and_the_figure(report):
    output = report._repr_html_()
    assert output.startswith("<pre")
    assert "&lt;head&gt;" in output
    assert "<head>" not in output
    assert "<script>" in output


def test_notebook_folds_formulas_and_notes(report):
    shown, _, folded = report._repr_html_().partition("<details>")
    assert "IC501 narrow-for-its-depth" not in shown
    assert "IC501 narrow-for-its-depth" in folded.partition("</details>")[0]


def test_representation_is_one_line_with_the_verdict(report):
    assert repr(report) == f"<Report {report.verdict}>"
    assert "\n" not in repr(report)


def test_details_are_the_report_with_all_notes_in_full(report):
    assert "· IC501 narrow-for-its-depth: hidden0 … hidden2\n" in report.details()
    assert "details: The logarithm of the gain scatters by " in report.details()
    assert "IC501 narrow-for-its-depth" not in str(report)


def test_rich_prints_the_report_as_it_is(report):
    stream = io.StringIO()
    rich.console.Console(file=stream, width=100, markup=True).print(report)
    assert stream.getvalue().splitlines() == [
        line.rstrip() for line in console.render(report, 100).splitlines()
    ]


def test_page_is_saved(report, tmp_path):
    report.save_html(tmp_path / "report.html")
    assert "small: healthy" in (tmp_path / "report.html").read_text(encoding="utf-8")
