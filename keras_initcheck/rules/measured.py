"""Measured gains beside predicted ones: where the batch does something that the weights alone do
not explain.
"""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.analysis.variance_factors import BACKWARD, FORWARD, Factor, chains
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules import budgets
from keras_initcheck.rules.gains import counted_factors
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.theory.noise import TWO_SIDED_99, largest_deviation

FEWEST_LAYERS = 2
"""Of a chain that has a gain to judge; what a single layer does is told by measured-layer."""
BIAS_SHARE = 0.1
"""Share of a pre-activation's second moment that biases may have; freshly initialised ones have
none.
"""


class MeasuredGainRule(Rule):
    """What the two directions have in common.

    Over each chain the measured ratios are compared with the predicted ones. In a healthy network
    the logarithm of their quotient scatters around `-B/2` with variance `B`, the sum of the layers'
    `log_ratio_variance` (see `theory.noise`).
    """

    direction: ClassVar[str]
    quantity: ClassVar[str]

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain whose measured gain leaves both its band and the budget."""
        graph = Graph(profile)
        for run in chains(profile, self.direction):
            yield from self._judge(profile, thresholds, graph, counted_factors(run, graph))

    def _judge(
        self, profile: Profile, thresholds: Thresholds, graph: Graph, run: Sequence[Factor]
    ) -> Iterable[Finding]:
        known = [(factor, excess) for factor in run if (excess := _ln_excess(factor)) is not None]
        if len(known) < max(len(run), FEWEST_LAYERS) or _is_excused(graph, run[-1].site):
            return
        ln_static = math.fsum(factor.log_ratio for factor in run)
        departure = math.fsum(excess for _, excess in known)
        optimizer = budgets.optimizer_of(profile, [factor.site for factor in run], thresholds)
        severity = budgets.severity(ln_static + departure, optimizer, thresholds)
        is_told = (
            budgets.severity(ln_static, optimizer, thresholds) is not None
        )  # by the gain rules, with the cure
        is_chance = beyond_band(departure, [factor.site for factor in run]) <= math.log(
            thresholds.measured_gain_factor
        )
        if severity is None or is_told or is_chance:
            return
        worst = max(known, key=lambda pair: pair[1] * math.copysign(1.0, departure))[0]
        yield self.finding(
            severity,
            f"{_where(run)} the {self.quantity} is multiplied by {_power(ln_static + departure)},"
            f" where the weights alone make {_power(ln_static)}. {cause(profile, run)}",
            site=worst.site,
            measured=math.exp(min(ln_static + departure, 709.0)),
            expected=(
                f"{_power(ln_static)} within a factor of {thresholds.measured_gain_factor:g} and"
                " chance"
            ),
            culprits=(worst.site.layer,),
        )


def _is_excused(graph: Graph, last: SiteStats) -> bool:
    """Whether the size of the chain's output is somebody else's business."""
    return graph.is_normalised(last) or graph.is_gate(last) or graph.is_beside_skip(last)


def beyond_band(departure: float, sites: Sequence[SiteStats]) -> float:
    """How far `ln(measured / predicted)` of those layers lies outside of what chance makes, in
    natural logarithms.
    """
    variance = math.fsum(site.log_ratio_variance or 0.0 for site in sites)
    return abs(departure + variance / 2.0) - TWO_SIDED_99 * math.sqrt(variance)


def _ln_excess(factor: Factor) -> float | None:
    """`ln(measured / predicted)` of a layer; `None` where one of them is not known, zero or not
    finite.
    """
    site = factor.site
    measured, predicted = (
        (site.forward_ratio, site.predicted_forward_ratio)
        if factor.direction == FORWARD
        else (site.backward_ratio, site.predicted_backward_ratio)
    )
    if (
        measured is None
        or predicted is None
        or not 0.0 < measured < math.inf
        or not 0.0 < predicted < math.inf
    ):
        return None
    return math.log(measured / predicted)


def cause(profile: Profile, run: Sequence[Factor]) -> str:
    """The sentence on why measurement and prediction may differ, from what the profile shows."""
    biased = [factor.site.layer for factor in run if bias_share(profile, factor.site) > BIAS_SHARE]
    if biased:
        return f"Biases make a good part of it in {listed(biased)}."
    if profile.step > 0:
        return "The weights have been trained, and are no longer independent of the signal."
    shifted = [factor.site.layer for factor in run if not factor.is_centred]
    if shifted:
        return (
            f"The weights of {listed(shifted)} have a mean, which adds up over inputs of one sign."
        )
    x = run[0].site.activations.x
    if (
        x is not None
        and Graph(profile).is_fed_by_data(run[0].site)
        and x.mean**2 > x.second_moment / 2.0
    ):
        return "The input is not centred: its mean is most of its size."
    return "That is the data's part: correlated inputs, borders of padding, or units that saturate."


def bias_share(profile: Profile, site: SiteStats) -> float:
    """Mean square of the layer's bias over that of its pre-activation."""
    biases = [
        weight for weight in profile.weights if weight.layer == site.layer and weight.role == "bias"
    ]
    z = site.activations.z
    if z is None or not z.second_moment or not biases:
        return 0.0
    return max(bias.moments.second_moment for bias in biases) / z.second_moment


