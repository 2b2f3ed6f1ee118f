"""Reports as one HTML file that needs nothing else: no network, no server, no other file.

Almost all of its size is plotly.js, of which plotly's wheel ships the full bundle only: 4.8 MB. It
is carried as gzip in base64 and unpacked by the browser itself (`DecompressionStream`: Chromium 80,
Firefox 113, Safari 16.4 and later), which makes 2.0 MB. An older browser shows verdict, findings
and table without the figures, and says so. A content security policy in the page forbids it to ask
anybody for anything.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_initcheck.outputs import summary, trial_text
from keras_initcheck.outputs.comparison import compare
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.outputs.figures.layout import without_title
from keras_initcheck.outputs.figures.palette import dark_for_light
from keras_initcheck.outputs.files import write_text
from keras_initcheck.outputs.html_findings import MOST_FINDINGS, group_findings
from keras_initcheck.outputs.page_templates import fill
from keras_initcheck.outputs.site_columns import FACTS, site_columns
from keras_initcheck.records.number_format import format_number, format_shape
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import MeanFieldSummary, Report

if TYPE_CHECKING:
    import plotly.graph_objects as go

CAPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "signal": (
            "Solid: measured. Dotted: predicted from the model's inputs and all weights on the way,"
            " shaded: what chance allows in 99% of healthy networks. Dashed: ideal, where signal"
            " and gradient keep their size."
        ),
        "ratios": (
            "What each layer multiplies the root mean square by. Points: measured. Dashes and bars:"
            " predicted from its weights, with what chance allows."
        ),
        "trial": (
            "The loss of each step's batch before its update, and its level with what noise adds"
            " to each side. Dashed: the loss of the best constant prediction. The steps were taken"
            " back."
        ),
    }
)

WORDS = ("layer", "type", "activation", "drawn")
"""Columns of the table of sites that are aligned and sorted as text."""

MOST_WEIGHTS = 2000
"""Rows of the table of weights."""


def save_html(report: Report, path: str | Path) -> None:
    """Writes the report as one HTML file of about 2 MB.

    Args:
        report: What to show.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    write_text(path, render(report))


def compare_html(reports: Sequence[tuple[str, Report]], path: str | Path) -> None:
    """Writes several reports as one HTML file of about 2 MB, their curves over each other.

    Args:
        reports: Title and report of each probe.
        path: The file.

    Raises:
        OSError: The file cannot be written.
        ValueError: There are fewer than two reports.
    """
    write_text(path, render_comparison(reports))


def render(report: Report) -> str:
    """The page of one report."""
    profile, data = report.profile, FigureData.from_report(report)
    kinds = ("signal", "ratios") if profile.sites else ()
    figures = {kind: without_title(draw(kind, [data])) for kind in kinds}
    if profile.trial is not None and profile.trial.num_steps:
        figures["trial"] = without_title(profile.trial.figure())
    anchors = {site.name: f"site-{site.index}" for site in profile.sites}
    return fill(
        "report.html",
        title=f"{profile.model}: initialization check",
        report=report,
        groups=group_findings(report.findings, anchors),
        num_left_out=len(report.findings) - MOST_FINDINGS,
        first_step=summary.first_step(profile),
        trial=trial_text.lines(profile.trial)[0::2] if profile.trial is not None else [],
        spectrum=summary.spectrum(profile),
        depth_scales=_depth_scales(report.mean_field),
        draws=_draws(profile),
        not_probed=summary.not_probed(profile),
        versions=", ".join(f"{name} {version}" for name, version in profile.versions),
        **_table(data),
        **_figures(figures),
    )


def render_comparison(reports: Sequence[tuple[str, Report]]) -> str:
    """The page of several reports.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(reports) < 2:
        raise ValueError(
            f"`reports` must hold two reports or more to compare. Received: {len(reports)}. Probe"
            " the model again, and pass both reports."
        )
    frames = [FigureData.from_report(report, run=title) for title, report in reports]
    head, *rows = compare(reports)
    probes = [
        {
            "title": title,
            "report": report,
            "groups": group_findings(report.findings, {}),
            "num_left_out": len(report.findings) - MOST_FINDINGS,
        }
        for title, report in reports
    ]
    return fill(
        "comparison.html",
        title="Comparison of initialization checks",
        head=head,
        rows=rows,
        probes=probes,
        **_figures({"signal": without_title(draw("signal", frames))}),
    )


def figure_fragment(figure: "go.Figure") -> str:
    """The figure as HTML for a notebook's output.

    It carries plotly.js, 2 MB, and unpacks it if the window has none yet.
    """
    return fill(
        "fragment.html",
        identity=f"initcheck-{uuid.uuid4().hex}",
        height=figure.layout.height,
        figure=_json(figure),
    )


def _table(data: FigureData) -> dict[str, Any]:
    """Values of the template about the table of sites."""
    columns = site_columns(data)
    facts = {column.title for column in FACTS}
    return {
        "columns": columns,
        "words": WORDS,
        "severities": [data.severity_at(index) for index in range(len(data))],
        "legend": [column for column in columns if column.title not in facts],
    }


def _depth_scales(found: MeanFieldSummary | None) -> list[tuple[str, str, str]]:
    """Symbol, number and meaning of what mean field theory computes; empty if it says nothing."""
    if found is None or found.reason is not None:
        return []
    rows = (
        ("σ_w²", found.weight_variance, "n E[w²], the weights' part in a layer's factor"),
        ("σ_b²", found.bias_variance, "mean square of the biases"),
        (
            "q",
            found.second_moment,
            "mean square before the activation: where it settles, or as measured if it does not in"
            " so few layers",
        ),
        ("χ1", found.chi1, "what a layer multiplies the gradient's mean square by there"),
        ("c*", found.correlation, "correlation of two inputs, where it settles"),
        ("ξ_c", found.correlation_scale, "layers over which the distance from c* falls by e"),
        ("ξ_∇", found.gradient_scale, "layers over which the gradient's mean square changes by e"),
    )
    return [(name, format_number(value), meaning) for name, value, meaning in rows]


def _draws(profile: Profile) -> list[tuple[str, ...]]:
    """Name, shape, promise, finding and verdict of each weight; empty without verdicts."""
    return [
        (
            weight.name,
            format_shape((0, *weight.shape)),
            "" if draw.promised is None else draw.promised.words,
            "" if draw.found is None else draw.found.words,
            draw.verdict,
        )
        for weight in profile.weights[:MOST_WEIGHTS]
        if (draw := weight.draw) is not None
    ]


def _figures(figures: "dict[str, go.Figure]") -> dict[str, Any]:
    """Values of the templates about the figures."""
    drawn = ", ".join(f"{json.dumps(name)}: {_json(figure)}" for name, figure in figures.items())
    return {
        "captions": CAPTIONS,
        "heights": {name: figure.layout.height for name, figure in figures.items()},
        "figures": (
            f'{{"figures": {{{drawn}}}, "darkForLight": {json.dumps(dict(dark_for_light()))}}}'
        ),
    }


def _json(figure: "go.Figure") -> str:
    return str(figure.to_json())
