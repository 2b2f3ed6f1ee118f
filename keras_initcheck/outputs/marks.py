"""Which site a finding points at, and the sign for each severity."""

from collections.abc import Iterable

from keras_initcheck.report import SEVERITIES, Finding, Report

MARKS = {"error": "✗", "warning": "!", "info": "·"}

LOUD = frozenset(("error", "warning"))
"""Severities that a reader must not miss."""


def points_at(finding: Finding, name: str, layer: str) -> bool:
    """Whether the finding names the site `name`, or its layer, or that layer as a culprit."""
    return name == finding.site or layer == finding.layer or layer in finding.culprits


def worst_severity(findings: Iterable[Finding]) -> str | None:
    """The worst severity among those findings, or `None` if there are none."""
    present = [SEVERITIES.index(finding.severity) for finding in findings]
    return SEVERITIES[max(present)] if present else None


def site_severities(report: Report) -> dict[int, str]:
    """The worst severity of the findings that point at a site, by the site's index. Sites without a finding are left out."""
    severities = {
        site.index: worst_severity(finding for finding in report.findings if points_at(finding, site.name, site.layer))
        for site in report.profile.sites
    }
    return {index: severity for index, severity in severities.items() if severity is not None}
