"""Run by hand or in CI in an environment without TensorFlow, JAX and torch: a log is written, and a
real TensorBoard serves it.
"""

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments, Places


def small_report() -> Report:
    """Two layers, each halving the signal."""
    places = [Places(h=Moments(0.0, v, v, 1.0, 0.5, 0.0, 1.0, 100)) for v in (1.0, 0.5)]
    sites = tuple(
        SiteStats(k, f"dense_{k}", f"dense_{k}", "Dense", "weight", activations=place)
        for k, place in enumerate(places)
    )
    return Report(Profile.of("small", sites, log10_forward_gain=-0.3))


def answer(address: str) -> dict:
    """What TensorBoard answers, as JSON; an empty object until it does."""
    try:
        with urllib.request.urlopen(address, timeout=5) as opened:
            return json.load(opened)
    except (urllib.error.URLError, ConnectionError):
        return {}


def served(log_dir: str) -> tuple[dict, dict, dict]:
    """What TensorBoard says about a directory: its runs, the package's own series, and the figure
    of the first probe.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        log_dir,
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root, deadline = f"http://127.0.0.1:{port}/data/plugin", time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            runs, series = (
                answer(f"{root}/scalars/tags"),
                answer(f"{root}/initcheck/series").get("series"),
            )
            if runs and series:
                probe = urllib.parse.quote(f"{series[0]['sites']}/0/{series[0]['run']}", safe="")
                return runs, series[0], answer(f"{root}/initcheck/figure?name=signal&probe={probe}")
            time.sleep(0.5)
        raise SystemExit("TensorBoard did not serve the run within a minute")
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    for framework in ("tensorflow", "jax", "torch"):
        assert importlib.util.find_spec(framework) is None, (
            f"{framework} must not be installed here"
        )
    with tempfile.TemporaryDirectory() as directory:
        with EventLog(directory) as log:
            log.write(small_report(), 0)
        runs, series, figure = served(directory)
    assert "initcheck/log10_forward_gain" in runs["initcheck"], runs
    assert (series["model"], series["num_sites"]) == ("small", 2), series
    assert figure["data"], figure
    print(
        f"1 passed, 0 failed: TensorBoard serves {sorted(runs)}, and its tab the figure of"
        f" {series['run']}"
    )
