"""One panel of the figure of signal propagation: one direction of all probes, over depth."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.figure_data import Column, FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.directions import (
    FORWARD,
    Direction,
    Prediction,
    blame,
    describe,
    hovers,
    ideal,
    marked_sites,
    predict,
)
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette
from keras_initcheck.outputs.severity_marks import LOUD, worst_severity

INPUT = -1
"""Position of the model's input on the depth axis."""

SYMBOLS = {"error": "x", "warning": "triangle-up", "info": "circle-open"}


class Panel:
    """Draws one direction of all frames.

    Args:
        sheet: What to draw on.
        frames: The probes.
        direction: What to draw of them.
        colors: The colors.
        axis: What traces call the panel's y axis.
        indices: The sites that have a point in some panel.
    """

    def __init__(
        self,
        sheet: FigureBuilder,
        frames: list[FigureData],
        direction: Direction,
        colors: Palette,
        axis: str,
        indices: Sequence[int],
    ) -> None:
        self.sheet: FigureBuilder = sheet
        self.frames: list[FigureData] = frames
        self.direction: Direction = direction
        self.colors: Palette = colors
        self.name = axis
        self.indices = indices
        self.prediction: Prediction = predict(frames[0], direction)
        self.ideal: float = ideal(frames[0], direction)
        values = [
            *self.prediction.low,
            *self.prediction.high,
            *(value for frame in frames for value in direction.at_h(frame)),
        ]
        self.axis: dict[str, Any] = layout.power_axis(values, colors, around=self.ideal)
        edges: tuple[float, float] = layout.edges_of(self.axis)
        self.low: float = edges[0]
        self.high: float = edges[1]
        self.size: float = layout.marker_size(len(indices))
        self.ends: list[int] = [min(indices, default=0) - 1, max(indices, default=0)]
        sheet.arrange(**{layout.layout_name(axis): self.axis})

    def draw(self) -> None:
        """Adds everything, what matters most last."""
        self._draw_prediction()
        self._add(
            [*self.ends],
            [self.ideal] * 2,
            "ideal: flat",
            line={"color": self.colors.ideal, "width": 1.5, "dash": "dash"},
        )
        for number, frame in enumerate(self.frames):
            self._draw_measured(number, frame)
        for number, frame in enumerate(self.frames):
            self._draw_findings(number, frame)
        layout.add_heading(self.sheet, self._heading(), self.name, self.colors)

    def _draw_prediction(self) -> None:
        """The range that chance allows as filled areas, the prediction as a dotted line."""
        frame, found = self.frames[0], self.prediction
        starts = self._starts(found)
        for part in _runs(self.indices, found.line):
            places, low, high = part.tolist(), found.low[part].tolist(), found.high[part].tolist()
            if part[0] == self.indices[0] and math.isfinite(starts[part[0]]):
                places = [INPUT, *places]
                low, high = ([float(starts[part[0]]), *each] for each in (low, high))
            self._add(
                [*places, *places[::-1]],
                [*high, *low[::-1]],
                "",
                fill="toself",
                fillcolor=self.colors.band,
                line={"width": 0},
                showlegend=False,
            )
        places, values = _without_gaps(*_edges(frame, found.line, starts))
        line = {"color": self.colors.runs[0], "width": 1.5, "dash": "dot"}
        if found.exists:
            self._add(places, values, self._prediction_name(), line=line, opacity=0.8)
        elif self.direction is FORWARD:  # an entry in the legend that nothing is drawn for
            self._add([math.nan], [math.nan], "predicted: nothing", line=line)

    def _starts(self, found: Prediction) -> Column:
        """`(sites,)` what enters from the model's inputs, where the prediction begins."""
        is_forward = self.direction is FORWARD
        at_x = (
            self.direction.at_x(self.frames[0]) if is_forward else np.full(len(found.line), np.nan)
        )
        return np.where(np.isfinite(found.line), at_x, np.nan)

    def _prediction_name(self) -> str:
        """Name of the prediction in the legend, with its step if an earlier probe made it."""
        frame, step = self.frames[0], self.prediction.step
        when = "" if step == frame.step else f" at step {step}"
        whose = "" if len(self.frames) == 1 else f" ({layout.run_name(frame, 0, 2)})"
        return f"predicted{when}{whose} ± chance"

    def _draw_measured(self, number: int, frame: FigureData) -> None:
        name, color = (
            layout.run_name(frame, number, len(self.frames)),
            self.colors.runs[number % len(self.colors.runs)],
        )
        heights = self._heights(frame)
        at_x, at_h = self.direction.at_x(frame), self.direction.at_h(frame)
        places, values = _edges(frame, heights, np.where(np.isfinite(at_h), at_x, heights))
        line = {"color": color, "width": 2, "dash": layout.dashes(number)}
        self._add(places, values, name, line=line, legendgroup=name)
        is_zero, is_nonfinite = self._extremes(frame)
        points = np.flatnonzero(~np.isnan(heights) & ~is_zero & ~is_nonfinite)
        marker = {
            "size": self._sizes(frame, points),
            "color": self._point_colors(frame, points, color),
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
        self._draw_extremes(frame, heights, is_zero, is_nonfinite)

    def _draw_extremes(
        self, frame: FigureData, heights: Column, is_zero: Any, is_nonfinite: Any
    ) -> None:
        """Marks at the edges for what has no place on the axis."""
        edge = {"size": 11, "line": {"width": 1.5, "color": self.colors.ink}}
        for points, symbol, color, name in (
            (is_zero, "triangle-down", self.colors.zero, "all zero"),
            (is_nonfinite, "diamond", self.colors.nonfinite, "NaN or infinite"),
        ):
            marker = {**edge, "symbol": symbol, "color": color}
            options = {"name": name, **self._once(name)}
            self._add_points(frame, np.flatnonzero(points), heights, marker, **options)

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
                "color": getattr(self.colors, severity),
                "opacity": 1,
            }
            marker["line"] = {
                "width": 1,
                "color": self.colors.info if severity == "info" else self.colors.background,
            }
            self._add_points(frame, points, heights, marker, name=severity, **self._once(severity))

    def _heights(self, frame: FigureData) -> Column:
        """`(sites,)` height of each point: its log10 second moment, or an edge; `nan` for none."""
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
            self.size if frame.sites.kinds[index] == "weight" else max(self.size - 3, 3)
            for index in points
        ]

    def _point_colors(self, frame: FigureData, points: Any, color: str) -> Any:
        """With one run, the layers that a finding blames have its color."""
        if len(self.frames) > 1:
            return color
        severities = [blame(frame, int(index), self.direction) for index in points]
        return [
            color if severity is None else getattr(self.colors, severity) for severity in severities
        ]

    def _heading(self) -> str:
        """Name, direction and change of the quantity, in the color of its worst finding."""
        arrow = "→" if self.direction is FORWARD else "←"
        start = f"<b>{self.direction.noun}</b> {arrow}"
        if len(self.frames) > 1:
            return start
        worst = worst_severity(
            finding for finding in self.frames[0].findings if self.direction.is_about(finding)
        )
        said = text.escape(describe(self.frames[0], self.direction))
        if worst in LOUD:
            return f'{start} <b style="color:{getattr(self.colors, str(worst))}">{said}</b>'
        is_alarming = self.frames[0].judgement.ok and not said.startswith("keeps")
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


