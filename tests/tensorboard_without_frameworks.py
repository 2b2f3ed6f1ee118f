"""Run by hand or in CI in an environment without TensorFlow, JAX and torch: a log is written, and a real TensorBoard serves it."""

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.profile import Moments, Places, Profile, SiteStats
from keras_initcheck.report import Report


def small_report() -> Report:
    """Two layers, each halving the signal."""
    places = [Places(h=Moments(0.0, v, v, 1.0, 0.5, 0.0, 1.0, 100)) for v in (1.0, 0.5)]
    sites = tuple(SiteStats(k, f"dense_{k}", f"dense_{k}", "Dense", "weight", activations=place) for k, place in enumerate(places))
    return Report(Profile("small", sites, log10_forward_gain=-0.3))


def served_runs(log_dir: str) -> dict:
    """What TensorBoard's scalar plugin answers about the runs of a directory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--port", str(port), "--host", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/scalars/tags", timeout=5) as answer:
                    runs = json.load(answer)
                if runs:
                    return runs
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.5)
        raise SystemExit("TensorBoard did not serve the run within a minute")
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    for framework in ("tensorflow", "jax", "torch"):
        assert importlib.util.find_spec(framework) is None, f"{framework} must not be installed here"
    with tempfile.TemporaryDirectory() as directory:
        with EventLog(directory) as log:
            log.write(small_report(), 0)
        runs = served_runs(directory)
    assert "initcheck/log10_forward_gain" in runs["initcheck"], runs
    print(f"1 passed, 0 failed: TensorBoard serves {sorted(runs)}")
