"""Figures of logged probes, drawn by `outputs.figures`, as JSON for plotly in the browser.

Imported by the first request for a figure and not before: `outputs.figures` needs plotly, which may
be missing and takes its time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import build
from keras_initcheck.tensorboard_plugin.event_reader import LoggedProbe, Series
from keras_initcheck.tensorboard_plugin.figure_list import FigureTab
from keras_initcheck.tensorboard_plugin.probe_payload import frame_of

MOST_STEPS = 200
"""Probes in a figure over steps, evenly chosen where there are more: a screen has no room for them,
and their texts take megabytes.
"""

LEAST_MARGIN = 34
"""Pixels above a figure without a title."""


def draw_figure(tab: FigureTab, chosen: Sequence[tuple[Series, LoggedProbe]], dark: bool) -> str:
    """The figure of those probes as JSON text, without the title, which the page has above it."""
    frames = [
        frame_of(series, probe) for series, probe in (_spread(chosen) if tab.over_steps else chosen)
    ]
    options = {"statistic": _measured(tab, frames)} if tab.statistics else {}
    sheet = build(tab.kind, frames, dark=dark, **options)
    sheet.layout = _without_title(sheet.layout)
    return sheet.to_json()


def _spread(chosen: Sequence[tuple[Series, LoggedProbe]]) -> list[tuple[Series, LoggedProbe]]:
    """At most `MOST_STEPS` of them, the first and the last among them."""
    places = np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_STEPS)).round().astype(int)
    return [chosen[place] for place in places]


def _measured(tab: FigureTab, frames: Sequence[FigureData]) -> str:
    """The first statistic that was measured at the newest probe, or else the first."""
    measured = [name for name in tab.statistics if not np.isnan(frames[-1].column(name)).all()]
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