def _edges(frame: FigureData, heights: Column, starts: Column) -> tuple[list[float], list[float]]:
    """A line from each site's source to the site, `nan` in between.

    Args:
        frame: The probe.
        heights: `(sites,)` where the line is at each site, `nan` for no site.
        starts: `(sites,)` where the line begins for a site that the model's inputs enter.
    """
    places: list[float] = []
    values: list[float] = []
    for index in np.flatnonzero(~np.isnan(heights)).tolist():
        known = frame.sites.inputs[index] if frame.sites.inputs_known[index] else (index - 1,)
        for source in known or (INPUT,):
            start = starts[index] if source == INPUT else heights[source]
            places += [source, index, math.nan]
            values += [start, heights[index], math.nan]
    return places, values


def _without_gaps(places: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    """The same lines, joined where one begins at the end of another: dots keep their distance."""
    joined: tuple[list[float], list[float]] = ([], [])
    for start in range(0, len(places), 3):
        goes_on = bool(joined[0]) and places[start] == joined[0][-2]
        for into, numbers in zip(joined, (places, values), strict=True):
            if goes_on:
                into[-1:] = numbers[start + 1 : start + 3]
            else:
                into += numbers[start : start + 3]
    return joined


def _runs(indices: Sequence[int], line: Column) -> list[npt.NDArray[np.int64]]:
    """Those of the sites in a row that have a prediction, which may be fewer sites than drawn."""
    drawn = np.array([index for index in indices if index < len(line)], int)
    is_known = np.isfinite(line[drawn])
    ends = np.flatnonzero(np.diff(is_known)) + 1
    return [part for part in np.split(drawn, ends) if len(part) and np.isfinite(line[part[0]])]
