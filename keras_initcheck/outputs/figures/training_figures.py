"""Figures over training steps: one number for each layer and step, as a map or as curves."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette, palette
from keras_initcheck.records.number_format import format_number, format_power_of_ten

ROW_HEIGHTS = (26, 3)
"""Pixels of a layer's row, in a small network and at least."""
PLOT_HEIGHTS = (120, 620)
AXIS_ROOM = 40
"""Pixels below the plot for the steps and the axis' title."""
MAP_LEGEND_ROOM = 32
"""Pixels for the one row of a map's legend."""

MOST_MARKED_STEPS = 50
"""Steps whose points are marked on a curve: more of them run together, and slow the page down."""

RELATIVE, ABSOLUTE, SHARE = "relative", "absolute", "share"

HEAT_MAPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "log10_second_moment_h": (RELATIVE, "Signal, compared with the first layer"),
        "log10_random_gradient_second_moment_h": (
            RELATIVE,
            "Gradient, compared with the first layer",
        ),
        "log10_loss_gradient_second_moment_h": (
            RELATIVE,
            "Loss gradient, compared with the first layer",
        ),
        "log10_forward_ratio": (ABSOLUTE, "Signal: what each layer multiplies it by"),
        "log10_backward_ratio": (ABSOLUTE, "Gradient: what each layer multiplies it by"),
        "log10_gradient_to_weight": (
            RELATIVE,
            "|gradient| / |weight|, compared with the first layer",
        ),
        "share_zero_h": (SHARE, "Share of exact zeros in the output"),
        "share_nonfinite_h": (SHARE, "Share of NaN and infinity in the output"),
        "batch_share_h": (SHARE, "How much of the output's variance is between samples"),
    }
)
"""The statistics that a map shows, with what their numbers are: powers of ten compared with the
first layer, powers of ten as they are, or shares of 0..1."""

SHARES_NONFINITE: Mapping[str, str] = MappingProxyType(
    {
        "log10_second_moment_h": "share_nonfinite_h",
        "log10_random_gradient_second_moment_h": "share_nonfinite_random_gradient_h",
        "log10_loss_gradient_second_moment_h": "share_nonfinite_loss_gradient_h",
        "log10_gradient_to_weight": "share_nonfinite_loss_gradient_h",
        "share_zero_h": "share_nonfinite_h",
        "batch_share_h": "share_nonfinite_h",
    }
)
"""Share of NaN and infinity in what a statistic is taken from: the statistic is about the rest."""


def heat_map(
    frames: Sequence[FigureData], *, statistic: str = "log10_second_moment_h", dark: bool = False
) -> FigureBuilder:
    """Draws a map of layers × steps.

    Powers of ten are compared with the *first* layer of the same step: compared with the layer
    before, they are noise.

    NaN and infinity are black, what is exactly zero is gray.

    Args:
        frames: Probes of one run.
        statistic: A key of `HEAT_MAPS`.
        dark: For dark surroundings.

    Raises:
        ValueError: There is no frame, they have other layers than the first, or `statistic` is none
            that a map shows.
    """
    if statistic not in HEAT_MAPS:
        raise ValueError(
            f"`statistic` must be one of {list(HEAT_MAPS)}. Received: statistic={statistic!r}."
        )
    frames, colors = _in_order(frames), palette(dark)
    scale, title = HEAT_MAPS[statistic]
    rows = _rows(frames[0], [frame.shown(statistic) for frame in frames])
    shape = len(rows), len(frames)
    values = np.array([frame.shown(statistic)[rows] for frame in frames]).T.reshape(shape)
    is_broken = np.array([_is_nonfinite(frame, statistic)[rows] for frame in frames])
    broken = is_broken.T.reshape(shape) | np.isposinf(values)
    values = np.where(broken, np.nan, values)
    dead = np.isneginf(values)
    shown = _compare_with_first(values) if scale == RELATIVE else np.where(dead, np.nan, values)
    height = int(np.clip(ROW_HEIGHTS[0] * len(rows), *PLOT_HEIGHTS))
    room = AXIS_ROOM + (MAP_LEGEND_ROOM if dead.any() or broken.any() else 0)
    sheet = FigureBuilder(
        layout.new_layout(colors, text.break_lines(title, text.TITLE_WIDTH), height, room)
    )
    texts = [
        _texts(frames, int(row), statistic, scale, shown[number]) for number, row in enumerate(rows)
    ]
    common = {
        "x": _cell_edges([frame.step for frame in frames]),
        "y": _row_edges(len(rows)),
        "hoverinfo": "text",
        "hovertext": texts,
    }
    sheet.add_heatmap(z=_listed(shown), **_color_scale(shown, scale, colors), **common)
    square = {"symbol": "square", "size": 12, "line": {"width": 1, "color": colors.muted}}
    for mask, color, name in (
        (dead, colors.zero, "zero"),
        (broken, colors.nonfinite, "NaN or infinite"),
    ):
        if mask.any():
            flat = {
                "colorscale": [[0, color], [1, color]],
                "showscale": False,
                "zmin": 0,
                "zmax": 1,
            }
            sheet.add_heatmap(z=_listed(np.where(mask, 1.0, np.nan)), **flat, **common)
            legend = {"marker": {**square, "color": color}, "name": name, "showlegend": True}
            sheet.add_scatter(x=[None], y=[None], mode="markers", **legend)
    sheet.arrange(
        xaxis=_step_axis(colors), yaxis=_row_axis(frames[0], rows, colors), margin={"l": 120}
    )
    return sheet


