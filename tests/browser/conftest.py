"""A real training's log, a real TensorBoard that serves it, and a real browser that looks at it.

Browser and TensorBoard end with the tests of this folder: both work in the background.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS_TO_START = 120
SECONDS_TO_WAIT = 40
NUM_HIDDEN = 8
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """The log directory of two trainings, and the second model's report before its first update.

    Each makes five updates and is probed before the first and after every other. One begins far too
    small, one well.
    """
    import keras
    import numpy as np

    import keras_initcheck

    directory = tmp_path_factory.mktemp("logs")
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((80, 32)).astype("float32"), generator.integers(0, 4, 80)
    scales = {"small": 0.01, "well": (2 / 32) ** 0.5}
    for name, scale in scales.items():
        initializers = [
            keras.initializers.RandomNormal(0.0, scale, seed=seed) for seed in range(NUM_HIDDEN)
        ]
        hidden = [
            keras.layers.Dense(32, "relu", kernel_initializer=each, name=f"hidden_{k}")
            for k, each in enumerate(initializers)
        ]
        model = keras.Sequential(
            [keras.Input((32,)), *hidden, keras.layers.Dense(4, "softmax", name="head")], name=name
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        callback = keras_initcheck.InitCheck(directory / name, on_drift="ignore", update_freq=2)
        model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0, callbacks=[callback])
    return directory, callback.first_report


@pytest.fixture(scope="package")
def log_dir(trained):
    """The log directory of the trainings."""
    return trained[0]


@pytest.fixture(scope="package")
def num_sites(trained):
    """Number of sites of each of the trained models: the hidden layers, and the head."""
    assert len(trained[1].profile.sites) == NUM_HIDDEN + 1
    return NUM_HIDDEN + 1


@pytest.fixture(scope="package")
def num_gradients(trained):
    """Number of sites at whose output a gradient was measured."""
    return sum(site.gradients.h is not None for site in trained[1].profile.sites)


class Board:
    """A running TensorBoard: the `url` of its page, and `tab`, that of the plugin's page alone."""

    def __init__(self, url):
        self.url = url
        self.tab = f"{url}data/plugin_entry.html?name=initcheck"


@contextlib.contextmanager
def running_tensorboard(directory, *arguments, environment=None):
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
    command += ["--reload_interval", "1", *arguments]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:
        try:
            said = ""
            for line in process.stderr:
                said += line
                if found := re.search(r"TensorBoard \S+ at (http://\S+)", line):
                    yield Board(found[1])
                    break
            else:
                pytest.fail(f"TensorBoard did not start:\n{said}")
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS_TO_START)


@pytest.fixture(scope="package")
def start_tensorboard():
    """`with start_tensorboard(log_dir, *arguments, environment=None) as board`."""
    return running_tensorboard


@pytest.fixture(scope="package")
def board(log_dir, start_tensorboard):
    """TensorBoard on the two trainings, below a path of its own as behind a proxy."""
    with start_tensorboard(log_dir, "--path_prefix", "/below/here") as started:
        yield started


@pytest.fixture(scope="package")
def browser(tmp_path_factory):
    """Chromium, one process for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = (
        "/usr/bin/chromium"
        if Path("/usr/bin/chromium").exists()
        else shutil.which("chromium") or shutil.which("google-chrome")
    )
    if path is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=path,
            headless=True,
            args=[*CHROMIUM_ARGUMENTS],
        )
        yield context
        context.close()


class Tab:
    """The plugin's tab in a page of the browser."""

    def __init__(self, page):
        self.page = page
        self.root = page
        self.complaints = []
        self.origins = set()
        page.on("console", self._note_message)
        page.on("response", self._note_answer)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request", lambda request: self.origins.add(re.match(r"\w+:(//[^/]*)?", request.url)[0])
        )

    def _note_message(self, message):
        if (
            message.type == "error" and "Failed to load resource" not in message.text
        ):  # `_note_answer` knows which one
            self.complaints.append(message.text)

    def _note_answer(self, answer):
        if (
            answer.status >= 400 and "/plugin/initcheck/" in answer.url
        ):  # TensorBoard itself lacks fonts below a path of its own
            self.complaints.append(f"{answer.status} {answer.url}")

    def open(self, board, address="", width=1280, height=800):
        """Opens the tab inside of TensorBoard and waits for its picture."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto("about:blank")
        self.page.goto(f"{board.url}#initcheck{address}")
        return self.drawn()

    def open_alone(self, board):
        """Opens the tab without TensorBoard around it, and waits until it has something to say."""
        self.page.goto(board.tab)
        self.root = self.page
        self.root.locator("body[data-ready]").wait_for()
        return self

    def drawn(self):
        """Waits for picture and details."""
        self.root = self.page.frame_locator("iframe[src*='plugin_entry']")
        self.root.locator("body[data-ready][data-details]").wait_for()
        return self

    def find(self, selector, **options):
        return self.root.locator(selector, **options)

    def value(self, script):
        """The value of a JavaScript expression in the tab."""
        return self.find("body").evaluate(f"() => {script}")

    def places(self, panel="xy"):
        """The places of the points of a panel of the picture, each place once."""
        selector = f".subplot.{panel} .points path"
        return set(
            self.find("body").evaluate(
                "(_, s) => [...document.querySelectorAll(s)].map((p) =>"
                " p.getAttribute('transform'))",
                selector,
            )
        )

    def keep_picture(self, name):
        """Saves a screenshot where the environment asks for it."""
        if directory := os.environ.get("KERAS_INITCHECK_SCREENSHOTS"):
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(directory) / f"{name}.png")


@pytest.fixture
def tab(browser):
    """A fresh page that must neither complain nor ask anybody else but TensorBoard."""
    page = browser.new_page()
    page.set_default_timeout(SECONDS_TO_WAIT * 1000)
    opened = Tab(page)
    yield opened
    page.close()
    assert opened.complaints == []
    assert {
        origin
        for origin in opened.origins
        if not re.match(r"(http://127\.0\.0\.1:\d+|about:|data:|blob:)", origin)
    } == set()
