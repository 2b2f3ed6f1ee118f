"""Applies a policy's rules to a profile."""

from keras_initcheck.analysis import depth_scales
from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.rules.catalogue import RULES, RULES_BY_SLUG
from keras_initcheck.rules.policy import EVERYTHING, Policy
from keras_initcheck.rules.root_causes import demote_consequences
from keras_initcheck.rules.trial import told


def judge(
    profile: Profile, policy: Policy = EVERYTHING, *, with_mean_field: bool = False
) -> Report:
    """Applies a policy's rules to a profile.

    Args:
        profile: The measurement.
        policy: The rules to apply, their thresholds, and exempt layers.
        with_mean_field: Whether to compute the depth scales of mean field theory, too, which takes
            about as long as all rules.

    Returns:
        The report, with its findings worst first, then by place in the network.
    """
    evidence = Evidence(profile)
    found = [
        finding
        for rule in RULES
        if rule.code in policy.codes
        for finding in rule.check(evidence, policy.thresholds)
    ]
    # Demoted afterwards: consequences of a cause that is not wanted keep their severity.
    kept = policy.filter(found)
    places = {site.name: site.index for site in profile.structure.sites} if kept else {}
    ranked = sorted(
        demote_consequences(kept, RULES_BY_SLUG, places),
        key=lambda finding: (-finding.rank, places.get(_start(finding), -1), finding.code),
    )
    shown = tuple(told(finding, profile.trial) for finding in ranked)
    mean_field = depth_scales.summarize(profile) if with_mean_field else None
    return Report(profile, shown, len(found) - len(kept), mean_field)


def _start(finding: Finding) -> str:
    """Name of the first site that a finding is about, `""` for one about the network."""
    return finding.span[0] if finding.span else finding.site or ""
