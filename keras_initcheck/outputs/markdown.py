"""The verdict as markdown, for TensorBoard's text tab. Names are shown literally."""

from keras_initcheck.outputs.cleaning import one_line
from keras_initcheck.outputs.severity_marks import MARKS
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.number_format import format_number
from keras_initcheck.records.report import Report

SPECIAL = str.maketrans({character: f"&#{ord(character)};" for character in "&<>|`*_[]\\#~!\"'$:"})
"""Everything that markdown, its tables or HTML may read as a command. As character references they
mean the same to every reader.
"""


def escape(text: str) -> str:
    """`text` on one line, as markdown that shows it literally.

    >>> escape("a|b <i>")
    'a&#124;b &#60;i&#62;'
    """
    return one_line(text).translate(SPECIAL)


def render_verdict(report: Report, max_findings: int) -> str:
    """The verdict in a sentence, and a table of the findings, worst first.

    Args:
        report: What to show.
        max_findings: Number of findings to show; the others are counted.
    """
    lines = [f"**{escape(report.verdict)}**"]
    if report.findings:
        lines += [
            "",
            "| | code | where | what | measured | expected | fix |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_row(finding) for finding in report.findings[:max_findings]]
    if len(report.findings) > max_findings:
        lines += ["", f"And {len(report.findings) - max_findings} more."]
    return "\n".join(lines)


def _row(finding: Finding) -> str:
    texts = (
        f"{finding.code} {finding.slug}",
        finding.place,
        finding.message,
        format_number(finding.measured),
        finding.expected,
        finding.fix,
    )
    return f"| {MARKS[finding.severity]} | {' | '.join(escape(text) for text in texts)} |"
