"""Findings by the site that they point at, and the sign of each severity."""

from collections.abc import Iterable, Sequence

from keras_initcheck.records.finding import SEVERITIES, Finding
from keras_initcheck.records.report import Report

MARKS = {"error": "✗", "warning": "!", "info": "·"}

LOUD = frozenset(("error", "warning"))
"""Severities that a reader must not miss."""


def worst_severity(findings: Iterable[Finding]) -> str | None:
    """The worst severity among those findings, or `None` if there are none."""
    present = [SEVERITIES.index(finding.severity) for finding in findings]
    return SEVERITIES[max(present)] if present else None


class Pointers:
    """Index of findings by the site or layer that they point at.

    Args:
        findings: The findings, worst first.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings = findings
        self._by_site: dict[str, list[int]] = {}
        self._by_layer: dict[str, list[int]] = {}
        for number, finding in enumerate(findings):
            if finding.site is not None:
                self._by_site.setdefault(finding.site, []).append(number)
            for layer in {finding.layer, *finding.culprits} - {None}:
                self._by_layer.setdefault(str(layer), []).append(number)

    def at(self, name: str, layer: str) -> tuple[Finding, ...]:
        """The findings that name that site, its layer, or the layer as a culprit, worst first."""
        numbers = {*self._by_site.get(name, ()), *self._by_layer.get(layer, ())}
        return tuple(self._findings[number] for number in sorted(numbers))


def site_severities(report: Report) -> dict[int, str]:
    """The worst severity of the findings that point at a site, by the site's index.

    Sites without a finding are left out.
    """
    pointers = Pointers(report.findings)
    severities = {
        site.index: worst_severity(pointers.at(site.name, site.layer))
        for site in report.profile.sites
    }
    return {index: severity for index, severity in severities.items() if severity is not None}
