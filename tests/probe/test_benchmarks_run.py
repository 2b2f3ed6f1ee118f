"""The benchmarks of the probe run, with small sizes, and print rows of one kind."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
IN_THIS_PROCESS = ("probe_cost", "host_cost", "fit_cost")
IN_PROCESSES_OF_THEIR_OWN = ("first_check", "layers_cost", "probe_memory", "gpu")


def rows_of(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, "--quick", "--json"])
    runpy.run_path(str(FOLDER / f"{script}.py"), run_name="__main__")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow_on("jax")
@pytest.mark.parametrize(
    "script",
    [
        *IN_THIS_PROCESS,
        *(pytest.param(each, marks=pytest.mark.slow) for each in IN_PROCESSES_OF_THEIR_OWN),
    ],
)
def test_benchmark_prints_rows_with_the_same_columns(script, monkeypatch, capsys, seeded_keras):
    found = rows_of(script, monkeypatch, capsys)
    assert found and {tuple(row) for row in found} == {tuple(found[0])}
    assert "backend" in found[0]


@pytest.mark.slow_on("jax")
def test_a_repeated_probe_takes_few_calls_of_python(monkeypatch, capsys, seeded_keras):
    found = {row["part"]: row["Python calls"] for row in rows_of("host_cost", monkeypatch, capsys)}
    most = sum(found[part] for part in ("build", "judge", "log", "other"))
    assert most < 2_000, found  # 1,560 for 4 sites; the rest is room for other releases of Keras
