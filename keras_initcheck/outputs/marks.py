"""Which site a finding points at, and the sign for each severity."""

from keras_initcheck.profile import SiteStats
from keras_initcheck.report import SEVERITIES, Finding, Report

MARKS = {"error": "✗", "warning": "!", "info": "·"}

LOUD = frozenset(("error", "warning"))
"""Severities that a reader must not miss."""


def points_at(finding: Finding, site: SiteStats) -> bool:
    """Whether the finding names that site, or its layer as a culprit."""
    return site.name == finding.site or site.layer == finding.layer or site.layer in finding.culprits


def site_severities(report: Report) -> dict[int, str]:
    """The worst severity of the findings that point at a site, by the site's index. Sites without a finding are left out."""
    severities: dict[int, str] = {}
    for site in report.profile.sites:
        present = [SEVERITIES.index(finding.severity) for finding in report.findings if points_at(finding, site)]
        if present:
            severities[site.index] = SEVERITIES[max(present)]
    return severities
