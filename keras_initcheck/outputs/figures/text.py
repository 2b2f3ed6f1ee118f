"""Text in figures: escaped for plotly, wrapped for a phone; and gains in words."""

import math

from keras_initcheck.outputs.cell_text import shorten, wrap
from keras_initcheck.outputs.cleaning import clean, one_line
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.severity_marks import MARKS
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.number_format import format_change, format_count, format_power_of_ten

HOVER_WIDTH = 46
"""Characters in a line of a hover box: what a screen of 400 pixels has room for."""

LONGEST_NAME = 16
"""Characters of a name on an axis or in a heading."""

TITLE_WIDTH = 50
MOST_TITLE_LINES = 3
MOST_HOVER_FINDINGS = 2
MOST_MESSAGE_LINES = 4

KEPT = 0.25
"""Largest `|log10 gain|` that is called keeping the size: a factor of three of the mean square over
the whole network.
"""

SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"})
"""Characters that plotly reads as markup, as a formula or as a place to fill in."""


def escape(text: str) -> str:
    """`text` on one line, as plotly shows it literally.

    >>> escape("<b>$x$")
    '&lt;b&gt;&#36;x&#36;'
    """
    return one_line(text).translate(SPECIAL)


def label(name: str, width: int = LONGEST_NAME) -> str:
    """A name in at most `width` characters, escaped."""
    return shorten(clean(name), width).translate(SPECIAL)


def break_lines(text: str, width: int, most: int | None = None) -> str:
    """`text` in lines of at most `width` characters, escaped, and in at most `most` lines."""
    lines = wrap(text, width)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 1].rstrip()}…"]
    return "<br>".join(line.translate(SPECIAL) for line in lines)


def title_of(frames: list[FigureData]) -> str:
    """The verdict, or the worst of it for each run."""
    if len(frames) == 1:
        return break_lines(
            frames[0].judgement.verdict.replace("`", ""), TITLE_WIDTH, MOST_TITLE_LINES
        )
    lines = [
        break_lines(f"{frame.run or frame.description.model}: {_count(frame)}", TITLE_WIDTH, 1)
        for frame in frames
    ]
    more = len(lines) - MOST_TITLE_LINES
    return "<br>".join(
        lines if more <= 0 else [*lines[: MOST_TITLE_LINES - 1], f"and {more + 1} more runs"]
    )


def _count(frame: FigureData) -> str:
    counts = [
        (severity, sum(finding.severity == severity for finding in frame.findings))
        for severity in ("error", "warning")
    ]
    return (
        ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count)
        or "healthy"
    )


def site_lines(frame: FigureData, index: int) -> list[str]:
    """Facts about a site: its full name, type, shape and number of parameters."""
    shape = frame.sites.output_shapes[index]
    facts = [frame.sites.layer_types[index]]
    facts += ["×".join(str(size) for size in shape) or "scalar"] if shape is not None else []
    facts += [activation] if (activation := frame.sites.activations[index]) else []
    facts += (
        [f"{format_count(count)} parameters"]
        if (count := frame.sites.num_parameters[index])
        else []
    )
    name = break_lines(f"{index}  {frame.sites.names[index]}", HOVER_WIDTH)
    return [f"<b>{name}</b>", break_lines(" · ".join(facts), HOVER_WIDTH)]


def finding_lines(findings: tuple[Finding, ...]) -> list[str]:
    """Code and message of the worst findings."""
    lines = []
    for finding in findings[:MOST_HOVER_FINDINGS]:
        lines += [
            "",
            f"<b>{MARKS[finding.severity]} {escape(f'{finding.code} {finding.slug}')}</b>",
        ]
        lines.append(break_lines(finding.message.replace("`", ""), HOVER_WIDTH, MOST_MESSAGE_LINES))
    more = len(findings) - MOST_HOVER_FINDINGS
    return [*lines, f"and {more} more"] if more > 0 else lines


def ratio_line(frame: FigureData, index: int, direction: str) -> list[str]:
    """`forward ratio 1.9, predicted 2.0`, or nothing where the site has no ratio."""
    measured = frame.shown(f"log10_{direction}_ratio")[index]
    predicted = frame.shown(f"log10_predicted_{direction}_ratio")[index]
    if math.isnan(measured):
        return []
    rest = "" if math.isnan(predicted) else f", predicted {format_power_of_ten(predicted)}"
    return [f"{direction} ratio {format_power_of_ten(measured)}{rest}"]


def describe_gain(log10_gain: float) -> str:
    """A gain of the root mean square in words.

    >>> describe_gain(9.0), describe_gain(-3.0), describe_gain(0.1)
    ('1e9 times stronger', '1,000 times weaker', 'keeps its size (×1.26)')
    """
    if math.isnan(log10_gain):
        return "could not be measured from end to end"
    if abs(log10_gain) <= KEPT:
        return f"keeps its size (×{format_power_of_ten(log10_gain)})"
    return format_change(log10_gain)
