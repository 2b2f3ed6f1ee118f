"""Builder of figures: traces and layout as plain dictionaries.

Plotly's own objects check each property as it is set, which takes longer than everything else: a
page that asks for one figure after the other does without, and who holds a figure in Python gets it
checked once.
"""

from typing import Any

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly


class FigureBuilder:
    """A figure in the making.

    Args:
        layout: The layout to begin with.

    Attributes:
        data: The traces, in the order in which they are drawn.
        layout: The layout.
    """

    def __init__(self, layout: dict[str, Any]) -> None:
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {"template": {}, **layout}

    def add_scatter(self, **trace: Any) -> None:
        """Adds lines or points."""
        self.data.append({"type": "scatter", **trace})

    def add_heatmap(self, **trace: Any) -> None:
        """Adds a map."""
        self.data.append({"type": "heatmap", **trace})

    def add_annotation(self, **annotation: Any) -> None:
        """Adds a text at a place."""
        self.layout.setdefault("annotations", []).append(annotation)

    def arrange(self, **layout: Any) -> None:
        """Sets parts of the layout; what is not named stays."""
        self.layout = _merged(self.layout, layout)

    def has_trace(self, name: object) -> bool:
        """Whether a trace of that name exists."""
        return any(trace.get("name") == name for trace in self.data)

    def has_content(self) -> bool:
        """Whether a trace has a text beside the pointer, and is more than a guide for the eye."""
        return any(trace.get("hovertext") or trace.get("text") for trace in self.data)

    def figure(self) -> go.Figure:
        """The figure as a plotly object."""
        return go.Figure(data=self.data, layout=self.layout)

    def to_json(self) -> str:
        """Traces and layout as strict JSON; NaN is `null`, which plotly leaves out."""
        return str(to_json_plotly({"data": self.data, "layout": self.layout}, engine="json"))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(old[key], value)
        for key, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **both}
