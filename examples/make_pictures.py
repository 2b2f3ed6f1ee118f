"""Make the README's pictures: AlexNet's explosion and its fix in the tab, console and HTML report.

    make pictures

Requires Chromium and playwright. The pictures go to `examples/pictures`; every number in them is
measured while the script runs.
"""

import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

import keras_initcheck as ic
from keras_initcheck.demo.photographs import photographs
from keras_initcheck.demo.schemes import HE, NORMAL, Bench
from keras_initcheck.outputs.console import render
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1280, 800
CONSOLE_WIDTH = 100
SCHEMES = {"before_normal": NORMAL, "after_he": HE}


def reports() -> dict[str, ic.Report]:
    """Check AlexNet on photographs, with weights from N(0,1) and by He et al. (2015)."""
    crops, _ = photographs(4)
    bench = Bench(take_batch(crops), width=1.0)
    policy = Policy(ignore=["layer-ratio"])
    return {name: judge(bench.measure(scheme), policy) for name, scheme in SCHEMES.items()}


@contextlib.contextmanager
def tensorboard(log_dir: str):
    """Start TensorBoard and yield its address."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        log_dir,
        "--port",
        "0",
        "--host",
        "127.0.0.1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if found := re.search(r"TensorBoard \S+ at (http://\S+)", line):
                    yield found[1]
                    break
        finally:
            process.terminate()


@contextlib.contextmanager
def browser():
    """Start a headless Chromium and yield a page."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        sys.exit(
            "make pictures needs Chromium. Received: none on the path. Try: apt-get install"
            " chromium"
        )
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            headless=True,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        context.set_default_timeout(120_000)
        yield context.new_page()
        context.close()


def picture_of_tab(page, address: str, name: str, *runs: str) -> None:
    """Save a picture of the tab with these runs overlaid."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto("about:blank")
    chosen = "".join(f"&p.initcheck.run={run}%2Finitcheck" for run in runs)
    page.goto(f"{address}#initcheck{chosen}")
    frame = page.frame_locator("iframe[src*='plugin_entry']")
    frame.locator("body[data-ready][data-details]").wait_for()
    page.screenshot(path=PICTURES / name)


def picture_of_page(page, path: Path, name: str) -> None:
    """Save a picture of the HTML report, opened from disk."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(path.as_uri())
    page.locator(".plotly .main-svg").first.wait_for()
    page.screenshot(path=PICTURES / name)


def picture_of_console(report: ic.Report, name: str) -> None:
    """Save a picture of the printed report."""
    console = Console(record=True, width=CONSOLE_WIDTH, file=io.StringIO())
    for line in render(report, CONSOLE_WIDTH).splitlines():
        console.print(Text(line), no_wrap=True)
    console.save_svg(str(PICTURES / name), title="print(report)")


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    found = reports()
    picture_of_console(found["before_normal"], "console.svg")
    with tempfile.TemporaryDirectory() as directory, browser() as page:
        for name, report in found.items():
            with EventLog(Path(directory) / "logs" / name) as log:
                log.write(report, 0)
        html = Path(directory) / "report.html"
        found["before_normal"].save_html(html)
        picture_of_page(page, html, "html_report.png")
        with tensorboard(f"{directory}/logs") as address:
            picture_of_tab(page, address, "tab_before.png", "before_normal")
            picture_of_tab(page, address, "tab_before_after.png", *SCHEMES)


if __name__ == "__main__":
    main()
