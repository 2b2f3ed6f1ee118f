"""A report as text for the terminal.

In this order: the table, the findings worst first, what was not probed, and the verdict. Formulas
and notes (findings that are information) are shortened to a line, unless all of it is asked for.
"""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from keras_initcheck.outputs import summary, trial_text
from keras_initcheck.outputs.cell_text import cut_end, wrap
from keras_initcheck.outputs.cleaning import clean, one_line
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.repeated_blocks import RepeatedBlock, fold
from keras_initcheck.outputs.severity_marks import LOUD, MARKS, site_severities
from keras_initcheck.outputs.site_columns import MEASURED, Column
from keras_initcheck.outputs.table import lay_out
from keras_initcheck.records.finding import Finding, first_sentence
from keras_initcheck.records.number_format import format_number
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats

NARROWEST = 40
DEFAULT_WIDTH = 80

IN_FULL = "report.details(), or initcheck --verbose"

WIDE = 100
"""Cells from which on there is room for what is nice to know."""

MOST_FINDINGS_OF_A_CODE = 12
MOST_CODES = 60
"""More than there are rules: a report of hundreds of codes was not written by them."""
MOST_NOT_PROBED = 8

INFORMATIVE_KINDS = frozenset(
    ("weight", "normalization", "merge", "recurrent", "embedding", "block")
)
"""Kinds of sites that change the signal's scale. Others are shown only where a finding names
them.
"""

KINDS_IN_WORDS = {
    "pass": "dropout/pooling/reshaping",
    "activation": "activations",
    "normalization": "normalizations",
    "merge": "merges",
}

STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}

ASCII = str.maketrans({"✗": "x", "·": ".", "…": "~", "×": "x", "\N{REPLACEMENT CHARACTER}": "?"})
"""Stand-ins of the same width, for terminals that cannot show these."""


def render(report: Report, width: int | None = None, *, is_verbose: bool = False) -> str:
    """The report as plain text.

    Args:
        report: What to show.
        width: Cells in a line, at least 40. By default the terminal's, or 80 where there is none.
        is_verbose: Whether to show formulas, and notes in full.

    Raises:
        ValueError: `width` is less than 40.
    """
    return "\n".join(line.plain for line in _lines(report, _check_width(width), is_verbose))


def render_findings(report: Report, width: int) -> str:
    """All findings in full, with their formulas, as plain text."""
    return "\n".join(line.plain for line in _findings(report.findings, width))


def styled_lines(report: Report, width: int) -> list[Text]:
    """The report as rich's styled lines, for a console of `width` cells (40 where it has fewer)."""
    return list(_lines(report, max(width, NARROWEST)))


def print_report(
    report: Report,
    file: TextIO | None = None,
    width: int | None = None,
    *,
    is_verbose: bool = False,
) -> None:
    """Prints the report.

    It is in color if `file` is a terminal and `NO_COLOR` is not set, and in ASCII if `file` cannot
    hold more.

    Args:
        report: What to show.
        file: Where to; standard output by default.
        width: Cells in a line, at least 40. By default the terminal's, or 80 where there is none.
        is_verbose: Whether to show formulas, and notes in full.

    Raises:
        ValueError: `width` is less than 40.
    """
    width = _check_width(width)
    file = file or sys.stdout
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    for line in _lines(report, width, is_verbose):
        line.plain = _encodable(line.plain, getattr(file, "encoding", None) or "utf-8")
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _check_width(width: int | None) -> int:
    if width is None:
        return max(shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns, NARROWEST)
    if width < NARROWEST:
        raise ValueError(
            f"`width` must be at least {NARROWEST}, or `None` for the terminal's. Received:"
            f" width={width}."
        )
    return width


