"""One cause, one error: a cause is as severe as what follows from it, which is information."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keras_initcheck.records.finding import SEVERITIES, Finding
from keras_initcheck.rules.rule import Causes, Rule

WARNING = SEVERITIES.index("warning")


def demote_consequences(
    findings: Sequence[Finding], rules: Mapping[str, Rule], places: Mapping[str, int]
) -> list[Finding]:
    """Turns findings that follow from another one into information that names it.

    A cause is as severe as the consequence or more so; a warning that explains an error is raised
    to an error first. Causes that the user chose to ignore are not among the findings, so that
    their consequences keep their severity, and consequences that the user chose to ignore raise
    nothing.

    Args:
        findings: All findings.
        rules: All rules by slug.
        places: Indices of the sites by name.
    """
    raised = _raise_causes(findings, rules, places)
    causes = Causes(raised, places)
    return [_demote(finding, causes, rules) for finding in raised]


def _raise_causes(
    findings: Sequence[Finding], rules: Mapping[str, Rule], places: Mapping[str, int]
) -> list[Finding]:
    """The findings with the warnings that explain an error as errors.

    A cause that became an error may raise its own cause in turn, for the same consequence.
    """
    raised = list(findings)
    waiting = [(finding, finding) for finding in raised if finding.severity == "error"]
    while waiting:
        link, consequence = waiting.pop(0)
        slug = _warned_cause(link, Causes(raised, places), rules)
        for position, finding in enumerate(raised):
            if finding.slug == slug and finding.severity == "warning":
                raised[position] = _raise(finding, consequence)
                waiting.append((raised[position], consequence))
    return raised


def _warned_cause(consequence: Finding, causes: Causes, rules: Mapping[str, Rule]) -> str | None:
    """The slug of the likeliest cause, if only warnings explain the consequence."""
    rule = rules[consequence.slug]
    if _cause(consequence, causes, rule) is not None:
        return None
    return next((slug for slug in rule.raises if causes.rank(slug) == WARNING), None)


def _raise(cause: Finding, consequence: Finding) -> Finding:
    what = consequence.message.partition(". ")[0].rstrip(".")
    return replace(
        cause,
        severity="error",
        message=f"{cause.message} That is an error because of {consequence.code}: {what}.",
    )


def _demote(finding: Finding, causes: Causes, rules: Mapping[str, Rule]) -> Finding:
    if finding.severity == "info":
        return finding
    slug = _cause(finding, causes, rules[finding.slug])
    if slug is None:
        return finding
    cause = rules[slug].code
    return replace(
        finding,
        severity="info",
        message=f"{finding.message} This follows from {cause}.",
        fix=f"As for {cause}.",
    )


def _cause(finding: Finding, causes: Causes, rule: Rule) -> str | None:
    """The slug of the likeliest cause that is as severe; `None` if there is none."""
    raised = rule.raises if finding.severity == "error" else ()
    slugs = (*rule.explained_by, *raised)
    return next((slug for slug in slugs if rule.is_explained_by(slug, finding, causes)), None)
