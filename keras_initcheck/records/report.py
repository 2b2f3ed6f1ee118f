"""Findings, and the record that joins them with the profile they were found in. Rendering is not
done here.
"""

import math
from dataclasses import dataclass

from keras_initcheck.records.profile import Profile
from keras_initcheck.records.record import Record

SEVERITIES = ("info", "warning", "error")
"""From harmless to harmful."""


@dataclass(frozen=True, eq=False)
class Finding(Record):
    """A rule's verdict on a site or on the whole network.

    Attributes:
        code: Stable code such as `IC102`; never reused.
        slug: Name of the problem, such as `forward-gain`.
        severity: `"info"`, `"warning"` or `"error"`. It follows the consequence for training, not
            the size of the deviation.
        message: One sentence: what was measured, where.
        why: Why it matters.
        fix: The smallest thing that cures it.
        site: Name of the site, or `None` where it is about the network.
        layer: Path of the layer to blame, or `None`.
        measured: The measured number, or `None`.
        expected: The expected range, in words.
        culprits: Paths of the layers that caused it, worst first.
    """

    code: str
    slug: str
    severity: str
    message: str
    why: str
    fix: str
    site: str | None = None
    layer: str | None = None
    measured: float | None = None
    expected: str = ""
    culprits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"`severity` must be one of {SEVERITIES}. Received: severity={self.severity!r}."
            )

    @property
    def rank(self) -> int:
        """The severity as a number: 0 is information."""
        return SEVERITIES.index(self.severity)

    def is_like(self, other: "Finding") -> bool:
        """Whether both say the same of the same place, with whatever numbers.

        Which of several culprits is worst, and gives a gain its site, is chance where weights are
        drawn anew: one in common is enough.
        """
        is_same_place = (self.site, self.layer) == (other.site, other.layer) or not {
            *self.culprits
        }.isdisjoint(other.culprits)
        return self.code == other.code and is_same_place


@dataclass(frozen=True, eq=False)
class MeanFieldSummary(Record):
    """What mean field theory says of the longest run of like layers, from their weights alone;
    nothing but a `reason` where there is none.

    Attributes:
        reason: Why nothing is said, in words; `None` where something is.
        first: Name of the run's first site.
        last: That of its last.
        num_layers: Number of its layers.
        activation: The activation that follows each.
        weight_variance: `σ_w² = n E[w²]`, their geometric mean.
        bias_variance: `σ_b²`, their mean.
        second_moment: `q` of the pre-activations for which the rest is computed: `q*`, where it
            settles within the run, else the measured.
        chi1: `χ1`, by which each layer multiplies the gradient's second moment there.
        correlation: `c*`, to which the correlation of two inputs goes: 1 where they become alike.
        correlation_scale: `ξ_c`, layers over which the distance from `c*` falls by e; `inf` where
            it does not fall exponentially.
        gradient_scale: `ξ_∇ = 1 / |ln χ1|`, layers over which the gradient's second moment changes
            by e.
        sentence: The same in words, beside the number of layers.
    """

    reason: str | None = None
    first: str = ""
    last: str = ""
    num_layers: int = 0
    activation: str = ""
    weight_variance: float = math.nan
    bias_variance: float = math.nan
    second_moment: float = math.nan
    chi1: float = math.nan
    correlation: float = math.nan
    correlation_scale: float = math.nan
    gradient_scale: float = math.nan
    sentence: str = ""


@dataclass(frozen=True, eq=False)
class Report(Record):
    """A profile and what the rules found in it.

    Attributes:
        profile: What was measured.
        findings: The findings, worst first.
        num_exempted: Number of findings that were left out because the user exempted their layers.
        mean_field: What mean field theory says of the depth; `None` where it was not asked.
    """

    profile: Profile
    findings: tuple[Finding, ...] = ()
    num_exempted: int = 0
    mean_field: MeanFieldSummary | None = None

    @property
    def ok(self) -> bool:
        """Whether there is neither a warning nor an error."""
        return all(finding.severity == "info" for finding in self.findings)

    @property
    def worst(self) -> str | None:
        """The worst severity among the findings, `None` if there are none."""
        present = [finding.rank for finding in self.findings]
        return SEVERITIES[max(present)] if present else None

    def count(self, severity: str) -> int:
        """Number of findings of that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def new_findings(self, baseline: "Report") -> tuple[Finding, ...]:
        """Warnings and errors that an earlier report on the model lacks: not of that code, not
        there, or not as severe.

        Raises:
            ValueError: `baseline` is on another model.
        """
        pairs, _ = self._compared(baseline)
        return tuple(
            finding
            for finding, before in pairs
            if finding.rank > (0 if before is None else before.rank)
        )

    def gone_findings(self, baseline: "Report") -> tuple[Finding, ...]:
        """Warnings and errors of an earlier report on the model that have no like in this one, not
        even as information.

        Raises:
            ValueError: `baseline` is on another model.
        """
        _, left = self._compared(baseline)
        return tuple(finding for finding in left if finding.severity != "info")

    def _compared(
        self, baseline: "Report"
    ) -> tuple[list[tuple[Finding, Finding | None]], list[Finding]]:
        """Each finding with its like in the baseline, worst with worst, and what is left of the
        baseline.
        """
        self._check_model(baseline)
        left, pairs = list(baseline.findings), []
        for finding in self.findings:
            before = next((each for each in left if finding.is_like(each)), None)
            if before is not None:
                left.remove(before)
            pairs.append((finding, before))
        return pairs, left

    def _check_model(self, baseline: "Report") -> None:
        """Names that Keras numbers may differ from run to run: the same sites show that it is the
        same model.
        """
        sites = [[site.name for site in report.profile.sites] for report in (self, baseline)]
        if self.profile.model != baseline.profile.model and sites[0] != sites[1]:
            raise ValueError(
                f"`baseline` must be a report on the model {self.profile.model!r}. Received: one on"
                f" {baseline.profile.model!r}. Save one of this model as JSON."
            )

    @property
    def verdict(self) -> str:
        """One sentence: healthy, or what is wrong with it."""
        if self.ok:
            return f"{self.profile.model}: healthy. No layer loses or blows up the signal."
        worst = self.findings[0]
        others = self.count("error") + self.count("warning") - 1
        more = f" ({others} more finding{'s' * (others > 1)})" if others else ""
        return (
            f"{self.profile.model}: {worst.severity}:"
            f" {worst.message.partition('. ')[0].rstrip('.')}{more}."
        )
