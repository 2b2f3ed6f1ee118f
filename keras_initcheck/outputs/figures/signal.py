"""The figure of signal propagation: the size of signal and gradient at each layer."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.directions import BACKWARD, FORWARD, Direction, has_value
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import palette
from keras_initcheck.outputs.figures.panel import Panel


def signal_propagation(frames: Sequence[FigureData], *, dark: bool = False) -> FigureBuilder:
    """Draws the root mean square of the signal over depth, the gradient's below, in powers of ten.

    Each is shown as it was measured, as the model's inputs and all weights on the way predict it
    with the range that chance allows, and as it ideally is: flat. Repeated probes predict nothing:
    the prediction of the run's first probe is drawn then, and the legend names its step.

    A signal that is all zero is marked at the lower edge, NaN and infinity at the upper one.

    Args:
        frames: One probe, or several runs to lay over each other. Prediction and band are those of
            the first one.
        dark: For dark surroundings.

    Raises:
        ValueError: There is no frame.
    """
    if not frames:
        raise ValueError(
            "`frames` must hold at least one probe. Received: none. Probe a model, or choose a run"
            " that has been logged."
        )
    frames, colors = list(frames), palette(dark)
    directions = [
        FORWARD,
        *([BACKWARD] if any(not np.isnan(BACKWARD.at_h(frame)).all() for frame in frames) else []),
    ]
    indices = _indices(frames, directions)
    axis, room = layout.depth_axis(frames, indices, colors)
    height = layout.PANEL_HEIGHT * len(directions) + layout.GAP * (len(directions) - 1)
    sheet = FigureBuilder(layout.new_layout(colors, text.title_of(frames), height, room))
    sheet.arrange(**layout.stacked(len(directions), layout.PANEL_HEIGHT, layout.GAP, axis))
    for number, direction in enumerate(directions):
        Panel(sheet, frames, direction, colors, layout.axis_name(number), indices).draw()
    return sheet


def before_after(frames: Sequence[FigureData], *, dark: bool = False) -> FigureBuilder:
    """Draws the signal before and after a repair, over each other.

    Args:
        frames: The probe before, and the one after.
        dark: For dark surroundings.

    Raises:
        ValueError: There are not two frames.
    """
    if len(frames) != 2:
        raise ValueError(
            f"`frames` must be the probe before and the one after. Received: {len(frames)} frames."
        )
    before, after = frames
    return signal_propagation(
        [replace(before, run="before"), replace(after, run="after")], dark=dark
    )


def _indices(frames: Sequence[FigureData], directions: Sequence[Direction]) -> list[int]:
    """The sites that have a point in some panel of some frame."""
    found = {
        int(index)
        for frame in frames
        for way in directions
        for index in np.flatnonzero(has_value(frame, way))
    }
    return sorted(found)
