"""The examples run as a user runs them, and end as they say."""

import os
import re
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


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=pytest.mark.backend(name))
        for name in ("tensorflow", "jax", "torch")
    ],
)
def test_loop_of_ones_own_is_probed_into_one_log(backend, tmp_path):
    output = run(f"loop_{backend}.py", tmp_path)
    assert re.findall(r"step (\d+): sequential: healthy", output) == ["0", "50", "100"]
    assert float(output.split()[-1]) < 1  # the loss, which begins near log(10)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["initcheck"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        pytest.param("gan.py", ("generator", "discriminator"), marks=pytest.mark.backend("torch")),
        pytest.param("vae.py", ("encoder", "decoder"), marks=pytest.mark.backend("tensorflow")),
    ],
    ids=["GAN", "VAE"],
)
def test_parts_of_a_model_without_call_are_watched(name, parts, tmp_path):
    output = run(name, tmp_path)
    for part in parts:
        assert f"after 87 steps: {part}: healthy" in output
        assert list((tmp_path / "logs" / part / "initcheck").glob("events.out.tfevents.*"))