def _encodable(text: str, encoding: str) -> str:
    """`text`, with what `encoding` lacks replaced."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "replace").decode(encoding)
    return text


def _lines(report: Report, width: int, is_verbose: bool = False) -> Iterator[Text]:
    """Yields every line of the report. The text is literal: no markup is read in it."""
    yield from _paragraph(summary.title(report.profile), width, style="bold")
    yield Text()
    if report.profile.sites:
        yield from _table(report, width)
        yield Text()
    if report.findings:
        show = _findings if is_verbose else _brief_findings
        yield from show(report.findings, width)
        yield Text()
    if report.num_exempted:
        yield Text(f"{report.num_exempted} finding{'s' * (report.num_exempted > 1)} exempted")
        yield Text()
    if not_probed := summary.not_probed(report.profile):
        yield from _not_probed(not_probed, width)
        yield Text()
    yield from _paragraph(summary.how_measured(report.profile), width, style="dim")
    yield from _paragraph(
        report.verdict,
        width,
        style=f"bold {STYLES[report.worst or 'info']}" if not report.ok else "bold green",
    )


def _paragraph(
    text: str, width: int, indent: str = "", first: str | None = None, style: str = ""
) -> Iterator[Text]:
    for line in wrap(text, width, indent, first):
        yield Text(line, style=style)


def _table(report: Report, width: int) -> Iterator[Text]:
    """The rows, then what was left out, then what the columns mean."""
    severities = site_severities(report)
    sites = [
        site
        for site in report.profile.sites
        if site.kind in INFORMATIVE_KINDS or site.index in severities
    ] or report.profile.sites
    items = fold(
        sites, frozenset(index for index, severity in severities.items() if severity in LOUD)
    )
    shown = [item for item in items if isinstance(item, SiteStats)]
    marks = [MARKS.get(severities.get(site.index, ""), " ") for site in shown]
    data = FigureData.from_report(report)
    table = lay_out(data, [site.index for site in shown], marks, width)
    yield Text(table.head, style="bold")
    lines = iter(table.lines)
    for item in items:
        if isinstance(item, RepeatedBlock):
            yield from _paragraph(
                _describe_fold(item), width, indent="      ", first="    … ", style="dim"
            )
        else:
            yield Text(next(lines), style=STYLES.get(severities.get(item.index, ""), ""))
    folded = {
        site.index for item in items if isinstance(item, RepeatedBlock) for site in item.sites
    }
    visible = folded | {site.index for site in shown}
    yield from _left_out(
        [site for site in report.profile.sites if site.index not in visible], width
    )
    yield from _whole_network(report, width)
    yield Text()
    yield from _legend(table.columns, width)


def _describe_fold(item: RepeatedBlock) -> str:
    if not item.num_blocks:
        what = f"{len(item.sites)} more layer{'s' * (len(item.sites) > 1)}"
    elif item.num_blocks == len(item.sites):
        what = f"{item.num_blocks} more like these"
    else:
        what = f"{item.num_blocks} more block{'s' * (item.num_blocks > 1)} like these"
    ratios = [site.forward_ratio for site in item.sites if site.forward_ratio is not None]
    if not ratios:
        return what
    return f"{what} (forward {format_number(min(ratios))} .. {format_number(max(ratios))})"


def _left_out(sites: list[SiteStats], width: int) -> Iterator[Text]:
    counts = Counter(KINDS_IN_WORDS.get(site.kind, "others") for site in sites)
    if counts:
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        yield from _paragraph(f"Not shown: {kinds}.", width, indent="    ", style="dim")


def _whole_network(report: Report, width: int) -> Iterator[Text]:
    """The two numbers that sum the network up, and what else is known of it as a whole."""
    if text := summary.whole_network(report.profile):
        yield from _paragraph(text, width, indent="    ", style="bold")
    if text := summary.first_step(report.profile):
        yield from _paragraph(text, width, indent="    ")
    if report.profile.trial is not None:
        for text in trial_text.lines(report.profile.trial, is_in_report=True):
            yield from _paragraph(text, width, indent="      ", first="    ")
    if text := summary.spectrum(report.profile):
        yield from _paragraph(text, width, indent="    ")
    if width >= WIDE and report.mean_field is not None and report.mean_field.reason is None:
        yield from _paragraph(
            f"Mean field theory: {report.mean_field.sentence}", width, indent="    ", style="dim"
        )


def _legend(columns: tuple[Column, ...], width: int) -> Iterator[Text]:
    for column in columns:
        if column in MEASURED:
            text = column.meaning
            if column.prediction is not None:
                text += f" Measured / predicted from {column.prediction.basis}."
            first = f"{column.title:<10} "
            yield from _paragraph(text, width, indent=" " * 11, first=first, style="dim")


def _brief_findings(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """Warnings and errors without their formulas, then the notes in a line each."""
    loud = [replace(finding, details="") for finding in findings if finding.severity in LOUD]
    notes = [finding for finding in findings if finding.severity not in LOUD]
    yield from _findings(loud, width)
    if not notes:
        return
    if loud:
        yield Text()
    yield from _notes(notes, width)


def _notes(notes: Sequence[Finding], width: int) -> Iterator[Text]:
    """A line for the first note of each code, with the number of those like it."""
    by_code: dict[str, list[Finding]] = {}
    for note in notes:
        by_code.setdefault(note.code, []).append(note)
    for code, (first, *others) in [*by_code.items()][:MOST_CODES]:
        more = f" (and {len(others)} more like it)" if others else ""
        head = f"{MARKS[first.severity]} {clean(code)} "
        message = one_line(first_sentence(first.message))
        room = max(width - cell_len(head) - cell_len(more), 1)
        yield Text(f"{head}{cut_end(message, room)}{more}", style=STYLES[first.severity])
    if len(by_code) > MOST_CODES:
        yield Text(f"and notes of {len(by_code) - MOST_CODES} other codes")
    yield from _paragraph(
        f"Notes (·) need no cure of their own. In full: {IN_FULL}.", width, style="dim"
    )


def _findings(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """Each finding; why and fix only where they differ from those of the finding before."""
    counts = Counter(finding.code for finding in findings)
    shown: Counter[str] = Counter()
    said: set[tuple[str, str]] = set()
    for finding in findings:
        if finding.code not in shown and len(shown) == MOST_CODES:
            continue
        shown[finding.code] += 1
        if shown[finding.code] <= MOST_FINDINGS_OF_A_CODE:
            yield from _finding(finding, said, width)
        elif shown[finding.code] == MOST_FINDINGS_OF_A_CODE + 1:
            more = counts[finding.code] - MOST_FINDINGS_OF_A_CODE
            yield Text(
                f"{MARKS[finding.severity]} {clean(finding.code)} and {more} more like it",
                style=STYLES[finding.severity],
            )
    if len(counts) > MOST_CODES:
        yield Text(
            f"and {sum(counts.values()) - sum(shown.values())} more findings of"
            f" {len(counts) - MOST_CODES} other codes"
        )


def _finding(finding: Finding, said: set[tuple[str, str]], width: int) -> Iterator[Text]:
    style = STYLES[finding.severity]
    yield from _paragraph(
        f"{finding.code} {finding.slug}: {finding.place}",
        width,
        "    ",
        f"{MARKS[finding.severity]} ",
        style=f"bold {style}",
    )
    yield from _paragraph(finding.message, width, indent="    ")
    notes = (("why", finding.why), ("fix", finding.fix), ("details", finding.details))
    for label, text in notes:
        if text and (label, text) not in said:
            said.add((label, text))
            yield from _paragraph(
                text,
                width,
                indent=" " * 9,
                first=f"    {label}: ",
                style="" if label == "fix" else "dim",
            )


def _not_probed(not_probed: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    yield Text("Not probed", style="bold")
    for path, reason in not_probed[:MOST_NOT_PROBED]:
        yield from _paragraph(f"{path}: {reason}", width, indent="      ", first="    ")
    if len(not_probed) > MOST_NOT_PROBED:
        yield Text(f"    and {len(not_probed) - MOST_NOT_PROBED} more")
