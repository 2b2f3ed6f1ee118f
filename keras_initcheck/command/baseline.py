"""Reports that `--baseline` and `--compare` name, and how a new one differs from a baseline.
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
    """The report in a file.

    Args:
        option: What names it on the command line.
        path: The file, or a pipe.
        most: MiB of the longest one that is read.

    Raises:
        InitCheckError: There is none.
    """
    most = MAX_MEBIBYTES if most is None else most
    try:
        with Path(path).open("rb") as file:
            content = file.read(most * 2**20 + 1)  # a pipe does not tell its size
        if len(content) > most * 2**20:
            raise ValueError(f"It has more than {most} MiB. If that is right: --max-size")
        return from_json(content.decode(), max_mebibytes=most)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InitCheckError(
            f"{option} must name a report that --json wrote. Received: {path!r}."
            f" {one_line(str(why))}"
        ) from error


@dataclass(frozen=True)
class Comparison:
    """What became of the findings, warnings and errors alone.

    Attributes:
        num_known: Number of findings that the baseline has too.
        new: Findings that it lacks, worst first.
        gone: Its findings that are no longer there.
    """

    num_known: int
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]

    @property
    def worst(self) -> str | None:
        """The worst severity among what is new, `None` if nothing is."""
        return self.new[0].severity if self.new else None

    def __str__(self) -> str:
        """A line of counts, and one for each difference."""
        known = f"{self.num_known} known finding{'' if self.num_known == 1 else 's'} accepted"
        head = f"Compared with the baseline: {known}, {len(self.new)} new, {len(self.gone)} gone."
        return "\n".join([head, *_listed("new", self.new), *_listed("gone", self.gone)])


def compare(report: Report, baseline: Report, policy: Policy) -> Comparison:
    """What is new in a report, and what is gone, of what the policy asks for.

    Raises:
        InitCheckError: The baseline is of another model.
    """
    baseline = replace(baseline, findings=tuple(policy.kept(baseline.findings)))
    try:
        new, gone = report.new_findings(baseline), report.resolved_findings(baseline)
    except ValueError as error:
        raise InitCheckError(str(error).replace("`baseline`", "--baseline")) from error
    return Comparison(report.count("warning") + report.count("error") - len(new), new, gone)


def _listed(word: str, findings: tuple[Finding, ...]) -> list[str]:
    return [
        f"  {word}: {finding.severity} {finding.code} {finding.slug}:"
        f" {finding.site or finding.layer or 'whole network'}"
        for finding in findings
    ]
