"""Layout of all figures: fonts, margins, title, legend, axes of depth and of powers of ten."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette
from keras_initcheck.outputs.figures.text import escape, label

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FONT_SIZE = 12
PANEL_HEIGHT = 210
GAP = 46
"""Pixels between two panels, where the lower one's heading stands."""
TITLE_LINE = 20
LEGEND_ROOM = 84
"""Pixels below the axis: three rows of legend, which a phone needs."""
CHARACTER = 6.2
"""Width of a tick label's character in pixels."""

MOST_NAMES = 24
"""Names on an axis that stay legible on a screen of 400 pixels; with more sites only weight layers
are named, or all are numbered.
"""
MOST_SLANTED = 12

LEAST_DECADES = 4.0
"""Powers of ten that an axis shows at least: in a healthy network a curve has to look flat."""
MOST_TICKS = 8
EDGE = 0.06
"""Share of an axis that is kept free at its ends."""


def new_layout(colors: Palette, title: str, height: int, bottom: int) -> dict[str, Any]:
    """The layout without axes.

    Args:
        colors: The colors.
        title: Escaped text with line breaks.
        height: Pixels of the panels.
        bottom: Pixels of what stands below them: tick labels and legend.
    """
    num_lines = title.count("<br>") + 1 if title else 0
    top = 34 + TITLE_LINE * num_lines
    height += top + bottom
    return {
        "paper_bgcolor": colors.background,
        "plot_bgcolor": colors.background,
        "font": {"family": FONT, "size": FONT_SIZE, "color": colors.ink},
        "title": {
            "text": title,
            "font": {"size": 15},
            "x": 0,
            "xanchor": "left",
            "xref": "container",
            "pad": {"l": 12},
        }
        | {"y": 1 - 20 / height, "yanchor": "top", "yref": "container"},
        "margin": {"l": 62, "r": 14, "t": top, "b": bottom},
        "height": height,
        "hovermode": "closest",
        "hoverlabel": (
            {"align": "left", "bgcolor": colors.background, "bordercolor": colors.muted}
            | {"font": {"family": FONT, "size": FONT_SIZE, "color": colors.ink}}
        ),
        "legend": (
            {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
            }
            | {
                "font": {"size": FONT_SIZE, "color": colors.ink},
                "itemwidth": 30,
                "bgcolor": "rgba(0, 0, 0, 0)",
            }
        ),
        "modebar": {
            "bgcolor": "rgba(0, 0, 0, 0)",
            "color": colors.muted,
            "activecolor": colors.ink,
        },
    }


def without_title(figure: go.Figure) -> go.Figure:
    """The figure without its title and the room for it, for a page that says the same above it."""
    room = (
        TITLE_LINE * (figure.layout.title.text.count("<br>") + 1) if figure.layout.title.text else 0
    )
    top, height = figure.layout.margin.t - room, figure.layout.height - room
    return go.Figure(figure).update_layout(title={"text": ""}, margin={"t": top}, height=height)


def add_heading(sheet: FigureBuilder, text: str, axis: str, colors: Palette) -> None:
    """Writes escaped `text` above the left end of the panel with that y axis, `"y"` or `"y2"`."""
    sheet.add_annotation(
        text=text,
        x=0,
        xref="paper",
        xanchor="left",
        y=1,
        yref=f"{axis} domain",
        yanchor="bottom",
        yshift=4,
        showarrow=False,
        align="left",
        font={"size": 13, "color": colors.ink},
    )


def depth_axis(
    frames: Sequence[FigureData], indices: Sequence[int], colors: Palette, with_input: bool = True
) -> tuple[dict[str, Any], int]:
    """The axis of depth, and the pixels that its labels and the legend need.

    Args:
        frames: What is drawn. Where they have other layers than the first, layers are numbered.
        indices: The sites that have a point.
        colors: The colors.
        with_input: Whether the model's input has a place in front of the first site.
    """
    axis = {
        **_axis(colors),
        "range": [min(indices, default=0) - 0.5 - with_input, max(indices, default=0) + 0.5],
        "showgrid": False,
    }
    named = (
        names_on_axis(frames[0], indices)
        if all(frame.sites.names == frames[0].sites.names for frame in frames)
        else []
    )
    if not named:
        title = {
            "text": "layer number, in order of execution",
            "standoff": 6,
            "font": {"size": 12, "color": colors.muted},
        }
        return {**axis, "title": title, "tickformat": "d", "nticks": 8}, 44 + LEGEND_ROOM
    labels = ["input"] * with_input + [label(frames[0].sites.names[index]) for index in named]
    angle = -45 if len(named) <= MOST_SLANTED else -90
    longest = max(map(len, labels)) * CHARACTER
    room = longest * math.sin(math.radians(-angle)) + 20
    room += LEGEND_ROOM
    return {
        **axis,
        "tickvals": [min(indices) - 1] * with_input + named,
        "ticktext": labels,
        "tickangle": angle,
        "tickfont": {"size": 11},
    }, round(room)


