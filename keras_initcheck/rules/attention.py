"""Attention on the batch: one-hot by chance, or the same everywhere."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.measurement import MAX_ABS, SHARE_NONFINITE, H
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number


class SaturatedAttention(Rule):
    """Attention that attends to one position only, by chance."""

    code = "IC207"
    slug = "saturated-attention"
    title = "attention logits are so large that each position attends to one other"
    what = (
        "The logits of a MultiHeadAttention are products of queries and keys, of variance"
        " q(query) q(key) with Keras' scale 1/sqrt(d). The rule reports a standard deviation"
        " above 8."
    )
    why = (
        "The softmax is one-hot at random: its gradient vanishes, and queries and keys learn"
        " slowly."
    )
    example = (
        "A transformer whose projections are drawn from N(0, 1): with 256 inputs the logits"
        " have a standard deviation of 256."
    )
    limits = (
        "Keras' own MultiHeadAttention and GroupedQueryAttention. Queries and keys are assumed"
        " to be independent."
    )
    fix = (
        'Scale the query and key projections to unit output ("glorot_uniform"), and put a'
        " normalization before the attention."
    )
    cure = Cure.RESCALE

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each attention layer."""
        for parent, query_index, key_index in evidence.analysis.attention:
            # The product of the roots: a product of second moments may overflow.
            spread = math.sqrt(evidence.size(query_index)) * math.sqrt(evidence.size(key_index))
            if spread > thresholds.attention_logit_spread:
                query = evidence.analysis.sites[query_index]
                key = evidence.analysis.sites[key_index]
                yield self.finding(
                    "warning",
                    f"Each position of `{parent}` attends to one other by chance: the attention"
                    f" logits have a standard deviation of about {number(spread)}.",
                    site=query,
                    measured=spread,
                    expected=f"below {number(thresholds.attention_logit_spread)}; 1 is usual",
                    culprits=(query.layer, key.layer),
                )


class UniformAttention(Rule):
    """Attention that attends to all positions alike, because a projection is zero."""

    code = "IC209"
    slug = "uniform-attention"
    title = "all attention logits are equal, because queries or keys are zero"
    what = (
        "The queries of a MultiHeadAttention are zero, or the kernel of its keys is, so that"
        " all keys are equal: every position attends to all others alike."
    )
    why = (
        "The layer only averages. Where queries and keys are both zero, the gradient of each"
        " has the other one as a factor and is zero too: the attention stays uniform forever."
    )
    example = 'MultiHeadAttention(4, 16, kernel_initializer="zeros").'
    limits = (
        "Information where the queries alone are zero: muP intends that (Yang et al. 2022,"
        " appendix D.2), and their gradient is not zero. Keras' own MultiHeadAttention and"
        " GroupedQueryAttention."
    )
    fix = (
        'Draw the kernels of queries and keys by "glorot_uniform"; for a uniform start set the'
        " kernel of the queries alone to zero."
    )
    cure = Cure.REDRAW

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such attention layer."""
        for parent, query_index, key_index in evidence.analysis.attention:
            query = evidence.analysis.sites[query_index]
            key = evidence.analysis.sites[key_index]
            has_zero_query = _is_silent(evidence, query_index)
            has_zero_key = _is_silent(evidence, key_index)
            has_equal_keys = has_zero_key or evidence.has_zero_kernel(key.layer)
            if not has_zero_query and not has_equal_keys:
                continue
            severity: Severity = "warning" if has_equal_keys else "info"
            if has_zero_query and has_zero_key:
                severity = "error"
            culprits = [
                site.layer
                for site, is_cause in ((query, has_zero_query), (key, has_equal_keys))
                if is_cause
            ]
            yield self.finding(
                severity,
                f"The attention of `{parent}` is uniform: {_reason(has_zero_query, has_zero_key)}.",
                site=key if has_equal_keys else query,
                fix="Nothing, if the zeros are intended." if severity == "info" else self.fix,
                measured=0.0,
                expected="logits with a standard deviation of about 1",
                culprits=tuple(culprits),
            )


def _reason(has_zero_query: bool, has_zero_key: bool) -> str:
    if has_zero_query and has_zero_key:
        return "queries and keys are zero, and neither receives a gradient"
    if has_zero_query:
        return "the queries are zero, which may be intended"
    return "the keys are zero" if has_zero_key else "the keys are the same for all positions"


def _is_silent(evidence: Evidence, index: int) -> bool:
    h = evidence.measurement.activations[index, H]
    return bool(h[SHARE_NONFINITE] == 0.0 and h[MAX_ABS] == 0.0)
