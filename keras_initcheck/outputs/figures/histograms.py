"""Distributions of the values of each layer: one ridge for each, on its own scale."""

from collections.abc import Sequence

import numpy as np

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import layout, text
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.palette import Palette, palette
from keras_initcheck.records.number_format import format_number
from keras_initcheck.records.statistics import Histogram

WHAT = ("activation", "activation gradient", "weight", "weight gradient")
MOST_RIDGES = 24
RIDGE_HEIGHT = 26
OVERLAP = 1.6
"""Height of a ridge in rows: ridges overlap, as hills do."""


def histograms(
    frames: Sequence[FigureData], *, what: str = "activation", dark: bool = False
) -> FigureBuilder:
    """The distribution of each layer's values, first layer on top.

    The height is the square root of the count, or the zeros of a ReLU would hide all others. The
    width is the layer's own range, which stands in the box beside the pointer.

    Args:
        frames: One probe with histograms. Of several, the first is drawn.
        what: `"activation"`, `"activation gradient"`, `"weight"` or `"weight gradient"`.
        dark: For dark surroundings.

    Raises:
        ValueError: `what` is none of these, there is no frame, or it has no such histograms.
    """
    if what not in WHAT:
        raise ValueError(f"`what` must be one of {WHAT}. Received: what={what!r}.")
    found = [
        pair
        for frame in frames[:1]
        for pair in frame.histograms
        if pair[0].partition("/")[0] == what and any(pair[1].counts)
    ]
    if not found:
        raise ValueError(
            f"`frames` must hold a probe with histograms of each {what}. Received: none. Histograms"
            " are recorded by `InitCheck(..., histogram_freq=1)`."
        )
    colors, shown = palette(dark), _evenly(found)
    more = "" if len(shown) == len(found) else f", {len(shown)} of {len(found)} layers"
    title = f"<b>Distribution of each {text.escape(what)}</b>{more}"
    sheet = FigureBuilder(layout.new_layout(colors, title, RIDGE_HEIGHT * (len(shown) + 1), 34))
    for row, (tag, histogram) in enumerate(shown):
        _draw_ridge(sheet, row, text.escape(tag.partition("/")[2]), histogram, colors)
    _arrange(sheet, [tag.partition("/")[2] for tag, _ in shown], colors)
    return sheet


def _draw_ridge(
    sheet: FigureBuilder, row: int, name: str, histogram: Histogram, colors: Palette
) -> None:
    x, y = outline(histogram)
    reach = f"{format_number(histogram.minimum)} .. {format_number(histogram.maximum)}"
    sheet.add_scatter(
        x=x,
        y=[row - OVERLAP * height for height in y],
        mode="lines",
        fill="toself",
        fillcolor=colors.band,
        name=name,
        line={"color": colors.runs[0], "width": 1.2},
        hoverinfo="text",
        text=f"<b>{name}</b><br>{reach}",
        hoveron="fills+points",
        showlegend=False,
    )


def _arrange(sheet: FigureBuilder, names: Sequence[str], colors: Palette) -> None:
    """Sets the axes: the layers' names, and the range of each layer's values."""
    labels = [text.label(name, text.LONGEST_NAME + 4) for name in names]
    tick = {"color": colors.ink, "size": 11}
    rows = {
        "tickvals": list(range(len(names))),
        "ticktext": labels,
        "tickfont": tick,
        "range": [len(names) - 0.4, -OVERLAP - 0.2],
    }
    columns = {
        "range": [-1.05, 1.05],
        "tickvals": [-1, 0, 1],
        "ticktext": ["−largest", "0", "largest"],
        "tickfont": tick,
    }
    sheet.arrange(yaxis={**rows, "showgrid": False, "zeroline": False}, margin={"l": 140})
    sheet.arrange(xaxis={**columns, "gridcolor": colors.grid, "zeroline": False})


def outline(histogram: Histogram) -> tuple[list[float], list[float]]:
    """The ridge as a closed line.

    Positions are -1..1 of the largest magnitude, heights 0..1 of the largest count's square root.
    """
    largest = max(abs(histogram.minimum), abs(histogram.maximum)) or 1.0
    edges = np.linspace(histogram.minimum, histogram.maximum, len(histogram.counts) + 1) / largest
    heights = np.sqrt(np.array(histogram.counts) / max(histogram.counts))
    x, y = np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
    return x.tolist(), y.tolist()


def _evenly(pairs: Sequence[tuple[str, Histogram]]) -> list[tuple[str, Histogram]]:
    """At most `MOST_RIDGES` of them, first and last included."""
    if len(pairs) <= MOST_RIDGES:
        return list(pairs)
    return [pairs[int(index)] for index in np.linspace(0, len(pairs) - 1, MOST_RIDGES).round()]
