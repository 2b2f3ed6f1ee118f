"""Pieces of HTML: everything that a user chose a name for is escaped here, and nowhere else."""

import html
import math
import re
from collections.abc import Iterable, Sequence

from keras_initcheck.outputs.cleaning import one_line
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.number_format import (
    format_number,
)
from keras_initcheck.outputs.severity_marks import LOUD, MARKS, site_severities
from keras_initcheck.outputs.site_columns import FACTS, SiteColumn, site_columns
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import MeanFieldSummary, Report

MOST_OF_A_CODE = 6
"""Findings of one code that are shown unfolded."""
MOST_FINDINGS = 2_000
"""Findings on a page, of all codes: a browser shows more of them slowly, and nobody reads them."""


def escape(text: str) -> str:
    r"""`text` on one line, as HTML shows it literally, in attributes too.

    >>> escape("<script>\n'x'")
    '&lt;script&gt; &#x27;x&#x27;'
    """
    return html.escape(one_line(text))


def prose(text: str) -> str:
    """A sentence of a rule: escaped, with what stands between backticks as code.

    >>> prose("`<b>` grows")
    '<code>&lt;b&gt;</code> grows'
    """
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


WORDS = ("layer", "type", "activation")
"""Columns that are aligned and sorted as text."""


def table(report: Report) -> str:
    """All sites as a table that is sorted by a click on a column's head."""
    severities = site_severities(report)
    columns = site_columns(FigureData.from_report(report))
    heads = "".join(
        f'<th scope="col"{_class(column)}><button'
        f' type="button">{escape(column.title)}</button></th>'
        for column in columns
    )
    rows = "\n".join(
        _row(index, columns, severities.get(index, ""))
        for index in range(len(report.profile.sites))
    )
    facts = {column.title for column in FACTS}
    legend = "".join(
        f"<dt>{escape(column.title)}</dt><dd>{escape(column.hint)}</dd>"
        for column in columns
        if column.title not in facts
    )
    body = f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    return (
        '<div class="scroll" tabindex="0"><table'
        f' class="sortable">{body}</table></div>\n<dl>{legend}</dl>'
    )


def findings(found: Sequence[Finding], anchors: dict[str, str]) -> str:
    """The findings, worst first, with why and fix. Of many alike, and of those that are harmless,
    all but the first are folded away.

    Args:
        found: The findings.
        anchors: The element to jump to for the name of each site.
    """
    if not found:
        return '<p class="muted">None: no rule objects to anything.</p>'
    groups: dict[str, list[Finding]] = {}
    for each in found[:MOST_FINDINGS]:
        groups.setdefault(each.code, []).append(each)
    more = len(found) - MOST_FINDINGS
    rest = (
        [f'<p class="muted">And {more} more findings, which the JSON report has.</p>']
        if more > 0
        else []
    )
    return "\n".join([*(_group(each, anchors) for each in groups.values()), *rest])


def mean_field(found: MeanFieldSummary) -> str:
    """The numbers of mean field theory with their meaning."""
    rows = (
        ("σ_w²", found.weight_variance, "n E[w²], the weights' part in a layer's factor"),
        ("σ_b²", found.bias_variance, "mean square of the biases"),
        (
            "q",
            found.second_moment,
            (
                "mean square before the activation: where it settles, or as measured if it does not"
                " in so few layers"
            ),
        ),
        ("χ1", found.chi1, "what a layer multiplies the gradient's mean square by there"),
        ("c*", found.correlation, "correlation of two inputs, where it settles"),
        ("ξ_c", found.correlation_scale, "layers over which the distance from c* falls by e"),
        ("ξ_∇", found.gradient_scale, "layers over which the gradient's mean square changes by e"),
    )
    lines = "".join(
        f"<tr><td>{name}</td><td>{format_number(value)}</td><td>{escape(text)}</td></tr>"
        for name, value, text in rows
    )
    return f'<div class="scroll"><table class="comparison"><tbody>{lines}</tbody></table></div>'


def list_of(pairs: Iterable[tuple[str, str]]) -> str:
    """`<code>name</code>: text` as a list."""
    return (
        "<ul>"
        + "".join(f"<li><code>{escape(name)}</code>: {escape(text)}</li>" for name, text in pairs)
        + "</ul>"
    )


def _group(found: Sequence[Finding], anchors: dict[str, str]) -> str:
    """Findings of one code. Why and fix stand where they differ from those of the finding
    before.
    """
    said: set[tuple[str, str]] = set()
    articles = [_finding(each, anchors, said) for each in found]
    num_shown = MOST_OF_A_CODE if found[0].severity in LOUD else 1
    shown, rest = "\n".join(articles[:num_shown]), articles[num_shown:]
    if not rest:
        return shown
    folded = "\n".join(rest)
    return (
        f"{shown}\n<details><summary>{len(rest)} more like it"
        f" ({escape(found[0].code)})</summary>\n{folded}\n</details>"
    )


def _finding(finding: Finding, anchors: dict[str, str], said: set[tuple[str, str]]) -> str:
    place = finding.site or finding.layer
    where = f"<code>{escape(place)}</code>" if place else "whole network"
    if place in anchors:
        where = f'<a href="#{anchors[place]}">{where}</a>'
    mark = f'<span class="mark">{MARKS[finding.severity]} {escape(finding.code)}</span>'
    parts = [f"<h3>{mark} {escape(finding.slug)}: {where}</h3>", f"<p>{prose(finding.message)}</p>"]
    for label, text in (("Why", finding.why), ("Fix", finding.fix)):
        if text and (label, text) not in said:
            said.add((label, text))
            parts.append(f'<p><span class="label">{label}</span>{prose(text)}</p>')
    return f'<article class="finding {finding.severity}">{"".join(parts)}</article>'


def _row(index: int, columns: Sequence[SiteColumn], severity: str) -> str:
    cells = "".join(_cell(index, column) for column in columns)
    return f'<tr id="site-{index}" class="{severity}">{cells}</tr>'


def _cell(index: int, column: SiteColumn) -> str:
    shown = escape(column.texts[index])
    if column.title == "layer":
        return f'<td class="text name" title="{shown}">{shown}</td>'
    if column.title in WORDS:
        return f'<td class="text">{shown}</td>'
    return f'<td data-value="{_javascript(column.values[index])}">{shown}</td>'


def _javascript(value: float | str | None) -> str:
    """A number as JavaScript reads it, `""` for none."""
    if value is None or isinstance(value, str) or math.isnan(value):
        return ""
    return repr(value).replace("inf", "Infinity")


def _class(column: SiteColumn) -> str:
    return ' class="text"' if column.title in WORDS else ""
