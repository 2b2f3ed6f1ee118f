"""HTML that a notebook displays for a report or a repair."""

import html
from typing import Any

from keras_initcheck.outputs import console
from keras_initcheck.outputs.html_report import figure_fragment
from keras_initcheck.records.report import Report

WIDTH = 110
"""Characters in a line of a notebook's output; the box scrolls where there is less room."""


def render(report: Report) -> str:
    """The table, and below it the figure of the signal unless the model has no sites."""
    text = console.render(report, WIDTH)
    return text_and_figure(text, report.figure() if report.profile.sites else None)


def text_and_figure(text: str, figure: Any = None) -> str:
    """`text` in a scrolling box of fixed-width characters, and a plotly figure below it."""
    box = f'<pre style="overflow-x: auto; line-height: 1.3">{html.escape(text)}</pre>'
    return box if figure is None else box + figure_fragment(figure)
