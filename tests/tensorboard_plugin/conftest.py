"""Event files that `EventLog` wrote, and the plugin on top of TensorBoard's own reader of them,
asked through werkzeug's client.
"""

import json
from dataclasses import replace

import pytest
from tensorboard.backend.event_processing import (
    directory_loader,
    directory_watcher,
    event_file_loader,
    io_wrapper,
    plugin_asset_util,
)
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat import tensorflow_stub
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.tensorboard_plugin.plugin import InitcheckPlugin

NASTY = "<script>alert(1)</script>/größe|層`x`"


def moments(second_moment):
    return Moments(0.0, second_moment, second_moment, 3.0, 0.5, 0.0, 0.25, 1024)


def site(index, name="dense", ratio=0.5):
    """A dense layer at that depth of a stack whose layers all have that ratio."""
    q = ratio**index
    return SiteStats(
        index,
        f"{name}_{index}",
        f"{name}_{index}",
        "Dense",
        "weight",
        inputs=(index - 1,) if index else (),
        output_shape=(32, 128),
        num_parameters=16_512,
        activation="relu",
        activations=Places(moments(q), moments(2 * q * ratio), moments(q * ratio)),
        random_gradients=Places(x=moments(0.25), h=moments(0.5)),
        forward_ratio=ratio,
        backward_ratio=0.5,
        predicted_forward_ratio=ratio,
        predicted_backward_ratio=0.5,
        log_ratio_variance=0.04,
        chain=0,
        log10_forward_gain=0.0,
        log10_backward_gain=0.0,
    )


def finding(layer="dense_0", severity="error"):
    return Finding(
        "IC102",
        "forward-gain",
        severity,
        f"The signal is halved in `{layer}`.",
        "It vanishes.",
        "Use he_normal.",
        layer,
        layer,
        0.5,
    )


def report(num_sites=3, findings=(), **changes):
    sites = tuple(site(index, **changes) for index in range(num_sites))
    return Report(Profile.of("net", sites), tuple(findings))


@pytest.fixture(scope="session")
def make():
    """`make(num_sites, findings, name=, ratio=)`: a report."""
    return report


@pytest.fixture(scope="session")
def make_finding():
    """`make_finding(layer, severity)`: a finding."""
    return finding


@pytest.fixture
def log(tmp_path):
    """`log(run, (step, report), ...)`: writes a run and gives the log directory."""

    def write(run, *steps_and_reports):
        with EventLog(tmp_path / run) as events:
            for step, each in steps_and_reports:
                events.write(replace(each, profile=replace(each.profile, step=step)), step)
        return tmp_path

    return write


class Tab:
    """The plugin as the page sees it."""

    def __init__(self, plugin):
        self.clients = {
            route.removesuffix("/*"): Client(app) for route, app in plugin.get_plugin_apps().items()
        }

    def get(self, route, **arguments):
        """The answer to a GET request; lists are arguments that come several times."""
        client = self.clients["/static" if route.startswith("/static") else route]
        return client.get(f"/data/plugin/initcheck{route}", query_string=arguments)

    def read(self, route, **arguments):
        """The content of a good answer, refusing what is no strict JSON."""
        answer = self.get(route, **arguments)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text, parse_constant=pytest.fail)

    def only_series(self):
        """The one series there is, and its address."""
        (series,) = self.read("/series")["series"]
        return series, f"{series['sites']}/{series['run']}"


@pytest.fixture
def tab(monkeypatch):
    """`tab(log_dir, max_steps=0)`: the plugin on top of TensorBoard's Python reader."""
    # TensorBoard's stand-in for an absent TensorFlow. Importing the real one takes seconds and
    # changes nothing that is read.
    for module in (
        directory_loader,
        directory_watcher,
        event_file_loader,
        io_wrapper,
        plugin_asset_util,
    ):
        monkeypatch.setattr(module, "tf", tensorflow_stub)

    def open_tab(log_dir, max_steps=0):
        multiplexer = EventMultiplexer(tensor_size_guidance={"initcheck": max_steps})
        multiplexer.AddRunsFromDirectory(str(log_dir))
        multiplexer.Reload()
        opened = Tab(
            InitcheckPlugin(
                TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(log_dir)))
            )
        )
        opened.reload = multiplexer.Reload
        return opened

    return open_tab
