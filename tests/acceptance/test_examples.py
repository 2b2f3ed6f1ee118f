"""The examples run as a user runs them, and end as they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, directory):
    pytest.importorskip("sklearn", reason="the examples use scikit-learn's data")
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=directory,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_check_before_fit_tells_glorot_from_he(tmp_path):
    output = run("check_before_fit.py", tmp_path)
    assert "glorot_uniform: error" in output
    assert "he_normal: healthy" in output


def test_callback_example_trains_and_logs(tmp_path):
    output = run("callback.py", tmp_path)
    assert "log10 of the forward gain by epoch" in output
    assert list((tmp_path / "logs" / "initcheck").glob("events.out.tfevents.*"))
