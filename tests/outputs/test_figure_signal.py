"""The signal's picture, every position worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.outputs.figures.predicted_curves import predict_backward, predict_forward
from keras_initcheck.records.profile import Places

LN10 = math.log(10)


def chain(make, ratios, predicted=None, variance=None, start=1.0):
    """Weight layers one after the other, each with its own forward ratio; the gradient is 1 at the
    end and doubles in each layer.
    """
    sites, q = [], start
    for index, ratio in enumerate(ratios):
        left = 2.0 ** (len(ratios) - 1 - index)
        site = make.site(
            index,
            f"layer{index}",
            ratio,
            inputs=(index - 1,) if index else (),
            activations=Places(make.moments(q), make.moments(q), make.moments(q * ratio)),
            random_gradients=Places(x=make.moments(left * 2), h=make.moments(left)),
            backward_ratio=2.0,
            predicted_backward_ratio=2.0,
            predicted_forward_ratio=(predicted or ratios)[index],
            log_ratio_variance=variance,
            chain=0,
        )
        sites.append(site)
        q *= ratio
    return sites


def points(figure, axis="y"):
    """Name, x and y of what is drawn as points on that axis."""
    return [
        (trace.name, trace.x, trace.y)
        for trace in figure.data
        if trace.mode == "markers" and trace.yaxis == axis
    ]


def test_signal_is_measured_behind_each_layer_in_powers_of_ten(make):
    figure = draw("signal", [FigureData.from_report(make.report(chain(make, [10.0, 10.0, 0.1])))])
    ((_, x, y),) = points(figure)
    assert (list(x), list(y)) == ([0, 1, 2], pytest.approx([1.0, 2.0, 1.0]))
    ((_, x, y),) = points(figure, "y2")
    assert list(y) == pytest.approx([math.log10(4), math.log10(2), 0.0])


def test_line_joins_each_layer_with_its_inputs_from_the_model_s_input_on(make):
    sites = chain(make, [10.0, 10.0], start=100.0)
    sites.append(replace(make.other(2, "add", "Add", "merge"), inputs=(0, 1)))
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    line = next(trace for trace in figure.data if trace.name == "measured")
    starts = list(zip(line.x[0::3], line.x[1::3], line.y[0::3], strict=True))
    assert starts == [(-1, 0, 2.0), (0, 1, 3.0), (0, 2, 3.0), (1, 2, 4.0)]


def test_prediction_multiplies_the_predicted_ratios_along_a_stretch(make):
    frame = FigureData.from_report(
        make.report(chain(make, [10.0, 10.0], predicted=[100.0, 1000.0]))
    )
    curve = predict_forward(frame)
    assert curve.positions[:3] == [-1, 0, 1]
    assert curve.median[:3] == pytest.approx([0.0, 2.0, 5.0])
    assert math.isnan(curve.median[3])


def test_prediction_takes_over_what_pooling_did_in_between(make):
    first, second = chain(make, [1.0, 1.0])
    pooled = Places(make.moments(100.0), make.moments(100.0), make.moments(100.0))
    second = replace(second, activations=pooled)
    assert predict_forward(FigureData.from_report(make.report([first, second]))).median[
        :3
    ] == pytest.approx([0.0, 0.0, 2.0])


def test_prediction_of_the_gradient_runs_from_the_end_back(make):
    curve = predict_backward(FigureData.from_report(make.report(chain(make, [1.0, 1.0, 1.0]))))
    assert curve.positions[:4] == [2, 1, 0, -1]
    assert curve.median[:4] == pytest.approx([0.0, math.log10(2), math.log10(4), math.log10(8)])


def test_band_is_log_normal_with_mean_one(make):
    curve = predict_forward(
        FigureData.from_report(make.report(chain(make, [1.0, 1.0], variance=0.5)))
    )
    assert curve.median[:3] == pytest.approx([0.0, -0.25 / LN10, -0.5 / LN10])
    half = [0.0, 2.576 * math.sqrt(0.5) / LN10, 2.576 * 1.0 / LN10]
    assert np.subtract(curve.high[:3], curve.median[:3]) == pytest.approx(half)
    assert np.subtract(curve.median[:3], curve.low[:3]) == pytest.approx(half)


def test_ratio_that_is_not_predicted_ends_the_curve(make):
    first, second = chain(make, [10.0, 10.0])
    second = replace(second, predicted_forward_ratio=None)
    median = predict_forward(FigureData.from_report(make.report([first, second]))).median
    assert median[:2] == [0.0, 1.0]
    assert math.isnan(median[2])


@pytest.mark.parametrize(
    ("changes", "name", "edge"),
    [({"second_moment": 0.0}, "all zero", 0), ({"share_nonfinite": 0.5}, "NaN or infinite", 1)],
    ids=["dead", "nan"],
)
def test_layer_without_a_place_on_the_axis_stands_at_its_edge(make, changes, name, edge):
    sites = chain(make, [1.0, 1.0, 1.0])
    sites[1] = replace(
        sites[1], activations=Places(make.moments(), make.moments(), make.moments(**changes))
    )
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    found = {trace: (x, y) for trace, x, y in points(figure)}
    (x,), (y,) = found[name]
    low, high = figure.layout.yaxis.range
    assert x == 1
    assert abs(y - (low, high)[edge]) < 0.1 * (high - low)
    assert low < y < high


def test_box_tells_no_size_of_what_is_not_finite(make):
    broken = Places(make.moments(), make.moments(), make.moments(0.0, share_nonfinite=1.0))
    figure = draw(
        "signal", [FigureData.from_report(make.report([make.site(0, "a", activations=broken)]))]
    )
    (text,) = next(
        trace for trace in figure.data if trace.name == "NaN or infinite" and trace.yaxis == "y"
    ).hovertext
    assert "signal: 100% NaN or infinite" in text
    assert "mean square" not in text


def test_finding_is_marked_on_its_layer_with_its_text(make):
    report = make.report(
        chain(make, [1.0, 9.1]), [make.finding("layer1", message="It grows <fast>.")]
    )
    figure = draw("signal", [FigureData.from_report(report)])
    mark = next(trace for trace in figure.data if trace.name == "error")
    assert (mark.x, mark.yaxis, mark.marker.symbol) == ((1,), "y", "x")
    assert "IC102 forward-gain" in mark.hovertext[0]
    assert "It grows &lt;fast&gt;." in mark.hovertext[0]


def test_finding_about_the_gradient_is_marked_below(make):
    report = make.report(
        chain(make, [1.0, 1.0]), [make.finding("layer0", code="IC103", slug="backward-gain")]
    )
    marks = [
        trace
        for trace in draw("signal", [FigureData.from_report(report)]).data
        if trace.name == "error"
    ]
    assert [(mark.x, mark.yaxis) for mark in marks] == [((0,), "y2")]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([10.0] * 9, "grows 1e9-fold"),
        ([0.1] * 3, "shrinks to 1e-3"),
        ([1.0, 1.3], "keeps its size (×1.30)"),
    ],
    ids=["explodes", "fades", "healthy"],
)
def test_heading_says_what_becomes_of_the_signal(make, ratios, said):
    figure = draw("signal", [FigureData.from_report(make.report(chain(make, ratios)))])
    assert said in figure.layout.annotations[0].text


def test_title_is_the_verdict(make):
    assert (
        draw("signal", [FigureData.from_report(make.report())]).layout.title.text
        == "net: healthy. No layer loses or blows up the<br>signal."
    )


def test_flat_curve_looks_flat(make):
    low, high = draw(
        "signal", [FigureData.from_report(make.report(chain(make, [1.0, 1.05, 0.97])))]
    ).layout.yaxis.range
    assert high - low > 4


def test_several_runs_lie_over_each_other_in_different_colours(make):
    frames = [
        FigureData.from_report(make.report(chain(make, [ratio] * 3)), run=run)
        for run, ratio in (("a", 10.0), ("b", 1.0))
    ]
    figure = draw("signal", frames)
    lines = {
        trace.name: trace.line
        for trace in figure.data
        if trace.mode == "lines" and trace.yaxis == "y"
    }
    assert lines["a"].color != lines["b"].color
    assert lines["a"].dash != lines["b"].dash
    assert sum(trace.fill == "toself" for trace in figure.data if trace.yaxis == "y") == 1


def test_before_and_after_need_two_frames(make):
    frame = FigureData.from_report(make.report())
    figure = draw("before_after", [frame, frame])
    assert {"before", "after"} <= {trace.name for trace in figure.data}
    with pytest.raises(
        ValueError, match=r"must be the probe before and the one after\. Received: 1 frames."
    ):
        draw("before_after", [frame])


@pytest.mark.parametrize(("num_sites", "named"), [(3, True), (24, True), (25, False), (300, False)])
def test_layers_are_named_as_long_as_there_is_room(make, num_sites, named):
    axis = draw("signal", [FigureData.from_report(make.report(num_sites=num_sites))]).layout.xaxis
    assert (axis.ticktext is not None) is named
    if named:
        assert len(axis.ticktext) == num_sites + 1


def test_only_weight_layers_are_named_where_not_all_fit(make):
    sites = [
        (
            make.site(index, "dense")
            if index % 10 == 0
            else make.other(index, "drop", "Dropout", "pass")
        )
        for index in range(40)
    ]
    assert draw("signal", [FigureData.from_report(make.report(sites))]).layout.xaxis.ticktext == (
        "input",
        *["dense"] * 4,
    )
