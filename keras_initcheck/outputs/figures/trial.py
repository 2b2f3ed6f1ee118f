"""The curves of a trial: the loss over its steps, with its noise, and the loss of guessing."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette, palette
from keras_initcheck.records.number_format import format_number
from keras_initcheck.records.trial import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 240
BELOW = 60
"""Pixels below the axis: its title, and a row of legend."""
BAND = 2.0
"""Standard deviations of a step's loss that the band reaches to each side."""
LONGEST_LINE = 90
"""Characters of a line of the title."""
TREND = 7
"""Steps over which the level between both ends is a median."""


def draw_trial(trial: Trial, *, dark: bool = False) -> "go.Figure":
    """The figure of a trial as a plotly object."""
    return trial_curves(trial, dark=dark).figure()


def trial_curves(trial: Trial, *, dark: bool = False) -> FigureBuilder:
    """The judged curve, or all losses where none is judged.

    Args:
        trial: The trial.
        dark: For dark surroundings.

    Raises:
        ValueError: The trial has no curve.
    """
    if not trial.num_steps:
        raise ValueError("`trial` must have a curve. Received: a trial whose steps return nothing.")
    colors = palette(dark)
    reason = text.break_lines(text.escape(f"{trial.verdict}: {trial.reason}"), LONGEST_LINE)
    title = f"<b>Trial of {text.escape(trial.model)}</b><br>{reason}"
    sheet = FigureBuilder(layout.new_layout(colors, title, HEIGHT, BELOW))
    if trial.judged:
        _draw_band(sheet, trial, colors)
        _draw_curve(sheet, trial.judged, trial.losses, colors.runs[0])
        _draw_guess(sheet, trial, colors)
    else:
        for number, (name, values) in enumerate(trial.curves):
            _draw_curve(sheet, name, values, colors.runs[number % len(colors.runs)])
    axis = {"gridcolor": colors.grid, "zeroline": False, "tickfont": {"color": colors.ink}}
    sheet.arrange(
        xaxis={**axis, "title": {"text": "step", "standoff": 6}}, yaxis=axis, showlegend=True
    )
    return sheet


def _draw_curve(sheet: FigureBuilder, name: str, values: tuple[float, ...], color: str) -> None:
    steps = list(range(1, len(values) + 1))
    shown = text.escape(name)
    sheet.add_scatter(
        x=steps,
        y=[value if math.isfinite(value) else None for value in values],
        mode="lines+markers",
        name=shown,
        line={"color": color, "width": 1.4},
        marker={"size": layout.marker_size(len(values)), "color": color},
        hoverinfo="text",
        hovertext=[
            f"step {step}<br>{shown} {format_number(value)}"
            for step, value in zip(steps, values, strict=True)
        ],
    )


def _draw_band(sheet: FigureBuilder, trial: Trial, colors: Palette) -> None:
    """The level of the loss, a running median, and what noise adds to each side of it."""
    if math.isnan(trial.noise):
        return
    half = TREND // 2
    losses = np.array(trial.losses)
    steps = [number for number, loss in enumerate(losses) if math.isfinite(loss)]
    level = np.array(
        [np.nanmedian(losses[max(step - half, 0) : step + half + 1]) for step in steps]
    )
    reach = BAND * trial.noise
    places = [step + 1 for step in steps]
    sheet.add_scatter(
        x=[*places, *reversed(places)],
        y=[*(level + reach).tolist(), *reversed((level - reach).tolist())],
        mode="lines",
        fill="toself",
        fillcolor=colors.band,
        line={"width": 0},
        name="noise of a step",
        hoverinfo="skip",
    )


def _draw_guess(sheet: FigureBuilder, trial: Trial, colors: Palette) -> None:
    """The loss of the best constant prediction, as a line."""
    if math.isnan(trial.guessing_loss):
        return
    guess: dict[str, Any] = {"color": colors.ideal, "width": 1.4, "dash": "dash"}
    sheet.add_scatter(
        x=[1, trial.num_steps],
        y=[trial.guessing_loss] * 2,
        mode="lines",
        line=guess,
        name=f"guessing, {format_number(trial.guessing_loss)}",
        hoverinfo="skip",
    )
