"""Event files that anybody may have written: one run is left out or refused, the others are shown,
and no answer is a 500.
"""

import json
import random
import zlib

import numpy as np
import pytest
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from keras_initcheck.outputs.event_writer import EventWriter, plugin_data
from keras_initcheck.outputs.json_values import encode
from keras_initcheck.outputs.site_statistics import describe, measure
from keras_initcheck.tensorboard_plugin import event_reader as reading
from keras_initcheck.tensorboard_plugin.figure_list import FIGURE_TABS
from tests.support.mutations import mutated

SITES = "0123456789ab"


@pytest.fixture
def hostile(tmp_path, make, make_finding):
    """`hostile(run, description, matrix, findings)`: writes a run; what is not given is as a good
    run has it.
    """

    def write(run="hostile", description=None, matrix=None, findings=None, wall_time=None):
        report = make(3, [make_finding()])
        content = (
            description
            if isinstance(description, str)
            else json.dumps(description or good_description(report))
        )
        numbers = measure(report.profile).astype(np.float32) if matrix is None else matrix
        packed = (
            findings
            if isinstance(findings, bytes)
            else zlib.compress(json.dumps(findings or good_findings(report)).encode())
        )
        (tmp_path / run).mkdir()
        writer = EventWriter(tmp_path / run)
        values = []
        for tag in ("init", "probe"):
            first = plugin_data(
                f"initcheck/{tag}/{SITES}", np.zeros(1, np.float32), "initcheck", content
            )
            if isinstance(numbers, TensorProto):
                first.tensor.CopyFrom(numbers)
            else:
                first = plugin_data(f"initcheck/{tag}/{SITES}", numbers, "initcheck", content)
            values += [first, plugin_data(f"initcheck/{tag}_findings", packed, "initcheck", "{}")]
        writer.write(values, 0)
        writer.close()
        return tmp_path

    return write


def good_description(report):
    return json.loads(json.dumps(encode(describe(report.profile))))


def good_findings(report):
    return {
        "ok": report.ok,
        "verdict": report.verdict,
        "num_findings": 1,
        "findings": [encode(each) for each in report.findings],
    }


def answers(opened, run="hostile"):
    """Every route's answer about that run."""
    yield opened.get("/series")
    yield opened.get("/steps", series=f"{SITES}/{run}")
    yield opened.get("/probe", probe=f"{SITES}/0/{run}")
    for name, each in FIGURE_TABS.items():
        about = {"series": f"{SITES}/{run}"} if each.over_steps else {"probe": f"{SITES}/0/{run}"}
        yield opened.get("/figure", name=name, **about)


def test_good_run_is_answered(tab, hostile):
    assert {each.status_code for each in answers(tab(hostile()))} == {200}


@pytest.mark.parametrize(
    "description",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "{}",
        "[]",
        "3",
        '"text"',
        '{"sites": {"names": 3}}',
        '{"sites": {"names": "abc"}}',
        '{"sites": []}',
    ],
    ids=lambda text: text[:30],
)
def test_run_with_something_else_is_left_out_and_the_others_stay(
    tab, log, make, hostile, description
):
    log("good", (0, make()))
    found = tab(hostile(description=description)).read("/series")["series"]
    assert [series["run"] for series in found] == ["good/initcheck"]


def test_description_beyond_its_bound_is_left_out(tab, hostile, monkeypatch):
    monkeypatch.setattr("keras_initcheck.tensorboard_plugin.documents.MOST_BYTES", 100)
    assert tab(hostile()).read("/series") == {"series": []}


