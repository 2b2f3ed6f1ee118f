"""Figures of probes: one definition of each for notebook, HTML page and TensorBoard tab.

This folder is the only place that imports plotly.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures.figure_builder import FigureBuilder
from keras_initcheck.outputs.figures.histograms import histograms
from keras_initcheck.outputs.figures.ratios import ratio_per_layer
from keras_initcheck.outputs.figures.signal import before_after, signal_propagation
from keras_initcheck.outputs.figures.training_figures import heat_map, update_ratio

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["FIGURES", "build", "draw", "get_plotlyjs"]

FIGURES: Mapping[str, "Callable[..., FigureBuilder]"] = MappingProxyType(
    {
        "signal": signal_propagation,
        "ratios": ratio_per_layer,
        "heat_map": heat_map,
        "update_ratio": update_ratio,
        "before_after": before_after,
        "histograms": histograms,
    }
)
"""Each kind of figure. All take a sequence of frames and `dark`; `heat_map` also `statistic`,
`histograms` also `what`.
"""

NOTHING = "No layer has a number for this picture."


def draw(
    kind: str, frames: Sequence[FigureData], *, dark: bool = False, **options: Any
) -> "go.Figure":
    """The figure of that kind.

    Args:
        kind: A key of `FIGURES`.
        frames: What to draw: one probe, several runs to compare, or the probes of one run over its
            steps.
        dark: For dark surroundings.
        **options: What the kind takes beside these.

    Raises:
        ValueError: There is no such kind, or the frames do not fit it.
    """
    return build(kind, frames, dark=dark, **options).figure()


def build(
    kind: str, frames: Sequence[FigureData], *, dark: bool = False, **options: Any
) -> "FigureBuilder":
    """The figure of that kind as plain dictionaries, in a fifth of the time."""
    if kind not in FIGURES:
        raise ValueError(f"`kind` must be one of {list(FIGURES)}. Received: kind={kind!r}.")
    sheet = FIGURES[kind](frames, dark=dark, **options)
    if not sheet.has_content():
        sheet.add_annotation(
            text=NOTHING, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
        )
    return sheet
