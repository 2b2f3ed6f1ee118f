"""One cause, one error: findings that only follow from another one become information."""

from collections.abc import Sequence
from dataclasses import replace

from keras_initcheck.records.finding import Finding

CAUSES = {
    "IC201": ("IC401", "IC101"),
    "IC402": ("IC401", "IC101", "IC201", "IC405"),
    "IC301": ("IC401", "IC101", "IC201", "IC405", "IC402"),
    "IC202": ("IC106",),
    "IC304": ("IC401", "IC101", "IC201", "IC301", "IC106", "IC202", "IC209", "IC302", "IC406"),
    "IC206": ("IC106", "IC202"),
    "IC302": ("IC401", "IC101", "IC201", "IC106", "IC202", "IC406"),
    "IC404": ("IC101", "IC102", "IC201", "IC401", "IC403"),
}
"""For each code, those that explain it: NaN spreads from input and weights to the signal, the loss
and the gradient, and where the signal ends the gradient does. NaN labels do the same to loss and
gradient, and a softmax over one unit ends the gradient. Logits are large where input or signal is.
A loss that is not finite follows from input or weights through the signal; where signal and labels
are finite, it stands for itself."""


def demote_consequences(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with those that follow from another one, as severe or more so, turned into
    information that names it.

    Causes that the user chose to ignore are not among them, so that what they bring about is still
    told.
    """
    return [_subordinated(finding, findings) for finding in findings]


def _subordinated(finding: Finding, findings: Sequence[Finding]) -> Finding:
    cause = next(
        (code for code in CAUSES.get(finding.code, ()) if _explains(code, finding, findings)), None
    )
    if cause is None or finding.severity == "info":
        return finding
    return replace(
        finding,
        severity="info",
        message=f"{finding.message} This follows from {cause}.",
        fix=f"As for {cause}.",
    )


def _explains(code: str, finding: Finding, findings: Sequence[Finding]) -> bool:
    causes = [each for each in findings if each.code == code and each.rank >= finding.rank]
    if finding.code == "IC202":  # another layer's zeros do not kill this one
        return any(each.layer == finding.layer for each in causes)
    if finding.code == "IC402" and code not in ("IC201", "IC405"):
        return bool(causes) and any(
            each.code == "IC201" and each.severity == "error" for each in findings
        )
    return bool(causes)
