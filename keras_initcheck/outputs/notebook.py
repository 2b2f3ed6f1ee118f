"""HTML that a notebook displays for a report or a repair."""

import html
from typing import Any

from keras_initcheck.outputs import console
from keras_initcheck.outputs.html_report import figure_fragment
from keras_initcheck.records.report import Report

WIDTH = 110
"""Characters in a line of a notebook's output; the box scrolls where there is less room."""


def render(report: Report) -> str:
    """The table, all findings folded away, and the figure of the signal if there are sites."""
    text = _box(console.render(report, WIDTH))
    if report.findings:
        findings = _box(console.render_findings(report, WIDTH))
        text += f"<details><summary>All findings in full</summary>{findings}</details>"
    trial = report.profile.trial
    shown = [report.figure()] * bool(report.profile.sites)
    shown += [trial.figure()] if trial is not None and trial.num_steps else []
    return text + "".join(map(figure_fragment, shown))


def text_and_figure(text: str, figure: Any = None) -> str:
    """`text` in a scrolling box of fixed-width characters, and a plotly figure below it."""
    return _box(text) if figure is None else _box(text) + figure_fragment(figure)


def _box(text: str) -> str:
    style = "overflow-x: auto; line-height: 1.3; font-family: monospace"
    return f'<pre style="{style}">{html.escape(text)}</pre>'
