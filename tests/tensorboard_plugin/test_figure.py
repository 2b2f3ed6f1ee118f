"""The figures that the tab draws: `/figures` and `/figure`."""

import math
import sys
from dataclasses import replace

import pytest

from keras_initcheck.outputs.figures.palette import DARK, LIGHT
from keras_initcheck.tensorboard_plugin import figures
from keras_initcheck.tensorboard_plugin.figure_list import FIGURE_TABS
from keras_initcheck.tensorboard_plugin.static_files import DIRECTORY

OVER_STEPS = [name for name, each in FIGURE_TABS.items() if each.over_steps]
OF_A_STEP = [name for name, each in FIGURE_TABS.items() if not each.over_steps]


def figure(opened, name, *steps, **arguments):
    """A figure of those steps of each run there is, or over the steps of the only run."""
    series = opened.read("/series")["series"]
    probes = [f"{each['sites']}/{step}/{each['run']}" for each in series for step in steps]
    if FIGURE_TABS[name].over_steps:
        return opened.read(
            "/figure", name=name, series=f"{series[0]['sites']}/{series[0]['run']}", **arguments
        )
    return opened.read("/figure", name=name, probe=probes, **arguments)


def points(drawn, axis="y"):
    """`{x: y}` of the points in a panel."""
    traces = [
        trace
        for trace in drawn["data"]
        if trace.get("yaxis", "y") == axis and trace.get("mode") == "markers"
    ]
    return {x: y for trace in traces for x, y in zip(trace["x"], trace["y"], strict=True)}


def with_ratio_gradients(report):
    """The report with weight gradients, which the figure of updates is about."""
    from keras_initcheck.records.sites import WeightStats
    from keras_initcheck.records.statistics import Moments

    values = Moments(0.0, 1.0, 1.0, 3.0, 0.0, 0.0, math.nan, 64)
    facts = ("kernel", (8, 8), 8.0, 8.0, values, 10.0, 0.5, values, 0.1)
    weights = tuple(
        WeightStats(f"{site.name}/kernel", site.layer, site.index, *facts)
        for site in report.profile.sites
    )
    return replace(report, profile=report.profile.with_changes(weights=weights))


def test_list_says_what_there_is(tab, tmp_path):
    listed = tab(tmp_path).read("/figures")["figures"]
    assert [each["name"] for each in listed] == [
        "signal",
        "ratios",
        "signal_map",
        "gradient_map",
        "updates",
    ]
    assert all(each["title"] and each["caption"].endswith(".") for each in listed)


def test_signal_has_a_point_for_each_layer(tab, log, make):
    drawn = figure(tab(log("a", (0, make(3, ratio=0.1)))), "signal", 0)
    assert points(drawn) == pytest.approx({0: -0.5, 1: -1.0, 2: -1.5})
    assert drawn["layout"]["title"] is None


def test_runs_are_laid_over_one_another(tab, log, make):
    for run in "ab":
        log_dir = log(run, (0, make(3, ratio=0.1)))
    drawn = figure(tab(log_dir), "signal", 0)
    assert {"a", "b"} <= {trace["name"] for trace in drawn["data"]}


@pytest.mark.parametrize("name", FIGURE_TABS)
def test_every_figure_is_drawn_on_light_and_dark_ground(tab, log, make, name):
    report = with_ratio_gradients(make(3))
    opened = tab(log("a", (0, report), (1, report)))
    light, dark = (figure(opened, name, 0, dark=number) for number in (0, 1))
    assert light["data"]
    assert light["layout"]["font"]["color"] == LIGHT.ink
    assert dark["layout"]["font"]["color"] == DARK.ink


@pytest.mark.parametrize("name", OVER_STEPS)
def test_figure_over_steps_has_at_most_so_many(tab, log, make, monkeypatch, name):
    monkeypatch.setattr(figures, "MOST_STEPS", 4)
    report = with_ratio_gradients(make(2))
    drawn = figure(tab(log("a", *((step, report) for step in range(10)))), name)
    texts = " ".join(str(trace.get("hovertext")) for trace in drawn["data"])
    assert [step for step in range(10) if f"step {step}" in texts] == [0, 3, 6, 9]


