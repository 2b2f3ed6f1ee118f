"""One panel of the signal's picture: a direction of all frames, drawn as lines and points over
depth.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_initcheck.outputs.figure_data import Column, FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.directions import (
    FORWARD,
    Direction,
    blame,
    describe,
    hovers,
    ideal,
    marked_sites,
)
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette
from keras_initcheck.outputs.figures.predicted_curves import INPUT, source_position
from keras_initcheck.outputs.severity_marks import LOUD, worst_severity

SYMBOLS = {"error": "x", "warning": "triangle-up", "info": "circle-open"}


class Panel:
    """Draws one direction of all frames.

    Args:
        sheet: What to draw on.
        frames: The probes.
        direction: What to draw of them.
        colours: The colours.
        axis: What traces call the panel's y axis.
        indices: The sites that have a point in some panel.
    """

    def __init__(
        self,
        sheet: FigureBuilder,
        frames: list[FigureData],
        direction: Direction,
        colours: Palette,
        axis: str,
        indices: Sequence[int],
    ) -> None:
        self.sheet, self.frames, self.direction, self.colours = sheet, frames, direction, colours
        self.name = axis
        self.curve = direction.predict(frames[0])
        self.ideal = ideal(frames[0], direction)
        values = [
            *self.curve.low,
            *self.curve.high,
            *(value for frame in frames for value in direction.at_h(frame)),
        ]
        self.axis = layout.power_axis(values, colours, around=self.ideal)
        self.low, self.high = layout.edges_of(self.axis)
        self.size = layout.marker_size(len(indices))
        self.ends = [min(indices, default=0) - 1, max(indices, default=0)]
        sheet.arrange(**{layout.layout_name(axis): self.axis})

    def draw(self) -> None:
        """Adds everything, what matters most last."""
        self._draw_prediction()
        self._add(
            [*self.ends],
            [self.ideal] * 2,
            "ideal: flat",
            line={"color": self.colours.ideal, "width": 1.5, "dash": "dash"},
        )
        for number, frame in enumerate(self.frames):
            self._draw_measured(number, frame)
        for number, frame in enumerate(self.frames):
            self._draw_findings(number, frame)
        layout.add_heading(self.sheet, self._heading(), self.name, self.colours)

    def _draw_prediction(self) -> None:
        """The band as two lines with what is between them filled, and the median."""
        curve, colour = self.curve, self.colours.band
        if not curve.positions:
            return
        for first, last in _pieces(curve.positions):
            part = slice(first, last)
            outline = [*curve.high[part], *curve.low[part][::-1]]
            if all(math.isfinite(value) for value in outline):
                places = [*curve.positions[part], *curve.positions[part][::-1]]
                self._add(
                    places,
                    outline,
                    "",
                    fill="toself",
                    fillcolor=colour,
                    line={"width": 0},
                    showlegend=False,
                )
        line = {"color": self.colours.runs[0], "width": 1.5, "dash": "dot"}
        name = (
            "predicted ± chance"
            if len(self.frames) == 1
            else f"predicted ({layout.run_name(self.frames[0], 0, 2)})"
        )
        self._add(curve.positions, curve.median, name, line=line, opacity=0.8)

    def _draw_measured(self, number: int, frame: FigureData) -> None:
        name, colour = (
            layout.run_name(frame, number, len(self.frames)),
            self.colours.runs[number % len(self.colours.runs)],
        )
        heights = self._heights(frame)
        places, values = _edges(frame, heights, self.direction)
        line = {"color": colour, "width": 2, "dash": layout.dashes(number)}
        self._add(places, values, name, line=line, legendgroup=name)
        is_zero, is_nonfinite = self._extremes(frame)
        points = np.flatnonzero(~np.isnan(heights) & ~is_zero & ~is_nonfinite)
        marker = {
            "size": self._sizes(frame, points),
            "color": self._point_colours(frame, points, colour),
            "opacity": 1,
            "line": {"width": 0},
        }
        self._add_points(
            frame,
            points,
            heights,
            marker,
            legendgroup=name,
            name=f"{name} points",
            showlegend=False,
        )
        edge = {"size": 11, "line": {"width": 1.5, "color": self.colours.ink}}
        zeros = {**edge, "symbol": "triangle-down", "color": self.colours.zero}
        self._add_points(
            frame,
            np.flatnonzero(is_zero),
            heights,
            zeros,
            name="all zero",
            **self._once("all zero"),
        )
        broken = {**edge, "symbol": "diamond", "color": self.colours.nonfinite}
        self._add_points(
            frame,
            np.flatnonzero(is_nonfinite),
            heights,
            broken,
            name="NaN or infinite",
            **self._once("NaN or infinite"),
        )

    def _draw_findings(self, number: int, frame: FigureData) -> None:
        """A symbol on each layer that a finding about this direction is filed under."""
        heights = self._heights(frame)
        marked = {
            index: severity
            for index, severity in marked_sites(frame, self.direction).items()
            if not math.isnan(heights[index])
        }
        has_room = len(marked) <= layout.MOST_NAMES and len(self.frames) == 1
        for severity in ("info", "warning", "error") if has_room else ("warning", "error"):
            points = np.array([index for index, each in marked.items() if each == severity], int)
            marker = {
                "symbol": SYMBOLS[severity],
                "size": self.size + 5,
                "color": getattr(self.colours, severity),
                "opacity": 1,
            }
            marker["line"] = {
                "width": 1,
                "color": self.colours.info if severity == "info" else self.colours.background,
            }
            self._add_points(frame, points, heights, marker, name=severity, **self._once(severity))

    def _heights(self, frame: FigureData) -> Column:
        """`(sites,)` where each point stands: its log10 second moment, or the edge; `nan` for
        none.
        """
        is_zero, is_nonfinite = self._extremes(frame)
        return np.where(
            is_nonfinite, self.high, np.where(is_zero, self.low, self.direction.at_h(frame))
        )

    def _extremes(self, frame: FigureData) -> tuple[Any, Any]:
        """`(sites,)` whether all is zero, and whether something is NaN or infinite."""
        values = self.direction.at_h(frame)
        is_nonfinite = (self.direction.share_nonfinite(frame) > 0) | np.isposinf(values)
        return np.isneginf(values) & ~is_nonfinite, is_nonfinite

    def _sizes(self, frame: FigureData, points: Any) -> list[float]:
        """Weight layers are larger than what is between them."""
        return [
            self.size if frame.kinds[index] == "weight" else max(self.size - 3, 3)
            for index in points
        ]

    def _point_colours(self, frame: FigureData, points: Any, colour: str) -> Any:
        """With one run, the layers that a finding blames have its colour."""
        if len(self.frames) > 1:
            return colour
        severities = [blame(frame, int(index), self.direction) for index in points]
        return [
            colour if severity is None else getattr(self.colours, severity)
            for severity in severities
        ]

    def _heading(self) -> str:
        """What travels, which way, and what becomes of it, in the colour of the worst finding about
        it.
        """
        arrow = "→" if self.direction is FORWARD else "←"
        start = f"<b>{self.direction.noun}</b> {arrow}"
        if len(self.frames) > 1:
            return start
        worst = worst_severity(
            finding for finding in self.frames[0].findings if self.direction.is_about(finding)
        )
        said = text.escape(describe(self.frames[0], self.direction))
        if worst in LOUD:
            return f'{start} <b style="color:{getattr(self.colours, str(worst))}">{said}</b>'
        is_alarming = self.frames[0].ok and not said.startswith("keeps")
        return f"{start} {said}{' (no finding)' if is_alarming else ''}"

    def _once(self, name: str) -> dict[str, Any]:
        """Shows an entry in the legend once, however many traces it stands for."""
        is_new = not self.sheet.has_trace(name)
        return {"legendgroup": name, "showlegend": is_new}

    def _add(self, x: Sequence[float], y: Sequence[float], name: str, **options: Any) -> None:
        options = {
            **({} if name == "" else self._once(name)),
            "hoverinfo": "skip",
            "mode": "lines",
            **options,
        }
        self.sheet.add_scatter(
            x=list(x), y=list(y), name=name, xaxis="x", yaxis=self.name, **options
        )

    def _add_points(
        self,
        frame: FigureData,
        points: Any,
        heights: Column,
        marker: dict[str, Any],
        **options: Any,
    ) -> None:
        if len(points) == 0:
            return
        texts = hovers(frame, points.tolist(), self.direction, len(self.frames) > 1)
        options = {
            "mode": "markers",
            "hoverinfo": "text",
            "hovertext": texts,
            "marker": marker,
            "cliponaxis": False,
            **options,
        }
        self.sheet.add_scatter(
            x=points.tolist(), y=heights[points].tolist(), xaxis="x", yaxis=self.name, **options
        )


def _edges(
    frame: FigureData, heights: Column, direction: Direction
) -> tuple[list[float], list[float]]:
    """A line from each site's source to the site, `nan` in between, or one line where each site
    follows the one before.
    """
    at_x, at_h = direction.at_x(frame), direction.at_h(frame)
    places: list[float] = []
    values: list[float] = []
    for index in np.flatnonzero(~np.isnan(heights)).tolist():
        sources = (
            frame.inputs[index]
            if frame.inputs_known[index] and frame.inputs[index]
            else (source_position(frame, index),)
        )
        for source in sources:
            start = (
                heights[source]
                if source != INPUT
                else at_x[index]
                if math.isfinite(at_h[index])
                else heights[index]
            )
            places += [source, index, math.nan]
            values += [start, heights[index], math.nan]
    return places, values


def _pieces(positions: Sequence[float]) -> list[tuple[int, int]]:
    """Where the parts between the gaps begin and end."""
    ends = [index for index, position in enumerate(positions) if math.isnan(position)]
    return list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)) if ends else []