def _where(run: Sequence[Factor]) -> str:
    first, last = run[0].site.name, run[-1].site.name
    return f"In `{first}`" if len(run) == 1 else f"Over {len(run)} layers, `{first}` to `{last}`,"


def _power(ln_gain: float) -> str:
    return f"e^{ln_gain:.1f}"


class MeasuredForwardGain(MeasuredGainRule):
    """The signal on this batch."""

    code = "IC203"
    slug = "measured-forward-gain"
    title = "the weights do not explain how the signal grows or shrinks"
    direction = FORWARD
    quantity = "signal's second moment"
    what = (
        "The measured ratios q(h)/q(x) of a chain are multiplied and compared with the product"
        " that the weights predict. The rule speaks where they differ by more than a factor of two"
        " beyond the 99% band of chance, -B/2 ± 2.576 sqrt(B), where B sums (2 + V)/n over the"
        " layers (V is 3 for ReLU)."
    )
    why = (
        "What the weights do not explain comes from the data, biases or saturation: other initial"
        " weights alone will not cure it."
    )
    example = (
        "Ten ReLU layers whose biases were initialised with N(0, 1): each adds to the signal what"
        " no kernel accounts for."
    )
    limits = (
        "Its severity follows the measured gain against the budgets of forward-gain. Silent within"
        " them, where forward-gain speaks already, for single layers, and before a normalisation, a"
        " gate or beside a skip connection. The band was simulated for ReLU."
    )
    fix = "Centre and scale the input, initialise biases with zeros, and look at saturated-units."


class MeasuredBackwardGain(MeasuredGainRule):
    """The gradient on this batch."""

    code = "IC303"
    slug = "measured-backward-gain"
    title = "the weights do not explain how the gradient grows or shrinks"
    direction = BACKWARD
    quantity = "gradient's second moment on its way back"
    what = (
        "As measured-forward-gain, for the ratios q(dL/dx)/q(dL/dh) of the gradient, measured with"
        " a random direction at the outputs where the probe used one."
    )
    why = (
        "The first layers get a gradient of another size than the last ones, for a reason that the"
        " weights alone do not show."
    )
    example = "Units that biases switch off: their slope is zero, though the kernels are He's."
    limits = (
        "As for measured-forward-gain; the band is that of the forward direction, by the transposed"
        " argument."
    )
    fix = MeasuredForwardGain.fix


class MeasuredLayers(Rule):
    """Single layers that do not do what their weights predict."""

    code = "IC204"
    slug = "measured-layer"
    title = "layers whose measured ratio is not the predicted one"
    what = (
        "The measured forward ratio of a layer differs from the predicted one by more than chance"
        " makes of the worst of so many layers, and by more than 1.25 (1.32 where it is smaller,"
        " because chance has a long tail there)."
    )
    why = "It shows where data, padding, biases or saturation come in. Alone it harms nothing."
    example = (
        "The first convolution on photographs, whose neighbouring pixels are alike: 1.1 to 1.5"
        " times what white noise gives."
    )
    limits = (
        "Always information, one for the whole network. Heads and layers on unknown activations are"
        " left out."
    )
    fix = "Nothing, as long as the gains are in order."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        sites = [
            site
            for site in profile.weight_sites
            if not site.is_head and site.activation != "unknown"
        ]
        found = [
            (site, departure)
            for site in sites
            if (departure := _departure(profile, site, len(sites))) is not None
        ]
        if found:
            worst = max(found, key=lambda pair: abs(pair[1]))
            yield self.finding(
                "info",
                f"{len(found)} of {len(sites)} layers have another ratio on this batch than their"
                f" weights predict: {listed([site.name for site, _ in found])}. The most in"
                f" `{worst[0].name}`, by {math.exp(worst[1]):.3g}.",
                site=worst[0],
                measured=worst[0].forward_ratio,
                expected=f"{worst[0].predicted_forward_ratio:.3g}",
            )


LARGEST_QUIET = math.log(1.25)
LOWER_TAIL = 1.25
"""A layer's log ratio has a long lower tail: below, the bound is a quarter wider."""


def _departure(profile: Profile, site: SiteStats, num_layers: int) -> float | None:
    measured, predicted, variance = (
        site.forward_ratio,
        site.predicted_forward_ratio,
        site.log_ratio_variance,
    )
    if variance is None or measured is None or predicted is None:
        return None
    if not 0.0 < measured < math.inf or not 0.0 < predicted < math.inf:
        return None
    departure = math.log(measured / predicted)
    bound = max(largest_deviation(num_layers) * math.sqrt(variance), LARGEST_QUIET)
    if departure + variance / 2.0 < 0.0:
        bound *= LOWER_TAIL
    return departure if abs(departure + variance / 2.0) > bound else None
