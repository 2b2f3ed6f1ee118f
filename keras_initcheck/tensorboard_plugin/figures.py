"""Draws figures of logged probes with `outputs.figures`, as JSON for plotly in the browser.

Imported by the first request for a figure and not before, because importing plotly takes time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import build
from keras_initcheck.tensorboard_plugin.figure_list import FigureTab
from keras_initcheck.tensorboard_plugin.probe_payload import figure_data_of
from keras_initcheck.tensorboard_plugin.series import LoggedProbe, Series

MOST_STEPS = 200
"""Probes in a figure over steps, chosen at even distances if there are more.

A screen has no room for more, and their texts would take megabytes.
"""

LEAST_MARGIN = 34
"""Pixels above a figure without a title."""

Probes = Sequence[tuple[Series, LoggedProbe]]


def draw_figure(tab: FigureTab, probes: Probes, dark: bool) -> str:
    """Draws a figure as JSON text, without its title, which the page shows above it.

    Args:
        tab: The figure to draw.
        probes: The probes to show, each with its series.
        dark: Whether the background is dark.
    """
    chosen = _spread(probes) if tab.over_steps else probes
    data = [figure_data_of(series, probe) for series, probe in chosen]
    options = {"statistic": _first_measured(tab, data[-1])} if tab.statistics else {}
    figure = build(tab.kind, data, dark=dark, **options)
    figure.layout = _without_title(figure.layout)
    return figure.to_json()


def _spread(probes: Probes) -> Probes:
    """At most `MOST_STEPS` of the probes, always with the first and the last."""
    places = np.linspace(0, len(probes) - 1, min(len(probes), MOST_STEPS)).round().astype(int)
    return [probes[place] for place in places]


def _first_measured(tab: FigureTab, newest: FigureData) -> str:
    """The first of the tab's statistics that the newest probe has measured, or else the first."""
    measured = [name for name in tab.statistics if not np.isnan(newest.column(name)).all()]
    return (measured or tab.statistics)[0]


def _without_title(layout: dict[str, Any]) -> dict[str, Any]:
    margin = layout.get("margin")
    if not isinstance(margin, dict) or "height" not in layout:
        return layout
    saved = max(margin.get("t", 0) - LEAST_MARGIN, 0)
    return {
        **layout,
        "title": None,
        "height": layout["height"] - saved,
        "margin": {**margin, "t": margin.get("t", 0) - saved},
    }