def test_run_whose_name_has_digits_that_are_none_is_listed(tab, hostile):
    assert [series["run"] for series in tab(hostile("x²³")).read("/series")["series"]] == ["x²³"]


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (b"no zlib", "must be compressed with zlib"),
        (zlib.compress(b"{}")[:-3], "must be complete"),
        (zlib.compress(b"[" * 100_000), "must be JSON. Received: RecursionError"),
        (zlib.compress(b"[]"), "must be a JSON object"),
        (zlib.compress(b'{"ok": true}'), "`judgement` must be an object with exactly the keys"),
        (zlib.compress(b"\xff\xfe{"), "must be JSON"),
    ],
    ids=["not packed", "cut off", "deep", "list", "other keys", "no text"],
)
def test_findings_that_are_none_are_answered_with_a_reason(tab, hostile, findings, expected):
    opened = tab(hostile(findings=findings))
    answer = opened.get("/probe", probe=f"{SITES}/0/hostile")
    assert answer.status_code == 400
    assert expected in answer.json["error"]
    assert {each.status_code for each in answers(opened)} == {200, 400}


def test_findings_are_not_inflated_beyond_their_bound(tab, hostile, monkeypatch):
    unpacked = []
    monkeypatch.setattr(reading, "inflate", lambda packed: unpacked.append(packed) or b"")
    opened = tab(hostile(findings=zlib.compress(bytes(2**25))))
    answer = opened.get("/probe", probe=f"{SITES}/0/hostile")
    assert (answer.status_code, len(unpacked)) == (400, 1)
    assert "16777216 bytes at most" in answer.json["error"]


def test_severities_beyond_the_bound_are_not_known(monkeypatch):
    monkeypatch.setattr(reading, "MOST_UNPACKED", 15)
    packed = zlib.compress(b'{"ok":true}')
    unknown = (None, packed)
    found = {0: unknown, 1: unknown, 2: unknown, 3: ("error", packed)}
    assert reading._severities(found) == {0: "ok", 1: "ok", 3: "error"}


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((2, 2), np.float32),
        np.zeros(3, np.float32),
        np.zeros((3, 24), np.int32),
        b"text",
        TensorProto(dtype=1, tensor_content=b"123"),
        TensorProto(dtype=99),
        TensorProto(),
    ],
    ids=["shape", "flat", "integers", "text", "short", "dtype", "empty"],
)
def test_matrix_that_is_none_is_answered_with_a_reason(tab, hostile, matrix):
    opened = tab(hostile(matrix=matrix))
    assert {each.status_code for each in answers(opened)} <= {200, 400}
    assert opened.get("/probe", probe=f"{SITES}/0/hostile").status_code == 400


def test_number_that_is_none_in_a_finding_is_strict_json(tab, hostile, make, make_finding):
    findings = good_findings(make(3, [make_finding()]))
    findings["findings"][0]["measured"] = float("nan")
    assert (
        tab(hostile(findings=findings)).read("/probe", probe=f"{SITES}/0/hostile")["findings"][0][
            "measured"
        ]
        == "NaN"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"name": "signal", "probe": [f"{SITES}/0/hostile"] * 101},
            "`probe` must be given 100 times at most. Received: 101 times.",
        ),
        (
            {"name": "signal", "probe": f"{SITES}/0/{'a' * 5000}"},
            "`probe` must be `<sites>/<step>/<run>`",
        ),
        (
            {"name": "updates", "series": f"{SITES}/{'a' * 5000}"},
            "`series` must be `<sites>/<run>`",
        ),
    ],
    ids=["many", "long probe", "long series"],
)
def test_arguments_are_bounded(tab, hostile, arguments, expected):
    answer = tab(hostile()).get("/figure", **arguments)
    assert answer.status_code == 400
    assert expected in answer.json["error"]
    assert len(answer.text) < 500


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_of_a_good_run_is_a_fault_of_the_tab(tab, hostile, make, make_finding, seed):
    chance, report = random.Random(seed), make(3, [make_finding()])
    runs = [f"run{number}" for number in range(20)]
    for run in runs:
        is_description = chance.random() < 0.6
        document = mutated((good_description if is_description else good_findings)(report), chance)
        log_dir = hostile(run, **{"description" if is_description else "findings": document})
    opened = tab(log_dir)
    failed = [
        (run, each.text)
        for run in runs
        for each in answers(opened, run)
        if each.status_code not in (200, 400, 404)
    ]
    assert failed == []
