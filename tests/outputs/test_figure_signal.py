"""The signal's picture, every position worked out by hand."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.records.statistics import Places

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
    assert (list(x), list(y)) == ([0, 1, 2], pytest.approx([0.5, 1.0, 0.5]))
    ((_, x, y),) = points(figure, "y2")
    assert list(y) == pytest.approx([math.log10(2), math.log10(2) / 2, 0.0])


def test_line_joins_each_layer_with_its_inputs_from_the_model_s_input_on(make):
    sites = chain(make, [10.0, 10.0], start=100.0)
    sites.append(replace(make.other(2, "add", "Add", "merge"), inputs=(0, 1)))
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    line = next(trace for trace in figure.data if trace.name == "measured")
    starts = list(zip(line.x[0::3], line.x[1::3], line.y[0::3], strict=True))
    assert starts == [(-1, 0, 1.0), (0, 1, 1.5), (0, 2, 1.5), (1, 2, 2.0)]


def predicted(make, signals, gradients=(), variance=None):
    """A chain whose layers have those predicted second moments, log10."""
    sites = chain(make, [1.0] * len(signals), variance=variance)
    return [
        replace(
            site,
            predicted_log10_second_moment=signal,
            predicted_log10_gradient=gradients[site.index] if gradients else None,
        )
        for site, signal in zip(sites, signals, strict=True)
    ]


def lines(figure, name, axis="y"):
    return [trace for trace in figure.data if trace.name == name and trace.yaxis == axis]


def test_prediction_is_that_of_the_whole_graph(make):
    """The number of the table and of IC210, whatever was measured before."""
    sites = predicted(make, [1.0, 3.0, 2.0], [0.5, 0.25, 0.0])
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    (signal,), (gradient,) = (lines(figure, "predicted ± chance", axis) for axis in ("y", "y2"))
    assert (signal.x[:-1], signal.y[:-1]) == ((-1, 0, 1, 2), (0.0, 0.5, 1.5, 1.0))
    assert (gradient.x[1:-1], gradient.y[1:-1]) == ((0, 1, 2), (0.25, 0.125, 0.0))
    assert math.isnan(gradient.y[0])  # nothing is predicted in front of the first layer


def test_prediction_follows_the_branches(make):
    sites = predicted(make, [1.0, 2.0])
    add = replace(make.other(2, "add", "Add", "merge"), inputs=(0, 1))
    sites.append(replace(add, predicted_log10_second_moment=3.0))
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    (line,) = lines(figure, "predicted ± chance")
    ends = [*zip(line.x, line.y, strict=True)]
    assert ends[:3] == [(-1, 0.0), (0, 0.5), (1, 1.0)]
    assert (ends[4:6], ends[7:9]) == ([(0, 0.5), (2, 1.5)], [(1, 1.0), (2, 1.5)])


def test_band_holds_what_chance_allows_around_the_prediction(make):
    sites = predicted(make, [1.0, 1.0], variance=0.5)
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    (band,) = (each for each in figure.data if each.fill == "toself" and each.yaxis == "y")
    middle, half = 1.0 - 0.5 / LN10, 2.576 / LN10  # half the summed variance lower, +- 2.576 sd
    assert (band.x, band.y[0], band.y[-1]) == ((-1, 0, 1, 1, 0, -1), 0.0, 0.0)
    assert (band.y[2], band.y[3]) == pytest.approx(
        ((middle + half) / 2, (middle - half) / 2)  # of the root mean square
    )


def test_layer_without_a_prediction_interrupts_line_and_band_and_has_the_reason(make):
    sites = predicted(make, [1.0, None, 2.0])
    sites[1] = replace(sites[1], unpredicted="a layer of the user's own")
    figure = draw("signal", [FigureData.from_report(make.report(sites))])
    assert sum(each.fill == "toself" for each in figure.data if each.yaxis == "y") == 2
    (texts,) = [trace.hovertext for trace in figure.data if trace.mode == "markers"][:1]
    assert "<br>predicted: 3.16<br>" in texts[0]
    assert "<br>not predicted: a layer of the user's own<br>" in texts[1]


def test_repeated_probe_shows_what_the_first_one_predicted(make):
    first = FigureData.from_report(make.report(predicted(make, [1.0, 2.0], [0.0, 1.0])))
    again = FigureData.from_report(make.report(predicted(make, [None, None]), step=50))
    figure = draw("signal", [replace(again, first=first)])
    (line,) = lines(figure, "predicted at step 0 ± chance")
    assert line.y[1:3] == (0.5, 1.0)
    (points,) = lines(figure, "measured points")
    assert "<br>predicted at step 0: 3.16<br>" in points.hovertext[0]


def test_repeated_probe_alone_has_no_prediction_and_the_legend_reports_it(make):
    again = FigureData.from_report(make.report(predicted(make, [None, None]), step=50))
    figure = draw("signal", [again])
    assert lines(figure, "predicted: nothing")
    assert not any(trace.fill == "toself" for trace in figure.data)


def test_loss_gradient_is_not_held_against_the_random_cotangent_s_prediction(make):
    sites = predicted(make, [1.0, 2.0], [0.0, 1.0])
    first = FigureData.from_report(make.report(sites))
    trained = [
        replace(
            site,
            loss_gradients=site.random_gradients,
            random_gradients=None,
            predicted_log10_gradient=None,
        )
        for site in sites
    ]
    again = replace(FigureData.from_report(make.report(trained, step=9)), first=first)
    assert not [
        trace
        for trace in draw("signal", [again]).data
        if trace.yaxis == "y2" and "predicted" in (trace.name or "")
    ]


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
        ([10.0] * 9, "32,000 times stronger"),
        ([0.1] * 3, "32 times weaker"),
        ([1.0, 1.3], "keeps its size (×1.14)"),
    ],
    ids=["explodes", "fades", "healthy"],
)
def test_heading_says_what_becomes_of_the_signal(make, ratios, said):
    figure = draw("signal", [FigureData.from_report(make.report(chain(make, ratios)))])
    assert said in figure.layout.annotations[0].text


def test_heading_has_the_number_of_the_worst_finding(make):
    """From the input of layer1, a mean square of 0.01, to the output of layer3, 1e-8."""
    report = make.report(
        chain(make, [0.01] * 4), [make.finding("layer2", span=("layer1", "layer3"))]
    )
    figure = draw("signal", [FigureData.from_report(report)])
    assert ">1,000 times weaker from layer1 to layer3</b>" in figure.layout.annotations[0].text
    assert "layer1" not in figure.layout.annotations[1].text  # the gradient's


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


def test_several_runs_lie_over_each_other_in_different_colors(make):
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


def test_runs_may_have_different_numbers_of_layers(make):
    frames = [
        FigureData.from_report(make.report(chain(make, [1.0] * count)), run=f"of {count}")
        for count in (1, 3)
    ]
    for each in (frames, frames[::-1]):
        (band,) = (
            trace
            for trace in draw("signal", each).data
            if trace.fill == "toself" and trace.yaxis == "y"
        )
        assert max(band.x) == len(each[0]) - 1


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
