"""Answers the tab's requests.

Every route answers GET requests in strict JSON. NaN and the infinities, which are no JSON numbers,
are the strings "NaN", "Infinity" and "-Infinity", and `null` inside figures. A series is addressed
as `<sites>/<run>` and a probe as `<sites>/<step>/<run>`, where `<sites>` is the hash of the list of
sites: a model that changed within a run has a series of its own.

`/series`
    `series`: run, sites, model, number of sites, first and last step, and a stamp that changes with
    every new probe.
`/steps?series=`
    `steps`, `wall_times` in seconds since 1970, and `severities`: "ok", "info", "warning", "error"
    or `null`.
`/probe?probe=`
    `verdict`, `ok`, `severity`, `findings` worst first, and the `table` of the sites.
`/figures`
    Names, titles and captions of the figures, and whether they are over steps.
`/figure?name=&dark=&probe=`, or for a figure over steps `/figure?name=&dark=&series=`
    `data` and `layout` for plotly. `dark` is 0 or 1; `probe` may be repeated to overlay runs.

Errors are `{"error": ...}` with the status 400 for a wrong argument, 404 for a run, step or figure
that does not exist, 503 if a package is missing, and 500 for any other failure.
"""

import contextlib
import importlib
import math
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tensorboard import errors, plugin_util
from tensorboard.data import provider
from werkzeug import wrappers

from keras_initcheck.tensorboard_plugin.addresses import parse_probe, parse_series
from keras_initcheck.tensorboard_plugin.event_reader import EventReader
from keras_initcheck.tensorboard_plugin.figure_list import FIGURE_TABS
from keras_initcheck.tensorboard_plugin.log_format import PLUGIN
from keras_initcheck.tensorboard_plugin.responses import (
    Handler,
    boolean_argument,
    repeated_argument,
    single_argument,
)
from keras_initcheck.tensorboard_plugin.series import LoggedProbe, Series

MOST_PROBES = 100
"""Probes in a figure that overlays runs, which has eight colors; each takes some milliseconds."""

_ONE_IMPORT_AT_A_TIME = threading.Lock()
"""Held during the import of plotly.

A request that waits for another request's failing import gets a half-made module, and an error that
does not name what is missing.
"""


class Routes:
    """The routes of one TensorBoard.

    Args:
        data_provider: TensorBoard's access to the log directory.
    """

    def __init__(self, data_provider: provider.DataProvider) -> None:
        self._reader = EventReader(data_provider, PLUGIN)
        self.handlers: Mapping[str, Handler] = MappingProxyType(
            {
                "/series": self._series,
                "/steps": self._steps,
                "/figures": self._figures,
                "/figure": self._figure,
                "/probe": self._probe,
            }
        )

    def _series(self, request: wrappers.Request) -> object:
        return {"series": [each.summary() for each in self._reader.series(*_place(request))]}

    def _steps(self, request: wrappers.Request) -> object:
        probes = [probe for _, probe in self._all_probes(request)]
        times = [probe.wall_time for probe in probes]
        return {
            "steps": [probe.step for probe in probes],
            "wall_times": [time if math.isfinite(time) else 0.0 for time in times],
            "severities": [probe.severity for probe in probes],
        }

    def _figures(self, request: wrappers.Request) -> object:
        # Python loads its half of plotly while the browser loads the other.
        threading.Thread(target=_load_figures, daemon=True).start()
        return {"figures": [{"name": name, **vars(each)} for name, each in FIGURE_TABS.items()]}

    def _figure(self, request: wrappers.Request) -> object:
        name, is_dark = single_argument(request, "name"), boolean_argument(request, "dark")
        if name not in FIGURE_TABS:
            raise errors.NotFoundError(
                f"No figure is called {name[:200]!r}. `/figures` lists those that exist."
            )
        tab = FIGURE_TABS[name]
        probes = self._all_probes(request) if tab.over_steps else self._chosen_probes(request)
        with _ONE_IMPORT_AT_A_TIME:
            from keras_initcheck.tensorboard_plugin.figures import draw_figure

        return draw_figure(tab, probes, is_dark)

    def _probe(self, request: wrappers.Request) -> object:
        from keras_initcheck.tensorboard_plugin.probe_payload import probe_payload

        sites, step, run = parse_probe(single_argument(request, "probe"))
        series = self._find(request, sites, run)
        return probe_payload(series, self._reader.probe(series, step))

    def _all_probes(self, request: wrappers.Request) -> list[tuple[Series, LoggedProbe]]:
        series = self._find(request, *parse_series(single_argument(request, "series")))
        return [(series, probe) for probe in self._reader.probes(series)]

    def _chosen_probes(self, request: wrappers.Request) -> list[tuple[Series, LoggedProbe]]:
        addresses = [parse_probe(text) for text in repeated_argument(request, "probe", MOST_PROBES)]
        found = [(self._find(request, sites, run), step) for sites, step, run in addresses]
        return [(series, self._reader.probe(series, step)) for series, step in found]

    def _find(self, request: wrappers.Request, sites: str, run: str) -> Series:
        for series in self._reader.series(*_place(request), run):
            if (series.run, series.sites) == (run, sites):
                return series
        raise errors.NotFoundError(
            f"No probes of a run {run!r} with the sites {sites}. `/series` lists those that exist."
        )


def _load_figures() -> None:
    # The request for a figure meets the same error, and reports it.
    with contextlib.suppress(Exception), _ONE_IMPORT_AT_A_TIME:
        importlib.import_module("keras_initcheck.tensorboard_plugin.figures")


def _place(request: wrappers.Request) -> tuple[Any, str]:
    """The context and the experiment that TensorBoard stored in the request."""
    return plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
