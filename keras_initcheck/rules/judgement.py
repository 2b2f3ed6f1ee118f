"""Applies a policy's rules to a profile."""

from keras_initcheck.analysis import depth_scales
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.rules.catalogue import RULES
from keras_initcheck.rules.policy import EVERYTHING, Policy
from keras_initcheck.rules.root_causes import demote_consequences


def judge(
    profile: Profile, policy: Policy = EVERYTHING, *, with_mean_field: bool = False
) -> Report:
    """The report on a profile, with its findings worst first, then by place in the network.

    Args:
        profile: What was measured.
        policy: What to judge it by.
        with_mean_field: Whether to compute the depth scales of mean field theory, too, which takes
            the host as long as all rules.
    """
    found = [
        finding
        for rule in RULES
        if rule.code in policy.codes
        for finding in rule.check(profile, policy.thresholds)
    ]
    kept = policy.kept(
        found
    )  # what a cause that is not wanted brings about is still told as an error
    places = {site.name: site.index for site in profile.sites}
    ranked = sorted(
        demote_consequences(kept),
        key=lambda finding: (-finding.rank, places.get(finding.site or "", -1), finding.code),
    )
    mean_field = depth_scales.summarise(profile) if with_mean_field else None
    return Report(profile, tuple(ranked), len(found) - len(kept), mean_field)
