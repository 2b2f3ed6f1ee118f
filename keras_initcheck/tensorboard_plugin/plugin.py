"""What TensorBoard loads when it starts: the plugin and its routes. Imports nothing that could be
missing, broken or slow.

An error while this file is imported keeps TensorBoard from starting for everyone, so what draws is
imported by the first request for it.

Routes, below `data/plugin/initcheck`. All answer to GET, in strict JSON: NaN and the infinities,
which are no JSON numbers, are the strings "NaN", "Infinity" and "-Infinity", and inside figures
`null`. A series is addressed as `<sites>/<run>`, a probe as `<sites>/<step>/<run>`, where `<sites>`
is the hash of the list of sites: a model that changed within a run is a series of its own.

| route | arguments | answer |
| --- | --- | --- |
| `/series` | | `series`: run, sites, model, number of sites, first and last step, and a stamp that changes with every new probe |
| `/steps` | `series` | `steps`, `wall_times` in seconds since 1970, `severities`: "ok", "info", "warning", "error" or `null` |
| `/probe` | `probe` | `verdict`, `ok`, `severity`, `findings` worst first, and the `table` of the sites |
| `/figures` | | names, titles and captions of the figures, and whether they are over steps |
| `/figure` | `name`, `dark` (0 or 1), `probe` | `data` and `layout` for plotly; `probe` may be repeated to lay runs over each other |
| `/figure` | `name`, `dark` (0 or 1), `series` | the same, for a figure over steps |
| `/static/<name>` | | the files that the tab is made of, from a fixed list |

What cannot be answered is answered with `{"error": "what is wrong, and what to do"}`: 400 for an
argument that is no such thing, 404 for a run, step, figure or file that is not there, 503 where a
package is missing, 500 where something failed.
"""

import argparse
import contextlib
import importlib
import math
import threading
from collections.abc import Callable
from typing import Any

from tensorboard import errors, plugin_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from keras_initcheck.tensorboard_plugin.event_reader import (
    EventReader,
    LoggedProbe,
    Series,
    parse_probe,
    parse_series,
)
from keras_initcheck.tensorboard_plugin.figure_list import FIGURE_TABS
from keras_initcheck.tensorboard_plugin.log_format import PLUGIN
from keras_initcheck.tensorboard_plugin.responses import (
    answering,
    arguments,
    boolean_argument,
    single_argument,
)
from keras_initcheck.tensorboard_plugin.static_files import static_file

DEFAULT_MAX_STEPS = 1000
MOST_PROBES = 100
"""In a figure that lays runs over each other: it has eight colours, and each probe takes some
milliseconds.
"""

_ONE_IMPORT_AT_A_TIME = threading.Lock()
"""Without it, a request that waits for another one's import of what is not installed gets a
half-made module, and a strange message.
"""


class InitcheckLoader(base_plugin.TBLoader):
    """Makes the plugin, and has TensorBoard keep more of its steps than the 10 or 100 that are
    usual for tensors.
    """

    def define_flags(self, parser: argparse.ArgumentParser) -> None:
        """Adds `--initcheck_max_steps`."""
        parser.add_argument_group("initcheck plugin").add_argument(
            "--initcheck_max_steps",
            metavar="NUM",
            type=int,
            default=DEFAULT_MAX_STEPS,
            help=(
                "Number of probes to keep of each run, a random sample where there are more. 0"
                " keeps all. (default: %(default)s)"
            ),
        )

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Sets the sampling limit, unless the user has set it with `--samples_per_plugin`."""
        limits = dict(flags.samples_per_plugin or {})
        limits.setdefault(PLUGIN, max(flags.initcheck_max_steps, 0))
        flags.samples_per_plugin = limits

    def load(self, context: base_plugin.TBContext) -> "InitcheckPlugin":
        """The plugin for that TensorBoard."""
        return InitcheckPlugin(context)


class InitcheckPlugin(base_plugin.TBPlugin):
    """The tab and its routes."""

    plugin_name = PLUGIN

    def __init__(self, context: base_plugin.TBContext) -> None:
        super().__init__(context)
        self._log = EventReader(context.data_provider, PLUGIN)

    def is_active(self) -> bool:
        """Whether to show the tab although no run has data for it. TensorBoard itself sees whether
        one has.
        """
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Where the tab's code is, and what the tab is called."""
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="Init check"
        )

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """The routes."""
        return {
            "/series": answering(self._series),
            "/steps": answering(self._steps),
            "/figures": answering(self._figures),
            "/figure": answering(self._figure),
            "/probe": answering(self._probe),
            "/static/*": answering(static_file),
        }

    def _series(self, request: wrappers.Request) -> object:
        return {"series": [each.summary() for each in self._log.series(*_place(request))]}

    def _steps(self, request: wrappers.Request) -> object:
        probes = self._log.probes(
            self._find(request, *parse_series(single_argument(request, "series")))
        )
        return {
            "steps": [probe.step for probe in probes],
            "wall_times": [
                probe.wall_time if math.isfinite(probe.wall_time) else 0.0 for probe in probes
            ],
            "severities": [probe.severity for probe in probes],
        }

    def _figures(self, request: wrappers.Request) -> object:
        threading.Thread(
            target=_load_plotly, daemon=True
        ).start()  # while the browser loads its own half of it
        return {"figures": [{"name": name, **vars(each)} for name, each in FIGURE_TABS.items()]}

    def _figure(self, request: wrappers.Request) -> object:
        name, is_dark = single_argument(request, "name"), boolean_argument(request, "dark")
        if name not in FIGURE_TABS:
            raise errors.NotFoundError(
                f"No figure is called {name[:200]!r}. `/figures` lists what there is."
            )
        chosen = (
            self._all_probes(request)
            if FIGURE_TABS[name].over_steps
            else self._chosen_probes(request)
        )

        with _ONE_IMPORT_AT_A_TIME:
            from keras_initcheck.tensorboard_plugin.figures import draw_figure

        return draw_figure(FIGURE_TABS[name], chosen, is_dark)

    def _all_probes(self, request: wrappers.Request) -> list[tuple[Series, LoggedProbe]]:
        series = self._find(request, *parse_series(single_argument(request, "series")))
        return [(series, probe) for probe in self._log.probes(series)]

    def _chosen_probes(self, request: wrappers.Request) -> list[tuple[Series, LoggedProbe]]:
        addresses = [parse_probe(text) for text in arguments(request, "probe", MOST_PROBES)]
        found = [(self._find(request, sites, run), step) for sites, step, run in addresses]
        return [(series, self._log.probe(series, step)) for series, step in found]

    def _probe(self, request: wrappers.Request) -> object:
        from keras_initcheck.tensorboard_plugin.probe_payload import probe_payload

        sites, step, run = parse_probe(single_argument(request, "probe"))
        series = self._find(request, sites, run)
        return probe_payload(series, self._log.probe(series, step))

    def _find(self, request: wrappers.Request, sites: str, run: str) -> Series:
        for series in self._log.series(*_place(request), run):
            if (series.run, series.sites) == (run, sites):
                return series
        raise errors.NotFoundError(
            f"No probes of a run {run!r} with the sites {sites}. `/series` lists what there is."
        )


def _load_plotly() -> None:
    with contextlib.suppress(Exception):  # the request for a figure meets the same, and says so
        importlib.import_module("keras_initcheck.tensorboard_plugin.figures")


def _place(request: wrappers.Request) -> tuple[Any, str]:
    """Context and experiment that TensorBoard has noted in the request."""
    return plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
