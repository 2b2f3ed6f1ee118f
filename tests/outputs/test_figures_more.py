"""Ratios, heat maps, update ratios and histograms, every number worked out by hand."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.outputs.figures.histograms import outline
from keras_initcheck.outputs.figures.training_figures import MAP_LEGEND_ROOM
from keras_initcheck.records.statistics import Histogram, Places


def frame_of(make, seconds, step=0, **changes):
    """Three layers with those second moments behind them."""
    sites = [
        make.site(
            index,
            f"layer{index}",
            activations=Places(make.moments(), None, make.moments(second, **changes)),
        )
        for index, second in enumerate(seconds)
    ]
    return FigureData.from_report(make.report(sites, step=step))


def trace_called(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_ratio_stands_beside_its_prediction_and_band(make):
    site = make.site(0, "dense", 10.0, predicted_forward_ratio=100.0, log_ratio_variance=0.25)
    figure = draw("ratios", [FigureData.from_report(make.report([site]))])
    assert trace_called(figure, "measured").y == (0.5,)
    assert trace_called(figure, "predicted ± chance").y == (1.0, 1.0, None)
    band = next(trace for trace in figure.data if trace.fill == "toself")
    assert (band.y[0], band.y[2]) == pytest.approx(
        [1 + (-0.125 - 2.576 * 0.5) / math.log(100), 1 + (-0.125 + 2.576 * 0.5) / math.log(100)]
    )


def test_ratio_of_zero_stands_at_the_lower_edge(make):
    figure = draw(
        "ratios",
        [FigureData.from_report(make.report([make.site(0, "a"), make.site(1, "dead", 0.0)]))],
    )
    low, high = figure.layout.yaxis.range
    assert low < trace_called(figure, "measured").y[1] < low + 0.1 * (high - low)


def test_map_compares_each_step_with_its_first_layer(make):
    figure = draw("heat_map", [frame_of(make, (10, 100, 1)), frame_of(make, (1, 1000, 1), step=5)])
    assert [list(row) for row in figure.data[0].z] == [[0.0, 0.0], [0.5, 1.5], [-0.5, 0.0]]
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1.5, 1.5)
    assert list(figure.data[0].x) == [-2.5, 2.5, 7.5]


def test_map_shows_zero_in_grey_and_nan_in_black(make):
    figure = draw(
        "heat_map",
        [frame_of(make, (10, 0, 10)), frame_of(make, (10, 10, 10), step=1, share_nonfinite=1.0)],
    )
    values, dead, broken = (trace for trace in figure.data if trace.type == "heatmap")
    assert [list(row) for row in values.z] == [[0.0, None], [None, None], [0.0, None]]
    assert [list(row) for row in dead.z] == [[None, None], [1.0, None], [None, None]]
    assert [list(row) for row in broken.z] == [[None, 1.0]] * 3
    assert {trace.name for trace in figure.data if trace.showlegend} == {"zero", "NaN or infinite"}


def test_map_keeps_room_for_a_legend_only_where_it_has_one(make):
    plain, marked = (draw("heat_map", [frame_of(make, (10, last, 10))]).layout for last in (10, 0))
    assert marked.margin.b - plain.margin.b == marked.height - plain.height == MAP_LEGEND_ROOM


def test_map_of_shares_runs_from_none_to_all(make):
    figure = draw("heat_map", [frame_of(make, (1, 1, 1), share_zero=0.5)], statistic="share_zero_h")
    assert [list(row) for row in figure.data[0].z] == [[0.5]] * 3
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1)


def test_map_of_an_unknown_statistic_is_an_error(make):
    with pytest.raises(
        ValueError,
        match=(
            r"`statistic` must be one of \['log10_second_moment_h', .*Received: statistic='mean'."
        ),
    ):
        draw("heat_map", [frame_of(make, (1, 1, 1))], statistic="mean")


@pytest.mark.parametrize("kind", ["heat_map", "update_ratio"])
def test_frames_of_different_models_are_an_error(make, kind):
    with pytest.raises(
        ValueError, match=r"must have the same layers. Received: probes of different models."
    ):
        draw(kind, [frame_of(make, (1, 1, 1)), frame_of(make, (1, 1))])


def test_update_ratio_is_a_curve_for_each_layer(make):
    report = make.report([make.site(index, f"layer{index}") for index in range(2)])
    slower = report.profile.with_changes(
        step=10,
        weights=tuple(replace(each, gradient_norm=0.0) for each in report.profile.weights),
    )
    figure = draw(
        "update_ratio",
        [FigureData.from_report(replace(report, profile=slower)), FigureData.from_report(report)],
    )
    curve = trace_called(figure, "layer0")
    assert curve.x == (0, 10)
    assert curve.y[0] == pytest.approx(math.log10(12.8 / 64))
    assert curve.y[1] > figure.layout.yaxis.range[0]
    assert "0" in curve.hovertext[1]


def test_outline_of_a_histogram_is_on_its_own_scale():
    x, y = outline(Histogram(-2.0, 4.0, (1.0, 4.0)))
    assert x == [-0.5, -0.5, 0.25, 0.25, 1.0, 1.0]
    assert y == [0.0, 0.5, 0.5, 1.0, 1.0, 0.0]


def test_histograms_show_at_most_24_layers(make):
    pairs = tuple((f"weight/layer{index}", Histogram(0.0, 1.0, (1.0, 2.0))) for index in range(100))
    figure = draw(
        "histograms", [FigureData.from_report(make.report(histograms=pairs))], what="weight"
    )
    assert [figure.data[0].name, figure.data[-1].name, len(figure.data)] == [
        "layer0",
        "layer99",
        24,
    ]
    assert "24 of 100 layers" in figure.layout.title.text


def test_histograms_that_were_not_recorded_are_an_error(make):
    frame = FigureData.from_report(make.report(histograms=(("weight/a", Histogram(0.0, 0.0, ())),)))
    with pytest.raises(ValueError, match=r"Received: none. Histograms are recorded by `InitCheck"):
        draw("histograms", [frame])
    with pytest.raises(ValueError, match=r"`what` must be one of .* Received: what='bias'."):
        draw("histograms", [frame], what="bias")