def update_ratio(frames: Sequence[FigureData], *, dark: bool = False) -> FigureBuilder:
    """Draws log10 of |gradient| / |weight| of each layer over the steps.

    Times the learning rate, it is the relative change of the layer by a plain gradient step.
    Layers that learn at one speed run together. A gradient of 0 stands at the lower edge, one with
    NaN or infinity at the upper one.

    Args:
        frames: Probes of one run.
        dark: For dark surroundings.

    Raises:
        ValueError: There is no frame, or they have other layers than the first.
    """
    frames, colors = _in_order(frames), palette(dark)
    statistic = "log10_gradient_to_weight"
    columns = [frame.shown(statistic) for frame in frames]
    rows = [int(row) for row in _rows(frames[0], columns)]
    title = (
        "<b>|gradient| / |weight|</b> of each layer: times the<br>learning rate, the relative"
        " change of a step"
    )
    sheet = FigureBuilder(layout.new_layout(colors, title, 320, AXIS_ROOM + layout.LEGEND_ROOM))
    axis = layout.power_axis(
        [value for column in columns for value in column[rows]], colors, title="", around=None
    )
    sheet.arrange(xaxis=_step_axis(colors), yaxis=axis)
    bottom, top = layout.edges_of(axis)
    steps = [frame.step for frame in frames]
    mode = "lines+markers" if len(steps) <= MOST_MARKED_STEPS else "lines"
    for number, row in enumerate(rows):
        is_broken = [bool(_is_nonfinite(frame, statistic)[row]) for frame in frames]
        values = [
            top if broken else max(column[row], bottom)
            for column, broken in zip(columns, is_broken, strict=True)
        ]
        color = _depth_color(number, len(rows), colors)
        texts = _texts(frames, row, statistic, ABSOLUTE, [column[row] for column in columns])
        sheet.add_scatter(
            x=steps,
            y=values,
            mode=mode,
            name=text.label(frames[0].sites.names[row]),
            line={"color": color, "width": 1.5},
            marker={"size": 5, "color": color},
            hoverinfo="text",
            hovertext=texts,
            showlegend=len(rows) <= 8 or number in (0, len(rows) // 2, len(rows) - 1),
            cliponaxis=False,
        )
    return sheet


def _in_order(frames: Sequence[FigureData]) -> list[FigureData]:
    if not frames:
        raise ValueError(
            "`frames` must hold the probes of a run. Received: none. Choose a run that has been"
            " logged."
        )
    if any(frame.sites.names != frames[0].sites.names for frame in frames):
        raise ValueError(
            "`frames` must have the same layers. Received: probes of different models. Draw one run"
            " at a time."
        )
    return sorted(frames, key=lambda frame: frame.step)


def _rows(frame: FigureData, columns: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.int64]:
    """The layers to show: weight layers with a number at some step, or all layers with one."""
    has_number = ~np.isnan(np.array(columns)).all(axis=0)
    chosen = has_number & frame.where("weight")
    return np.flatnonzero(chosen if chosen.any() else has_number)


def _is_nonfinite(frame: FigureData, statistic: str) -> npt.NDArray[np.bool_]:
    """`(sites,)` whether what the statistic is taken from holds NaN or infinity."""
    share = SHARES_NONFINITE.get(statistic)
    is_nonfinite: npt.NDArray[np.bool_] = (
        frame.column(share) > 0 if share else np.zeros(len(frame), bool)
    )
    return is_nonfinite


def _compare_with_first(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`(layers, steps)` minus the first layer that is finite in the same step; `nan` for none."""
    finite = np.where(np.isfinite(values), values, np.nan)
    first = [
        next((value for value in column if not math.isnan(value)), math.nan) for column in finite.T
    ]
    compared: npt.NDArray[np.float64] = finite - np.array(first).reshape(1, -1)
    return compared


def _color_scale(shown: npt.NDArray[np.float64], scale: str, colors: Palette) -> dict[str, Any]:
    bar: dict[str, Any] = {
        "thickness": 10,
        "len": 1,
        "outlinewidth": 0,
        "tickfont": {"color": colors.ink, "size": 11},
    }
    if scale == SHARE:
        colorscale = [[0, colors.neutral], [1, colors.high]]
        return {
            "zmin": 0,
            "zmax": 1,
            "colorscale": colorscale,
            "colorbar": {**bar, "tickformat": ".0%"},
        }
    largest = max(float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0, 1.0)
    ticks = {
        "tickprefix": "10<sup>",
        "ticksuffix": "</sup>",
        "tickformat": "d",
        "dtick": layout.tick_distance(2 * largest),
        "tick0": 0,
    }
    colorscale = [[0, colors.low], [0.5, colors.neutral], [1, colors.high]]
    return {
        "zmin": -largest,
        "zmax": largest,
        "colorscale": colorscale,
        "colorbar": {**bar, **ticks},
    }


def _cell_edges(steps: Sequence[int]) -> list[float]:
    """Edges of the columns: half-way between steps."""
    if len(steps) == 1:
        return [steps[0] - 0.5, steps[0] + 0.5]
    middles = [(first + second) / 2 for first, second in itertools.pairwise(steps)]
    return [2 * steps[0] - middles[0], *middles, 2 * steps[-1] - middles[-1]]


def _row_edges(num_rows: int) -> list[float]:
    return [row - 0.5 for row in range(num_rows + 1)]


def _row_axis(frame: FigureData, rows: npt.NDArray[np.int64], colors: Palette) -> dict[str, Any]:
    """The layers from top to bottom, as many of them named as there is room for."""
    every = max(1, math.ceil(len(rows) * 14 / PLOT_HEIGHTS[1]))
    named = list(range(0, len(rows), every))
    labels = [text.label(frame.sites.names[rows[number]]) for number in named]
    axis = {
        "tickvals": named,
        "ticktext": labels,
        "range": [len(rows) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
    }
    return {**axis, "tickfont": {"color": colors.ink, "size": 11}}


def _step_axis(colors: Palette) -> dict[str, Any]:
    title = {"text": "training step", "standoff": 6, "font": {"size": 12, "color": colors.muted}}
    axis = {"title": title, "tickformat": "d", "showgrid": False, "zeroline": False, "nticks": 6}
    return {**axis, "linecolor": colors.muted, "tickfont": {"color": colors.ink, "size": 11}}


def _depth_color(number: int, count: int, colors: Palette) -> str:
    """One of the colors from the first to the last layer."""
    return colors.depths[min(number * len(colors.depths) // max(count, 1), len(colors.depths) - 1)]


def _texts(
    frames: Sequence[FigureData], row: int, statistic: str, scale: str, shown: Iterable[float]
) -> list[str]:
    """Texts in the box beside the pointer for a layer at each step.

    The facts about the layer are the same at all of them, and written once to save time.
    """
    site = text.site_lines(frames[0], row)
    return [
        "<br>".join([*site, *_number_lines(frame, row, statistic, scale, each)])
        for frame, each in zip(frames, shown, strict=True)
    ]


def _number_lines(
    frame: FigureData, row: int, statistic: str, scale: str, shown: float
) -> list[str]:
    value = float(frame.shown(statistic)[row])
    if scale == SHARE:
        return [f"step {frame.step}", format_number(value)]
    compared = (
        [f"{format_power_of_ten(float(shown))} times the first layer"] if scale == RELATIVE else []
    )
    return [f"step {frame.step}", format_power_of_ten(value), *compared]


def _listed(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
