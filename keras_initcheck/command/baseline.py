"""Reads the reports of `--baseline` and `--compare`, and compares a report with a baseline.

Nothing is imported here that takes time.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from keras_initcheck.outputs.cleaning import one_line
from keras_initcheck.outputs.json_format import from_json
from keras_initcheck.records.errors import InitCheckError
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import MAX_MEBIBYTES, Report
from keras_initcheck.rules.policy import Policy


def read_report(option: str, path: str, most: int | None = None) -> Report:
    """Reads a report.

    Args:
        option: The option that names the file, for the error message.
        path: A file or a pipe.
        most: Limit of its size in MiB.

    Raises:
        InitCheckError: The file does not contain a report, or is too large.
    """
    most = MAX_MEBIBYTES if most is None else most
    try:
        with Path(path).open("rb") as file:
            content = file.read(most * 2**20 + 1)  # a pipe has no known size
        if len(content) > most * 2**20:
            raise ValueError(f"It has more than {most} MiB. If that is intended: --max-size")
        return from_json(content.decode(), max_mebibytes=most)
    except (OSError, ValueError) as error:
        # The advice at the end of an error of `from_json` is for callers of the library.
        why = getattr(error, "strerror", None) or str(error).partition(" Pass the text itself")[0]
        raise InitCheckError(
            f"{option} must name a report that --json wrote. Received: {path!r}."
            f" {one_line(str(why))}"
        ) from error


@dataclass(frozen=True)
class Comparison:
    """The difference between a report and a baseline, in warnings and errors.

    Attributes:
        num_known: Number of findings that are in both.
        new: Findings that are not in the baseline, worst first.
        gone: Findings that are only in the baseline.
    """

    num_known: int
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]

    @property
    def worst(self) -> str | None:
        """The worst severity of the new findings, or `None` if there are none."""
        return self.new[0].severity if self.new else None

    def __str__(self) -> str:
        """A line of counts, followed by one line for each difference."""
        known = f"{self.num_known} known finding{'' if self.num_known == 1 else 's'} accepted"
        head = f"Compared with the baseline: {known}, {len(self.new)} new, {len(self.gone)} gone."
        return "\n".join([head, *_listed("new", self.new), *_listed("gone", self.gone)])


def compare(report: Report, baseline: Report, policy: Policy) -> Comparison:
    """Compares a report with a baseline, of which only findings under the policy count.

    Raises:
        InitCheckError: The baseline is a report on another model.
    """
    baseline = replace(baseline, findings=tuple(policy.filter(baseline.findings)))
    try:
        new, gone = report.new_findings(baseline), report.resolved_findings(baseline)
    except ValueError as error:
        raise InitCheckError(str(error).replace("`baseline`", "--baseline")) from error
    return Comparison(report.count("warning") + report.count("error") - len(new), new, gone)


def _listed(word: str, findings: tuple[Finding, ...]) -> list[str]:
    return [
        f"  {word}: {finding.severity} {finding.code} {finding.slug}: {finding.place}"
        for finding in findings
    ]