def names_on_axis(frame: FigureData, indices: Sequence[int]) -> list[int]:
    """The sites whose names there is room for: all, the weight layers, or none.

    Layers are numbered if there is room for no name.
    """
    weights = [index for index in indices if frame.sites.kinds[index] == "weight"]
    return next((list(each) for each in (indices, weights) if 0 < len(each) <= MOST_NAMES), [])


def stacked(num_panels: int, height: int, gap: int, axis: dict[str, Any]) -> dict[str, Any]:
    """The layout of panels of one height in pixels, stacked, which share the x axis `axis`."""
    whole = height * num_panels + gap * (num_panels - 1)
    found: dict[str, Any] = {"xaxis": {**axis, "anchor": axis_name(num_panels - 1)}}
    for number in range(num_panels):
        top = 1 - number * (height + gap) / whole
        found[layout_name(axis_name(number))] = {
            "domain": [max(top - height / whole, 0.0), top],
            "anchor": "x",
        }
    return found


def axis_name(number: int) -> str:
    """Name of that panel's y axis in a trace: `y`, `y2` and so on."""
    return "y" if number == 0 else f"y{number + 1}"


def layout_name(name: str) -> str:
    """Name in the layout of the axis that traces call `name`: `yaxis`, `yaxis2` and so on."""
    return f"{name[0]}axis{name[1:]}"


def power_axis(
    values: Iterable[float],
    colors: Palette,
    around: float | None = 0.0,
    title: str = "root mean square",
) -> dict[str, Any]:
    """An axis of log10 values that is labelled with powers of ten.

    Args:
        values: What has to be visible; numbers that are not finite are ignored.
        colors: The colors.
        around: Where the ideal lies, which is visible too.
        title: What is measured.
    """
    known = [*values] if around is None else [around, *values]
    finite = [value for value in known if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    missing = max(LEAST_DECADES - (high - low), 0.0) / 2
    low, high = low - missing, high + missing
    room = (high - low) * EDGE
    ticks = {
        "tickprefix": "10<sup>",
        "ticksuffix": "</sup>",
        "tickformat": "d",
        "dtick": tick_distance(high - low),
        "tick0": 0,
    }
    words = {"text": title, "standoff": 4, "font": {"size": 11, "color": colors.muted}}
    return {**_axis(colors), **ticks, "title": words, "range": [low - 2 * room, high + 2 * room]}


def tick_distance(span: float) -> int:
    """Whole powers of ten between ticks, so that there are four to nine of them.

    >>> tick_distance(4), tick_distance(40), tick_distance(300)
    (1, 5, 50)
    """
    distances = (step * int(10**power) for power in range(20) for step in (1, 2, 5))
    return next(distance for distance in distances if span / distance <= MOST_TICKS)


def edges_of(axis: dict[str, Any]) -> tuple[float, float]:
    """Heights of marks for what has no place on the axis: just inside its lower and upper end."""
    low, high = axis["range"]
    room = (high - low) * EDGE / 2
    return low + room, high - room


def marker_size(num_points: int) -> float:
    """Diameter of a point in pixels: large for a few layers, small for hundreds."""
    return float(np.interp(num_points, [20, 60, 300], [8, 6, 4]))


def dashes(number: int) -> str:
    """The dash of the run of that number: runs differ by more than color."""
    return ("solid", "dash", "dot", "dashdot", "longdash")[number % 5]


def run_name(frame: FigureData, number: int, num_frames: int) -> str:
    """Name of a probe in the legend."""
    return "measured" if num_frames == 1 else escape(frame.run or f"run {number + 1}")


def _axis(colors: Palette) -> dict[str, Any]:
    return {
        "gridcolor": colors.grid,
        "zeroline": False,
        "linecolor": colors.muted,
        "tickfont": {"color": colors.ink, "size": 11},
        "fixedrange": False,
        "automargin": False,
    }
