"""The report that `--baseline` names, and how a new one differs from it. Nothing is imported here that takes time."""

from dataclasses import dataclass, replace
from pathlib import Path

from keras_initcheck.command.user_code import reason
from keras_initcheck.errors import InitCheckError
from keras_initcheck.outputs.json_format import from_json
from keras_initcheck.report import Finding, Report
from keras_initcheck.rules.policy import Policy


def read_baseline(path: str) -> Report:
    """The report in a file.

    Raises:
        InitCheckError: There is none.
    """
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InitCheckError(
            f"--baseline must name a report that `initcheck MODEL --json PATH` wrote. Received: {path!r}. {reason(error)}"
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
        new, gone = report.new_findings(baseline), report.gone_findings(baseline)
    except ValueError as error:
        raise InitCheckError(str(error).replace("`baseline`", "--baseline")) from error
    return Comparison(report.count("warning") + report.count("error") - len(new), new, gone)


def _listed(word: str, findings: tuple[Finding, ...]) -> list[str]:
    return [
        f"  {word}: {finding.severity} {finding.code} {finding.slug}: {finding.site or finding.layer or 'whole network'}"
        for finding in findings
    ]
