"""Which probes the tab finds in a log: `/series` and `/steps`."""

import pytest

from keras_initcheck.tensorboard_plugin.addresses import parse_probe


def test_log_without_probes_has_no_series(tab, tmp_path):
    assert tab(tmp_path).read("/series") == {"series": []}


def test_run_is_described(tab, log, make):
    series, _ = tab(log("a", (0, make(3)), (10, make(3)))).only_series()
    assert len(bytes.fromhex(series.pop("sites"))) == 6
    series.pop("stamp")
    assert series == {
        "run": "a/initcheck",
        "label": "a",
        "model": "net",
        "num_sites": 3,
        "first_step": 0,
        "last_step": 10,
    }


def test_two_runs_are_two_series_in_natural_order(tab, log, make):
    for run in ("10", "9"):
        log_dir = log(run, (0, make()))
    assert [series["run"] for series in tab(log_dir).read("/series")["series"]] == [
        "9/initcheck",
        "10/initcheck",
    ]


def test_changed_model_is_a_series_of_its_own_behind_the_first(tab, log, make):
    opened = tab(log("a", (0, make(2)), (1, make(5)), (2, make(5))))
    found = opened.read("/series")["series"]
    assert [(series["num_sites"], series["first_step"]) for series in found] == [(2, 0), (5, None)]
    addresses = [f"{series['sites']}/{series['run']}" for series in found]
    assert [opened.read("/steps", series=address)["steps"] for address in addresses] == [
        [0],
        [1, 2],
    ]


def test_steps_come_with_their_times_and_severities(tab, log, make, make_finding):
    findings = [[make_finding(severity=severity)] for severity in ("info", "warning", "error")]
    opened = tab(
        log(
            "a",
            (0, make()),
            *((step, make(findings=each)) for step, each in enumerate(findings, start=1)),
        )
    )
    _, address = opened.only_series()
    answer = opened.read("/steps", series=address)
    assert (answer["steps"], answer["severities"]) == (
        [0, 1, 2, 3],
        ["ok", "info", "warning", "error"],
    )
    assert answer["wall_times"] == sorted(answer["wall_times"])


def test_first_probe_is_kept_when_steps_are_sampled(tab, log, make):
    opened = tab(log("a", *((step, make(1)) for step in range(60))), max_steps=5)
    _, address = opened.only_series()
    steps = opened.read("/steps", series=address)["steps"]
    assert steps[0] == 0
    assert steps[-1] == 59
    assert len(steps) in (5, 6)


def test_new_probes_show_after_a_reload(tab, log, make, tmp_path):
    from keras_initcheck.outputs.events import EventLog

    with EventLog(tmp_path) as events:
        events.write(make(), 0)
        opened = tab(tmp_path)
        before, address = opened.only_series()
        assert opened.read("/steps", series=address)["steps"] == [0]
        events.write(make(), 1)
        opened.reload()
    after, _ = opened.only_series()
    assert before["stamp"] != after["stamp"]
    assert opened.read("/steps", series=address)["steps"] == [0, 1]


def test_log_that_something_else_wrote_under_the_same_name_is_passed_over(tab, tmp_path):
    from keras_initcheck.outputs.event_writer import EventWriter, plugin_data

    writer = EventWriter(tmp_path)
    writer.write(
        [
            plugin_data(f"initcheck/probe/{'0' * 12}", b"?", "initcheck", "no JSON"),
            plugin_data("x", b"", "initcheck", ""),
        ],
        0,
    )
    writer.close()
    assert tab(tmp_path).read("/series") == {"series": []}


@pytest.mark.parametrize(
    ("route", "arguments", "code", "message"),
    [
        ("/steps", {}, 400, "`series` must be given"),
        ("/steps", {"series": ["a", "b"]}, 400, "`series` must be given once. Received: 2 times"),
        ("/steps", {"series": "run"}, 400, "`series` must be `<sites>/<run>`"),
        ("/steps", {"series": "../../etc/passwd"}, 400, "`series` must be `<sites>/<run>`"),
        (
            "/steps",
            {"series": f"{'0' * 12}/initcheck"},
            404,
            "No probes of a run 'initcheck' with the sites 000000000000",
        ),
        ("/probe", {}, 400, "`probe` must be given"),
        (
            "/probe",
            {"probe": f"{'0' * 12}/1.5/initcheck"},
            400,
            "`probe` must be `<sites>/<step>/<run>`",
        ),
        (
            "/probe",
            {"probe": f"{'0' * 12}/{'9' * 40}/initcheck"},
            400,
            "`probe` must be `<sites>/<step>/<run>`",
        ),
        ("/probe", {"probe": f"{'0' * 12}/0/initcheck"}, 404, "No probes of a run"),
    ],
)
def test_bad_request_is_answered_with_a_reason(tab, log, make, route, arguments, code, message):
    answer = tab(log("a", (0, make()))).get(route, **arguments)
    assert answer.status_code == code
    assert message in answer.json["error"]


def test_unknown_step_is_not_found(tab, log, make):
    opened = tab(log("a", (0, make())))
    series, _ = opened.only_series()
    answer = opened.get("/probe", probe=f"{series['sites']}/7/{series['run']}")
    assert answer.status_code == 404
    assert "No probe at step 7 of run 'a/initcheck'" in answer.json["error"]


def test_run_may_be_called_anything():
    assert parse_probe(f"{'a' * 12}/-3/runs/2024/x y/ü") == ("a" * 12, -3, "runs/2024/x y/ü")
