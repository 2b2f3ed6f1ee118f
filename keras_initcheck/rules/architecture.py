"""What follows from the architecture, and is no fault of the weights."""

import math
from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.residual_stacks import Block, stacks
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules import budgets
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.theory import residual


class NarrowForDepth(Rule):
    """Chance alone makes signal and gradient large or small."""

    code = "IC501"
    slug = "narrow-for-its-depth"
    title = "the network is narrow for its depth"
    what = (
        "Over a chain without normalisation the logarithm of the gain scatters between one draw"
        " of the weights and the next with a variance B above 2.5: about 5/n for each ReLU layer of"
        " n units."
    )
    why = (
        "Its median is e^(-B/2), however well the weights are scaled: some draws start well and"
        " others do not (Hanin & Rolnick 2018)."
    )
    example = (
        "A hundred ReLU layers of 64 units: B = 8.4, and half of all draws lose 98% of the signal's"
        " second moment or more."
    )
    limits = (
        "Always information: it is the architecture, and no initialisation cures it. Simulated for"
        " ReLU."
    )
    fix = "Wider layers, fewer of them, normalisation, or skip connections."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain."""
        runs: dict[int, list[SiteStats]] = {}
        for site in profile.weight_sites:
            if site.chain is not None and site.log_ratio_variance is not None:
                runs.setdefault(site.chain, []).append(site)
        for run in runs.values():
            variance = math.fsum(site.log_ratio_variance or 0.0 for site in run)
            if variance > thresholds.narrow_log_variance:
                yield self.finding(
                    "info",
                    f"Over {len(run)} layers, `{run[0].name}` to `{run[-1].name}`, chance alone"
                    f" moves ln of the gain by {math.sqrt(variance):.1f} from draw to draw, around"
                    f" a median of {-variance / 2:.1f}.",
                    site=run[0],
                    measured=variance,
                    expected=f"below {thresholds.narrow_log_variance:g}",
                )


class ResidualGrowth(Rule):
    """A residual stack whose stream grows exponentially."""

    code = "IC502"
    slug = "residual-growth"
    title = "a residual stack without normalisation grows exponentially"
    what = (
        "The stream of a residual stack, x + F(x), is compared with the growth that normalised"
        " branches would give it, 1 + sum of the branches' variances. Each unnormalised branch"
        " multiplies the stream instead of adding to it. The rule speaks where the excess leaves"
        " the budgets of forward-gain."
    )
    why = (
        "Signal and gradient both grow with every block, and the first blocks get a gradient of"
        " another size than the last."
    )
    example = (
        "48 blocks x + W relu(W x) with He weights: every block doubles the second moment, 2^48 ="
        " 3e14 in all."
    )
    limits = (
        "Growth like 1 + l v, as in pre-norm transformers and ResNets with normalised branches, is"
        " healthy. Stacks are seen where skip and branch meet in an Add layer or `+` of a"
        " Functional graph."
    )
    fix = (
        "Normalise the branch's input, or scale the last layer of each of N branches by 1/sqrt(N),"
        " or initialise it with zeros (Zhang et al. 2019, section 3: Fixup)."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each stack."""
        for stack in stacks(profile):
            growth = _growth(stack)
            optimizer = budgets.optimizer_of(
                profile,
                [profile.sites[index] for block in stack for index in block.sites],
                thresholds,
            )
            severity = (
                budgets.severity(growth.excess, optimizer, thresholds)
                if growth is not None
                else None
            )
            if growth is None or severity is None:
                continue
            culprits = tuple(
                dict.fromkeys(block.last_layer for block in stack if block.last_layer is not None)
            )
            yield self.finding(
                severity,
                f"Over {len(stack)} residual blocks, up to `{stack[-1].merge.name}`, the signal's"
                f" second moment is multiplied by e^{growth.log_growth:.1f}, and by"
                f" e^{growth.excess:.1f} more than with normalised branches.",
                site=stack[-1].merge,
                measured=math.exp(min(growth.log_growth, 709.0)),
                expected=(
                    "growth like 1 + the sum of the branches' variances, within"
                    f" {budgets.described(optimizer, thresholds)}"
                ),
                culprits=culprits,
            )


def _growth(stack: Sequence[Block]) -> residual.StreamGrowth | None:
    """How the stream of a stack grows; `None` where it is zero or not known somewhere."""
    outputs = [block.merge.activations.h for block in stack]
    sizes = [stack[0].stream, *(output.second_moment for output in outputs if output is not None)]
    if len(sizes) <= len(stack) or not all(
        0.0 < size < math.inf for size in (*sizes, *(block.stream for block in stack))
    ):
        return None
    added = [block.branch / (sizes[0] if block.is_normalised else block.stream) for block in stack]
    return residual.stream_growth(list(map(math.log, sizes)), added)
