"""The ratios of each weight layer beside what its weights predict and chance allows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_initcheck.analysis.predicted_curves import chance_band
from keras_initcheck.outputs.figure_data import Column, FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette, palette
from keras_initcheck.outputs.figures.panel import SYMBOLS
from keras_initcheck.outputs.severity_marks import LOUD

HALF_WIDTH = 0.35
"""Half the width of a layer's dash and bar, in layers."""

HEADINGS = {
    "forward": "<b>Signal</b> → output / input of each layer",
    "backward": "<b>Gradient</b> ← at input / at output of each layer",
}


def ratio_per_layer(frames: Sequence[FigureData], *, dark: bool = False) -> FigureBuilder:
    """Draws the measured forward and backward ratio of each layer, in powers of ten.

    Each layer has its own predicted ratio and 99% band. 1 is ideal.
    A ratio of 0 stands at the lower edge, one that is not finite at the upper one.

    Args:
        frames: One probe. Of several, the first is drawn.
        dark: For dark surroundings.

    Raises:
        ValueError: There is no frame.
    """
    if not frames:
        raise ValueError(
            "`frames` must hold a probe. Received: none. Probe a model, or choose a run that has"
            " been logged."
        )
    frame, colors = frames[0], palette(dark)
    ways = [way for way in HEADINGS if not np.isnan(frame.column(f"log10_{way}_ratio")).all()] or [
        "forward"
    ]
    indices = np.flatnonzero(
        np.any([~np.isnan(frame.column(f"log10_{way}_ratio")) for way in ways], axis=0)
    ).tolist()
    axis, room = layout.depth_axis([frame], indices, colors, with_input=False)
    height = layout.PANEL_HEIGHT * len(ways) + layout.GAP * (len(ways) - 1)
    sheet = FigureBuilder(layout.new_layout(colors, text.title_of([frame]), height, room))
    sheet.arrange(**layout.stacked(len(ways), layout.PANEL_HEIGHT, layout.GAP, axis))
    for number, way in enumerate(ways):
        _draw(sheet, frame, way, layout.axis_name(number), indices, colors)
    return sheet


def _draw(
    sheet: FigureBuilder,
    frame: FigureData,
    way: str,
    axis_name: str,
    indices: Sequence[int],
    colors: Palette,
) -> None:
    """Draws one panel: the guide, the predictions with their bands, the measured ratios."""
    measured, predicted = (
        frame.column(f"log10_{way}_ratio"),
        frame.column(f"log10_predicted_{way}_ratio"),
    )
    low, high = (end / 2.0 for end in chance_band(predicted, frame.column("log_ratio_variance")))
    measured, predicted = measured / 2.0, predicted / 2.0
    axis = layout.power_axis(
        [*measured, *predicted, *low, *high], colors, title="ratio of root mean squares"
    )
    sheet.arrange(**{layout.layout_name(axis_name): axis})
    place = {"xaxis": "x", "yaxis": axis_name, "showlegend": axis_name == "y"}
    ends = [min(indices, default=0) - 0.5, max(indices, default=0) + 0.5]
    guide = {"color": colors.ideal, "width": 1.5, "dash": "dash"}
    sheet.add_scatter(
        x=ends, y=[0, 0], mode="lines", name="ideal: 1", line=guide, hoverinfo="skip", **place
    )
    _draw_prediction(sheet, predicted, low, high, colors, place)
    bottom, top = layout.edges_of(axis)
    heights = np.where(
        np.isneginf(measured), bottom, np.where(np.isposinf(measured), top, measured)
    )
    _draw_measured(sheet, frame, heights, colors, place)
    layout.add_heading(sheet, HEADINGS[way], axis_name, colors)


def _draw_prediction(
    sheet: FigureBuilder,
    predicted: Column,
    low: Column,
    high: Column,
    colors: Palette,
    place: dict[str, Any],
) -> None:
    """Draws a dash at each layer's predicted ratio, and a bar for its band."""
    known = np.flatnonzero(np.isfinite(predicted))
    ends = [
        end for index in known.tolist() for end in (index - HALF_WIDTH, index + HALF_WIDTH, None)
    ]
    dashes = [value for level in predicted[known].tolist() for value in (level, level, None)]
    line = {"width": 2, "color": colors.runs[0]}
    sheet.add_scatter(
        x=ends,
        y=dashes,
        mode="lines",
        name="predicted ± chance",
        line=line,
        hoverinfo="skip",
        **place,
    )
    places: list[float | None] = []
    values: list[float | None] = []
    for index in known[np.isfinite(low[known])].tolist():
        left, right = index - HALF_WIDTH, index + HALF_WIDTH
        places += [left, right, right, left, None]
        values += [low[index], low[index], high[index], high[index], None]
    sheet.add_scatter(
        x=places,
        y=values,
        mode="lines",
        fill="toself",
        fillcolor=colors.band,
        line={"width": 0},
        hoverinfo="skip",
        **{**place, "showlegend": False},
    )


def _draw_measured(
    sheet: FigureBuilder,
    frame: FigureData,
    heights: Column,
    colors: Palette,
    place: dict[str, Any],
) -> None:
    """Draws a point for each layer, with the symbol of a warning or an error that blames it."""
    points = np.flatnonzero(~np.isnan(heights)).tolist()
    severities = {
        index: severity if (severity := frame.severity_at(index)) in LOUD else None
        for index in points
    }
    for severity in (None, "warning", "error"):
        chosen = [index for index in points if severities[index] == severity]
        if chosen:
            marker = {"size": layout.marker_size(len(points)), "opacity": 1, "line": {"width": 0}}
            marker["color"] = colors.runs[0] if severity is None else getattr(colors, severity)
            marker["symbol"] = "circle" if severity is None else SYMBOLS[severity]
            options = {
                "mode": "markers",
                "name": severity or "measured",
                "marker": marker,
                "hoverinfo": "text",
                "cliponaxis": False,
                **place,
            }
            options["showlegend"] = not sheet.has_trace(options["name"])
            sheet.add_scatter(
                x=chosen,
                y=heights[chosen].tolist(),
                hovertext=[hover(frame, index) for index in chosen],
                **options,
            )


def hover(frame: FigureData, index: int) -> str:
    """Facts, ratios and findings of a layer, for the box beside the pointer."""
    lines = [
        *text.site_lines(frame, index),
        *text.ratio_line(frame, index, "forward"),
        *text.ratio_line(frame, index, "backward"),
    ]
    return "<br>".join([*lines, *text.finding_lines(frame.findings_at(index))])
