"""Rules on the architecture, which are no fault of the weights."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.residual_stacks import Block
from keras_initcheck.records.finding import SEVERITIES, Finding, Severity
from keras_initcheck.records.measurement import SECOND_MOMENT, H
from keras_initcheck.rules import budgets
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import LARGEST_LOG, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number, times, times_weaker_or_stronger, verb
from keras_initcheck.theory import residual


class NarrowForDepth(Rule):
    """A chain in which chance alone makes the signal and the gradient large or small."""

    code = "IC501"
    slug = "narrow-for-its-depth"
    title = "the network is narrow for its depth"
    what = (
        "Over a chain without normalization, the logarithm of the gain scatters between one"
        " draw of the weights and the next with a variance B above 2.5. Each ReLU layer of n"
        " units adds about 5/n to it."
    )
    why = (
        "The median of the gain is e^(-B/2), however well the weights are scaled: some draws"
        " start well and others do not (Hanin & Rolnick 2018)."
    )
    example = (
        "A hundred ReLU layers of 64 units: B = 8.4, and half of all draws lose 98% of the"
        " signal's second moment or more."
    )
    limits = (
        "Always information: the architecture is the reason, and no initialization cures it."
        " Simulated for ReLU."
    )
    fix = "Use wider layers, fewer of them, normalization, or skip connections."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain."""
        fans = evidence.analysis.fans
        variances = evidence.measurement.log_ratio_variance[fans.sites[fans.order]]
        is_known = ~np.isnan(variances)
        known, chains = variances[is_known], fans.chain[is_known]
        sums = np.bincount(chains, known) if known.size else known
        for chain in (sums > thresholds.narrow_log_variance).nonzero()[0].tolist():
            members = fans.sites[fans.order[is_known][chains == chain]].tolist()
            variance = math.fsum(known[chains == chain])
            first, last = (evidence.analysis.sites[members[end]] for end in (0, -1))
            yield self.finding(
                "info",
                f"The {len(members)} layers from `{first.name}` to `{last.name}` are narrow for"
                f" their number: chance alone makes the signal {times(math.sqrt(variance))} times"
                " weaker or stronger between one draw of the weights and the next.",
                site=first,
                span=(first.name, last.name),
                details=(
                    f"The logarithm of the gain scatters by {math.sqrt(variance):.1f} around a"
                    f" median of {-variance / 2:.1f} (Hanin & Rolnick 2018)."
                ),
                measured=variance,
                expected=f"below {number(thresholds.narrow_log_variance)}",
            )


class ResidualGrowth(Rule):
    """A residual stack whose stream grows exponentially."""

    code = "IC502"
    slug = "residual-growth"
    title = "a residual stack without normalization grows exponentially"
    what = (
        "The growth of the stream in a residual stack, x + F(x), is compared with the growth"
        " that normalized branches would give it, 1 + the sum of the branches' variances. Each"
        " unnormalized branch multiplies the stream instead of adding to it. The rule reports an"
        " excess that leaves the budgets of forward-gain; the whole growth makes it an error where"
        " it leaves them further."
    )
    why = (
        "Signal and gradient both grow with every block, and the first blocks receive a"
        " gradient of another size than the last ones."
    )
    example = (
        "48 blocks x + W relu(W x) with He weights: every block doubles the second moment, 2^48"
        " = 3e14 in all."
    )
    limits = (
        "Growth like 1 + l v, as in pre-norm transformers and ResNets with normalized branches,"
        " is healthy. Stacks are recognized where skip and branch meet in an Add layer or in `+`"
        " of a Functional graph."
    )
    fix = (
        "Normalize the input of each branch. Or scale the last layer of each of N branches by"
        " 1/sqrt(N), or initialize it with zeros (Zhang et al. 2019, section 3: Fixup)."
    )
    cure = Cure.SCALE_BRANCHES

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each stack."""
        for stack, growth in grown_stacks(evidence, thresholds):
            optimizer = _optimizer_of(evidence, stack, thresholds)
            found = (
                budgets.severity(each, optimizer, thresholds)
                for each in (growth.excess, growth.log_growth)
            )
            severity = max((each for each in found if each), key=SEVERITIES.index)
            budget = budgets.described(optimizer, thresholds)
            yield self._report(evidence, stack, growth, severity, budget)

    def _report(
        self,
        evidence: Evidence,
        stack: Sequence[Block],
        growth: residual.StreamGrowth,
        severity: Severity,
        budget: str,
    ) -> Finding:
        first, last = (evidence.analysis.sites[index] for index in (stack[0].skip, stack[-1].merge))
        layers = [block.last_layer for block in stack if block.last_layer is not None]
        return self.finding(
            severity,
            f"The signal {verb(growth.log_growth, severity)}:"
            f" {times_weaker_or_stronger(growth.log_growth)} over {len(stack)} residual blocks,"
            f" from `{first.name}` to `{last.name}`. With normalized branches it would become"
            f" {times_weaker_or_stronger(growth.log_growth - growth.excess)}.",
            site=last,
            span=(first.name, last.name),
            details=(
                f"The mean square is multiplied by e^{growth.log_growth:.1f}, and by"
                f" e^{growth.excess:.1f} more than with normalized branches."
            ),
            measured=math.exp(min(growth.log_growth, LARGEST_LOG)),
            expected=f"growth like 1 + the sum of the branches' variances, within {budget}",
            culprits=tuple(dict.fromkeys(layers)),
        )


def grown_stacks(
    evidence: Evidence, thresholds: Thresholds
) -> Iterator[tuple[Sequence[Block], residual.StreamGrowth]]:
    """The stacks that residual-growth reports, and how their streams grow."""
    sizes = evidence.measurement.activations[:, H, SECOND_MOMENT].tolist()
    least = budgets.smallest_warning(evidence, thresholds)
    for stack in evidence.stacks:
        growth = _growth(stack, sizes)
        if growth is not None and abs(growth.excess) > least:
            optimizer = _optimizer_of(evidence, stack, thresholds)
            if budgets.severity(growth.excess, optimizer, thresholds):
                yield stack, growth


def _optimizer_of(evidence: Evidence, stack: Sequence[Block], thresholds: Thresholds) -> str | None:
    sites = [evidence.analysis.sites[index] for block in stack for index in block.sites]
    return budgets.optimizer_of(evidence, sites, thresholds)


def _growth(stack: Sequence[Block], sizes: Sequence[float]) -> residual.StreamGrowth | None:
    """How the stream of a stack grows; `None` where it is zero or not known somewhere.

    Args:
        stack: The blocks.
        sizes: `(sites,)` second moments of the outputs.
    """
    streams = [sizes[block.skip] for block in stack]
    sums = [streams[0], *[sizes[block.merge] for block in stack]]
    if not all([0.0 < size < math.inf for size in (*sums, *streams)]):
        return None
    added = [
        sizes[block.branch] / (streams[0] if block.is_normalized else stream)
        for block, stream in zip(stack, streams, strict=True)
    ]
    return residual.stream_growth(list(map(math.log, sums)), added)
