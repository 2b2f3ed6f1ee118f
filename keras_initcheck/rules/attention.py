"""Attention on the batch: one-hot by chance, or the same everywhere."""

import math
from collections.abc import Iterable, Iterator

from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules import kernel_rules
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


def projections(profile: Profile) -> Iterator[tuple[str, SiteStats, SiteStats]]:
    """Path, query and key projection of each attention layer of Keras."""
    sites = {site.name: site for site in profile.weight_sites}
    for name, query in sites.items():
        parent, _, leaf = name.rpartition("/")
        key = sites.get(f"{parent}/key")
        if leaf == "query" and key is not None:
            yield parent, query, key


class SaturatedAttention(Rule):
    """Attention that looks at one position only, by chance."""

    code = "IC207"
    slug = "saturated-attention"
    title = "attention logits are so large that each position looks at one other"
    what = (
        "The logits of a MultiHeadAttention are products of queries and keys, of variance q(query)"
        " q(key) with Keras' scale 1/sqrt(d). The rule speaks where their standard deviation is"
        " above 8."
    )
    why = (
        "The softmax is one-hot at random: its gradient vanishes, and queries and keys learn"
        " slowly."
    )
    example = (
        "A transformer whose projections are drawn from N(0, 1): with 256 inputs the logits have a"
        " deviation of 256."
    )
    limits = (
        "Keras' own MultiHeadAttention and GroupedQueryAttention. Queries and keys are taken as"
        " independent."
    )
    fix = (
        'Scale the query and key projections to unit output: "glorot_uniform", and a normalisation'
        " before the attention."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each attention layer."""
        for parent, query, key in projections(profile):
            if query.activations.h is None or key.activations.h is None:
                continue
            spread = math.sqrt(query.activations.h.second_moment) * math.sqrt(
                key.activations.h.second_moment
            )
            if spread > thresholds.attention_logit_spread:
                yield self.finding(
                    "warning",
                    f"The attention logits of `{parent}` have a standard deviation of about"
                    f" {spread:.3g}.",
                    site=query,
                    measured=spread,
                    expected=f"below {thresholds.attention_logit_spread:g}; 1 is usual",
                    culprits=(query.layer, key.layer),
                )


class UniformAttention(Rule):
    """Attention that looks at all positions alike, because a projection is zero."""

    code = "IC209"
    slug = "uniform-attention"
    title = "all attention logits are equal, because queries or keys are zero"
    what = (
        "The queries of a MultiHeadAttention are zero, or the kernel of its keys is, so that all"
        " keys are one: every position attends to all others alike."
    )
    why = (
        "The layer only averages. Where queries and keys are both zero, the gradient of each, which"
        " has the other one as a factor, is zero too: the attention stays uniform for ever."
    )
    example = 'MultiHeadAttention(4, 16, kernel_initializer="zeros").'
    limits = (
        "Information where the queries alone are zero: that is meant in muP (Yang et al. 2022,"
        " appendix D.2), and their gradient is not zero. Keras' own MultiHeadAttention and"
        " GroupedQueryAttention."
    )
    fix = (
        'Draw the kernels of queries and keys by "glorot_uniform"; for a uniform start set the'
        " queries' kernel alone to zero."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such attention layer."""
        for parent, query, key in projections(profile):
            has_zero_query, has_zero_key = _is_silent(query), _is_silent(key)
            has_equal_keys = has_zero_key or any(
                map(kernel_rules.is_zero, profile.kernels(key.layer))
            )
            if not has_zero_query and not has_equal_keys:
                continue
            severity: Severity = (
                "error"
                if has_zero_query and has_zero_key
                else "warning"
                if has_equal_keys
                else "info"
            )
            culprits = [
                site.layer
                for site, is_cause in ((query, has_zero_query), (key, has_equal_keys))
                if is_cause
            ]
            yield self.finding(
                severity,
                f"The attention of `{parent}` is uniform: {_reason(has_zero_query, has_zero_key)}.",
                site=key if has_equal_keys else query,
                fix="Nothing, if the zeros are meant." if severity == "info" else self.fix,
                measured=0.0,
                expected="logits with a standard deviation of about 1",
                culprits=tuple(culprits),
            )


def _reason(has_zero_query: bool, has_zero_key: bool) -> str:
    if has_zero_query and has_zero_key:
        return "queries and keys are zero, and neither gets a gradient"
    if has_zero_query:
        return "the queries are zero, which may be meant"
    return "the keys are zero" if has_zero_key else "the keys are the same for all positions"


def _is_silent(site: SiteStats) -> bool:
    h = site.activations.h
    return h is not None and h.is_finite and h.max_abs == 0.0
