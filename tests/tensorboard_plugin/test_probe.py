"""What the tab says of one probe: `/probe`."""

import math
from dataclasses import replace

import pytest


def ask(opened, step=0):
    series, _ = opened.only_series()
    return opened.read("/probe", probe=f"{series['sites']}/{step}/{series['run']}")


def column(answer, title):
    (found,) = (each for each in answer["table"]["columns"] if each["title"] == title)
    return found


def test_findings_and_verdict_are_those_of_the_step(tab, log, make, make_finding):
    opened = tab(log("a", (0, make()), (5, make(findings=[make_finding("dense_1")]))))
    healthy, ill = ask(opened, 0), ask(opened, 5)
    assert (healthy["ok"], healthy["severity"], healthy["findings"]) == (True, "ok", [])
    assert (ill["ok"], ill["severity"], ill["num_findings"]) == (False, "error", 1)
    assert ill["verdict"] == "net: error: The signal is halved in `dense_1`. Use he_normal."
    finding = ill["findings"][0]
    assert [finding[key] for key in ("code", "slug", "site", "why", "fix")] == [
        "IC102",
        "forward-gain",
        "dense_1",
        "It vanishes.",
        "Use he_normal.",
    ]


def test_table_has_a_row_for_each_site(tab, log, make, make_finding):
    answer = ask(tab(log("a", (0, make(3, [make_finding("dense_1")], ratio=0.1)))))
    assert column(answer, "layer")["texts"] == ["dense_0", "dense_1", "dense_2"]
    assert column(answer, "type")["texts"] == ["Dense"] * 3
    assert column(answer, "output")["texts"] == ["128"] * 3
    assert column(answer, "forward")["values"] == pytest.approx([-0.5] * 3)
    assert column(answer, "forward")["texts"] == ["0.316"] * 3
    assert column(answer, "zeros")["texts"] == ["50%"] * 3
    assert answer["table"]["severities"] == [None, "error", None]


def test_column_without_a_number_is_left_out(tab, log, make):
    titles = [each["title"] for each in ask(tab(log("a", (0, make()))))["table"]["columns"]]
    assert "forward" in titles
    assert "gradient/weight" not in titles


@pytest.mark.parametrize(
    ("ratio", "value", "text"),
    [
        (math.nan, "NaN", "nan"),
        (math.inf, "Infinity", "inf"),
        (0.0, "-Infinity", "0"),
        (1e300, 150.0, "1e150"),
    ],
    ids=["nan", "inf", "zero", "beyond float32"],
)
def test_number_at_its_limits_is_strict_json(tab, log, make, ratio, value, text):
    report = make(2)
    first, second = report.profile.sites
    sites = (replace(first, forward_ratio=ratio), second)
    forward = column(
        ask(tab(log("a", (0, replace(report, profile=report.profile.with_changes(sites=sites)))))),
        "forward",
    )
    assert (forward["values"][0], forward["texts"][0]) == (value, text)


def test_names_come_as_they_are(tab, log, make, make_finding):
    name = "<script>alert(1)</script>/größe|層"
    answer = ask(tab(log("a", (0, make(1, [make_finding(f"{name}_0")], name=name)))))
    assert column(answer, "layer")["texts"] == [f"{name}_0"]
    assert answer["findings"][0]["site"] == f"{name}_0"


def test_site_less_report_has_an_empty_table(tab, log, make):
    answer = ask(tab(log("a", (0, make(0)))))
    assert answer["table"] == {"columns": [], "severities": []}


def test_log_of_another_version_says_so(tab, log, make, monkeypatch):
    monkeypatch.setattr("keras_initcheck.outputs.site_statistics.VERSION", 99)
    log_dir = log("a", (0, make()))
    opened = tab(log_dir)
    series, _ = opened.only_series()
    answer = opened.get("/probe", probe=f"{series['sites']}/0/{series['run']}")
    assert answer.status_code == 400
    assert "Received: version 99. Upgrade keras_initcheck" in answer.json["error"]
