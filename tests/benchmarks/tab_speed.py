"""How fast the TensorBoard tab is, and what a probe costs in the log: 100 layers × 200 steps,
TensorBoard and a browser for real.

    python tests/benchmarks/tab_speed.py [--layers 100] [--steps 200] [--rounds 5]

Prints medians. The page's own time begins where TensorBoard has opened the tab's frame, and ends
with the picture on the screen; a step of the slider begins with its event. "far" steps have to be
fetched and drawn first, "near" ones the page has asked for beforehand.
"""

import argparse
import contextlib
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import BrowserContext, FigureData, sync_playwright

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
MILLISECONDS_TO_WAIT = 120_000
NUM_SLIDES = 15
PAUSE_MS = 1500  # for the page to ask for the steps nearby

SLIDE = """([index]) => new Promise((resolve) => {
  const range = document.querySelector("input[type=range]");
  const before = document.body.dataset.ready;
  const begun = performance.now();
  new MutationObserver((_, observer) => {
    if (document.body.dataset.ready === before) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)));
  }).observe(document.body, { attributes: true });
  range.value = index;
  range.dispatchEvent(new Event("input"));
})"""


def moments(second_moment: float) -> Moments:
    return Moments(0.1, second_moment, second_moment, 3 * second_moment**0.5, 0.5, 0.0, 0.3, 1024)


def make_report(num_layers: int, step: int, generator: np.random.Generator) -> Report:
    """A stack of dense layers whose ratios scatter around 1."""
    sites, q = [], 1.0
    for index in range(num_layers):
        name, ratio = (
            f"stage_{index // 10}/block_{index % 10}/dense",
            float(np.exp(generator.normal(0, 0.1))),
        )
        site = SiteStats(
            index,
            name,
            name,
            "Dense",
            "weight",
            inputs=(index - 1,) if index else (),
            output_shape=(32, 128),
            num_parameters=16_512,
            activation="relu",
            activations=Places(moments(q), moments(2 * q * ratio), moments(q * ratio)),
            loss_gradients=Places(moments(1e-4 * ratio), None, moments(1e-4)),
            forward_ratio=ratio,
            backward_ratio=ratio,
            predicted_forward_ratio=1.0,
            predicted_backward_ratio=1.0,
            log_ratio_variance=0.02,
            chain=0,
            log10_forward_gain=math.log10(q * ratio),
        )
        sites.append(site)
        q *= ratio
    facts = ("kernel", (128, 128), 128.0, 128.0, moments(0.01), 12.0, 0.5, moments(1e-6), 0.1)
    weights = [WeightStats(f"{site.name}/kernel", site.layer, site.index, *facts) for site in sites]
    finding = Finding(
        "IC102",
        "forward-gain",
        "warning",
        "The signal changes.",
        "It matters.",
        "Use he_normal.",
        sites[0].name,
    )
    return Report(Profile.of("deep", tuple(sites), tuple(weights), step=step), (finding,))


def write_log(directory: Path, num_layers: int, num_steps: int) -> tuple[float, float]:
    """Median milliseconds and bytes of a write after the first one."""
    generator, times, sizes = np.random.default_rng(0), [], []
    with EventLog(directory) as log:
        for step in range(num_steps):
            report, begun = make_report(num_layers, step, generator), time.perf_counter()
            log.write(report, step)
            times.append(1000 * (time.perf_counter() - begun))
            sizes.append(
                sum(path.stat().st_size for path in (directory / "initcheck").glob("*tfevents*"))
            )
    return statistics.median(times[1:]), statistics.median(np.diff(sizes).tolist())


@contextlib.contextmanager
def tensorboard(directory: Path) -> Iterator[str]:
    """The address of a TensorBoard on that directory."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(directory),
        "--port",
        "0",
        "--host",
        "127.0.0.1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield next(
                found[1]
                for line in process.stderr
                if (found := re.search(r" at (http://\S+)", line))
            )
        finally:
            process.terminate()


def open_tab(browser: BrowserContext, url: str) -> tuple[FigureData, float, float]:
    """The tab's frame, when TensorBoard opened it, and when the picture was there, in milliseconds
    since the navigation.
    """
    page = browser.new_page()
    page.set_default_timeout(MILLISECONDS_TO_WAIT)
    page.goto(f"{url}#initcheck")
    page.frame_locator("iframe[src*='plugin_entry']").locator(
        "body[data-ready^='signal ']"
    ).wait_for()
    frame = next(frame for frame in page.frames if "plugin_entry" in frame.url)
    painted, origin = frame.evaluate(
        "() => [performance.getEntriesByName('initcheck')[0].startTime, performance.timeOrigin]"
    )
    return frame, origin - page.evaluate("() => performance.timeOrigin"), painted


def measure(url: str, num_steps: int, rounds: int) -> dict[str, float]:
    """Medians in milliseconds."""
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        browser = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        open_tab(browser, url)[
            0
        ].page.close()  # the server has to read the log, and to import plotly
        opened = [open_tab(browser, url) for _ in range(rounds)]
        frame = opened[-1][0]
        places = np.random.default_rng(0).permutation(num_steps - 3)[:NUM_SLIDES].tolist()
        far = [frame.evaluate(SLIDE, [place + 1]) for place in places]
        near = []
        for place in places[: NUM_SLIDES // 3]:
            frame.evaluate(SLIDE, [place])
            frame.page.wait_for_timeout(PAUSE_MS)
            near.append(frame.evaluate(SLIDE, [place + 1]))
        browser.close()
    own, painted = ([each[number] for each in opened] for number in (1, 2))
    found = {
        "TensorBoard opens the tab after": own,
        "then the picture takes": painted,
        "slider step, far": far,
        "slider step, near": near,
    }
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        milliseconds, size = write_log(Path(directory), options.layers, options.steps)
        print(f"{options.layers} layers × {options.steps} steps")
        print(f"  a probe in the log: {size / 1000:.1f} KB, written in {milliseconds:.1f} ms")
        with tensorboard(Path(directory)) as url:
            for name, value in measure(url, options.steps, options.rounds).items():
                print(f"  {name}: {value:.0f} ms")


if __name__ == "__main__":
    main()