@pytest.mark.parametrize("name", FIGURE_TABS)
def test_numbers_at_their_limits_are_strict_json(tab, log, make, name):
    report = with_ratio_gradients(make(4))
    ratios = (math.nan, math.inf, 0.0, 1e300)
    sites = tuple(
        replace(site, forward_ratio=ratio, backward_ratio=ratio)
        for site, ratio in zip(report.profile.sites, ratios, strict=True)
    )
    assert figure(
        tab(log("a", (0, replace(report, profile=report.profile.with_changes(sites=sites))))),
        name,
        0,
    )["data"]


def test_changed_model_has_its_own_map(tab, log, make):
    opened = tab(log("a", (0, make(2)), (1, make(5))))
    for series in opened.read("/series")["series"]:
        drawn = opened.read(
            "/figure", name="signal_map", series=f"{series['sites']}/{series['run']}"
        )
        assert len(drawn["data"][0]["z"]) == series["num_sites"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({}, 400, "`name` must be given"),
        (
            {"name": "histogram", "probe": "x"},
            404,
            "No figure is called 'histogram'. `/figures` lists those that exist",
        ),
        ({"name": "signal"}, 400, "`probe` must be given"),
        ({"name": "signal_map"}, 400, "`series` must be given"),
        (
            {"name": "signal", "dark": "yes", "probe": "x"},
            400,
            "`dark` must be 0 or 1. Received: 'yes'",
        ),
        ({"name": "signal", "probe": f"{'0' * 12}/0/none"}, 404, "No probes of a run 'none'"),
        ({"name": "updates", "series": f"{'0' * 12}/none"}, 404, "No probes of a run 'none'"),
    ],
)
def test_bad_request_is_answered_with_a_reason(tab, log, make, arguments, code, message):
    answer = tab(log("a", (0, make()))).get("/figure", **arguments)
    assert answer.status_code == code
    assert message in answer.json["error"]


def test_missing_plotly_is_named_and_the_findings_are_told(
    tab, log, make, make_finding, monkeypatch
):
    for module in [
        name
        for name in sys.modules
        if name.startswith(("keras_initcheck.outputs.figures", "plotly"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "keras_initcheck.tensorboard_plugin.figures")
    monkeypatch.setitem(sys.modules, "plotly", None)
    opened = tab(log("a", (0, make(3, [make_finding()]))))
    series, _ = opened.only_series()
    probe = f"{series['sites']}/0/{series['run']}"
    answer = opened.get("/figure", name="signal", probe=probe)
    assert answer.status_code == 503
    assert "pip install plotly" in answer.json["error"]
    assert opened.read("/probe", probe=probe)["num_findings"] == 1


def test_what_fails_is_told_and_logged(tab, log, make, monkeypatch, caplog):
    monkeypatch.setattr(figures, "build", lambda *_, **__: 1 / 0)
    opened = tab(log("a", (0, make())))
    series, _ = opened.only_series()
    answer = opened.get("/figure", name="signal", probe=f"{series['sites']}/0/{series['run']}")
    assert answer.status_code == 500
    assert (
        "ZeroDivisionError: division by zero. TensorBoard's own output has the details."
        in answer.json["error"]
    )
    assert "/figure failed" in caplog.text


def test_page_has_the_colours_of_the_figures():
    light, _, dark = (DIRECTORY / "theme.css").read_text().partition("body.dark")
    for colours, sheet in ((LIGHT, light), (DARK, dark)):
        named = {name: getattr(colours, name) for name in ("ink", "error", "warning", "info")}
        named |= {
            "panel": colours.background,
            "faint": colours.muted,
            "line": colours.grid,
            "accent": colours.link,
            "ok": colours.good,
        }
        named |= {f"run-{number}": colour for number, colour in enumerate(colours.runs)}
        assert [name for name, colour in named.items() if f"--{name}: {colour};" not in sheet] == []


def test_repeated_probe_is_drawn_beside_what_the_first_one_predicted(tab, log, make):
    first = make()
    predicted = tuple(
        replace(site, predicted_log10_second_moment=float(site.index))
        for site in first.profile.sites
    )
    first = replace(first, profile=first.profile.with_changes(sites=predicted))
    drawn = figure(tab(log("a", (0, first), (5, make()))), "signal", 5)
    (line,) = (
        trace for trace in drawn["data"] if trace.get("name") == "predicted at step 0 ± chance"
    )
    ends = zip(line["x"], line["y"], strict=True)
    assert {x: y for x, y in ends if y is not None and x >= 0} == {0: 0.0, 1: 0.5, 2: 1.0}
