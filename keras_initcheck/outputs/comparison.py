"""Several probes beside each other: the few numbers in which they differ, as a table of text."""

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from keras_initcheck.outputs.cell_text import pad, shorten, wrap
from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.outputs.site_statistics import worst_log10_ratio
from keras_initcheck.outputs.summary import end_to_end_gains
from keras_initcheck.records.number_format import format_power_of_ten
from keras_initcheck.records.report import Report

HEAD = ("probe", "step", "verdict", "signal", "gradient", "worst layer")
LONGEST_TITLE = 28
WIDTH = 80

LEGEND = (
    "signal, gradient: factor on the root mean square from the first to the last hidden layer; 1 is"
    " ideal. worst layer: the factor by which one layer's ratio is off."
)


def compare(reports: Sequence[tuple[str, Report]]) -> list[tuple[str, ...]]:
    """The head of the table, and a row for each report.

    A row holds title, step, verdict in two words, gains, and the worst ratio of a layer.
    """
    return [HEAD, *(_row(title, report) for title, report in reports)]


def titles(paths: Sequence[str]) -> list[str]:
    """Titles for the reports in those files: the files' names, or whole paths if two are equal.

    >>> titles(["runs/before.json", "runs/after.json"]), titles(["a/x.json", "b/x.json"])
    (['before', 'after'], ['a/x.json', 'b/x.json'])
    """
    names = [Path(path).stem for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def render(reports: Sequence[tuple[str, Report]]) -> str:
    """The table as plain text, its columns aligned, with a line that says what they are.

    Args:
        reports: Title and report of each probe.
    """
    rows = [(shorten(clean(title), LONGEST_TITLE), *rest) for title, *rest in compare(reports)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(HEAD))]
    aligns = ["left" if title in ("probe", "verdict") else "right" for title in HEAD]
    lines = [
        "  ".join(pad(*cell) for cell in zip(row, widths, aligns, strict=True)) for row in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *wrap(LEGEND, WIDTH)])


def _row(title: str, report: Report) -> tuple[str, ...]:
    profile, worst = report.profile, worst_log10_ratio(report.profile)
    gains = (gain or "-" for gain in end_to_end_gains(profile))
    return (
        title,
        str(profile.step),
        count_findings(report),
        *gains,
        "-" if worst is None else f"×{format_power_of_ten(worst / 2.0)}",
    )


def count_findings(report: Report) -> str:
    """`healthy`, or how many errors and warnings there are."""
    counts = [(severity, report.count(severity)) for severity in ("error", "warning")]
    return (
        ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count)
        or "healthy"
    )
