"""How TensorBoard gets the plugin, and that it starts whatever is missing."""

import argparse
import importlib.metadata
import os
import subprocess
import sys

import pytest

from keras_initcheck.tensorboard_plugin.plugin import ROUTES, InitcheckLoader

BROKEN = "import sys\nfor name in {names!r}:\n    sys.modules[name] = None\n"


def flags(arguments, samples=None):
    parser = argparse.ArgumentParser()
    loader = InitcheckLoader()
    loader.define_flags(parser)
    parsed = parser.parse_args(arguments, argparse.Namespace(samples_per_plugin=samples))
    loader.fix_flags(parsed)
    return parsed.samples_per_plugin


@pytest.mark.parametrize(
    ("arguments", "samples", "expected"),
    [
        ([], None, {"initcheck": 1000}),
        (["--initcheck_max_steps", "7"], {"scalars": 5}, {"scalars": 5, "initcheck": 7}),
        (["--initcheck_max_steps", "0"], None, {"initcheck": 0}),
        ([], {"initcheck": 3}, {"initcheck": 3}),
    ],
    ids=["default", "own flag", "all", "TensorBoard's flag wins"],
)
def test_sampling_limit(arguments, samples, expected):
    assert flags(arguments, samples) == expected


def test_entry_point_is_the_loader():
    (entry,) = (
        each
        for each in importlib.metadata.entry_points(group="tensorboard_plugins")
        if each.name == "initcheck"
    )
    assert entry.load() is InitcheckLoader


def test_tab_is_shown_once_there_are_data(tab, tmp_path):
    # TensorBoard's core lists a plugin as active when the log has data under its name; `is_active`
    # is asked only where it has none.
    from tensorboard.plugins.base_plugin import TBContext

    from keras_initcheck.tensorboard_plugin.plugin import InitcheckPlugin

    plugin = InitcheckPlugin(TBContext())
    assert not plugin.is_active()
    assert plugin.frontend_metadata().es_module_path == "/static/index.js"


@pytest.mark.parametrize(
    "names",
    [
        ["plotly"],
        ["keras_initcheck.outputs"],
        ["keras_initcheck.tensorboard_plugin.routes"],
        ["keras", "rich", "torch", "jax", "tensorflow"],
    ],
    ids=["plotly", "outputs", "routes", "frameworks"],
)
def test_tensorboard_loads_the_plugin_where_that_is_broken(tmp_path, names):
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(names=names))
    code = """
from tensorboard import default, program
from tensorboard.plugins.base_plugin import TBContext
board = program.TensorBoard(plugins=default.get_plugins())
board.configure(argv=[None, "--logdir", "nowhere", "--port", "0"])
(loader,) = (each for each in board.plugin_loaders if type(each).__name__ == "InitcheckLoader")
plugin = loader.load(TBContext(flags=board.flags))
print(plugin.plugin_name, board.flags.samples_per_plugin["initcheck"])
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert said.stdout.split()[-2:] == ["initcheck", "1000"], said.stderr


def test_every_route_is_handled():
    from keras_initcheck.tensorboard_plugin.routes import Routes

    assert tuple(Routes(None).handlers) == ROUTES


def test_broken_reader_is_named_by_every_route_and_the_page_is_served(tab, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras_initcheck.tensorboard_plugin.routes", raising=False)
    monkeypatch.setitem(sys.modules, "keras_initcheck.tensorboard_plugin.event_reader", None)
    opened = tab(tmp_path)
    answers = [opened.get(route) for route in ROUTES]
    assert {answer.status_code for answer in answers} == {503}
    assert {"event_reader" in answer.json["error"] for answer in answers} == {True}
    assert opened.get("/static/page.js").status_code == 200
