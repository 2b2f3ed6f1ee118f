"""One cause, one error: findings that only follow from another one become information."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keras_initcheck.records.finding import Finding
from keras_initcheck.rules.rule import Causes, Rule


def demote_consequences(findings: Sequence[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
    """Turns findings that follow from another one, as severe or more so, into information.

    Such a finding names its cause. Causes that the user chose to ignore are not among the findings,
    so that their consequences keep their severity.

    Args:
        findings: All findings.
        rules: All rules by slug.
    """
    causes = Causes(findings)
    return [_demote(finding, causes, rules) for finding in findings]


def _demote(finding: Finding, causes: Causes, rules: Mapping[str, Rule]) -> Finding:
    if finding.severity == "info":
        return finding
    rule = rules[finding.slug]
    for slug in rule.explained_by:
        if rule.is_explained_by(slug, finding, causes):
            cause = rules[slug].code
            return replace(
                finding,
                severity="info",
                message=f"{finding.message} This follows from {cause}.",
                fix=f"As for {cause}.",
            )
    return finding
