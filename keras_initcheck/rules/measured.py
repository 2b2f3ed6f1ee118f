"""Measured gains and ratios beside predicted ones: what the weights alone do not explain."""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION, Site
from keras_initcheck.rules import budgets
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.gains import beyond_budget
from keras_initcheck.rules.rule import LARGEST_LOG, UNCENTERED_SHARE, Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import change_in_words, number, times_weaker_or_stronger
from keras_initcheck.theory.noise import TWO_SIDED_99, largest_deviation

FloatArray = npt.NDArray[np.float64]

FEWEST_LAYERS = 2
"""Layers of a chain whose gain is judged; measured-layer reports what a single layer does."""
BIAS_SHARE = 0.1
"""Share of a pre-activation's second moment that biases may have; freshly initialized ones have
none.
"""


class MeasuredGainRule(Rule):
    """Common part of the rules on the two directions.

    Over each chain the measured ratios are compared with the predicted ones. In a healthy network
    the logarithm of their quotient scatters around `-B/2` with variance `B`, the sum of the layers'
    `log_ratio_variance` (see `theory.noise`).
    """

    direction: ClassVar[str]
    cure = Cure.RESCALE_AND_RESET_BIASES

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain whose measured gain leaves both its band and the budget."""
        excess = ln_excess(evidence, self.direction)
        measured = evidence.ratios(self.direction).log_ratio + excess  # `nan` where not measured
        for chain in beyond_budget(
            evidence, self.direction, thresholds, measured, are_led_by_biases=True
        ):
            yield from self._judge(evidence, chain, excess, thresholds)

    def _judge(
        self, evidence: Evidence, chain: int, excess: FloatArray, thresholds: Thresholds
    ) -> Iterable[Finding]:
        positions = evidence.runs(self.direction).positions(chain, counted=True)
        run = evidence.run(self.direction, chain, counted=True)
        if len(run) < FEWEST_LAYERS or _is_excused(evidence, run[-1].site):
            return
        ln_static = math.fsum(ratio.log_ratio for ratio in run)
        departure = math.fsum(excess[positions])
        sites = [ratio.site for ratio in run]
        optimizer = budgets.optimizer_of(evidence, sites, thresholds)
        severity = budgets.severity(ln_static + departure, optimizer, thresholds)
        # The gain rules report these, with the fix.
        is_reported = (
            budgets.severity(ln_static, optimizer, thresholds) is not None
            and ln_static * (ln_static + departure) > 0.0
        )
        variances = evidence.measurement.log_ratio_variance[[site.index for site in sites]]
        excess_beyond_chance = excess_over_band(departure, variances.tolist())
        is_chance = excess_beyond_chance <= math.log(thresholds.measured_gain_factor)
        if severity is None or is_reported or is_chance:
            return
        by_site = zip(excess[positions].tolist(), sites, strict=True)
        worst = max(by_site, key=lambda pair: pair[0] * math.copysign(1.0, departure))[1]
        ends, predicted = (sites[0].name, sites[-1].name), times_weaker_or_stronger(ln_static)
        change = change_in_words(self.direction, ln_static + departure, ends, severity)
        yield self.finding(
            severity,
            f"{change} The weights alone predict {predicted}. {cause(evidence, run)}",
            site=worst,
            span=ends,
            details=(
                f"The mean square is multiplied by e^{ln_static + departure:.1f} over"
                f" {len(run)} layers, and by e^{ln_static:.1f} according to the weights."
            ),
            measured=math.exp(min(ln_static + departure, LARGEST_LOG)),
            expected=(
                f"{predicted}, within a factor of"
                f" {number(math.sqrt(thresholds.measured_gain_factor))} and chance"
            ),
            culprits=(worst.layer,),
        )


def _is_excused(evidence: Evidence, last: Site) -> bool:
    """Whether the size of the chain's output does not matter to what follows."""
    return bool(
        evidence.is_normalized[last.index]
        or evidence.analysis.graph.is_gate[last.index]
        or evidence.is_beside_skip(last)
    )


def excess_over_band(departure: float, variances: Sequence[float]) -> float:
    """Distance from the band of chance, in natural logarithms; negative inside.

    Args:
        departure: `ln(measured / predicted)` of some layers together.
        variances: `log_ratio_variance` of each; `nan` where it is not known.
    """
    variance = math.fsum([each for each in variances if not math.isnan(each)])
    return abs(departure + variance / 2.0) - TWO_SIDED_99 * math.sqrt(variance)


def ln_excess(evidence: Evidence, direction: str) -> FloatArray:
    """`(weight layers,)`, `ln(measured / predicted)`.

    `nan` where one of them is not known, zero or not finite.
    """
    numbers = evidence.measurement
    measured, predicted = (
        (numbers.forward_ratio, numbers.predicted_forward_ratio)
        if direction == FORWARD
        else (numbers.backward_ratio, numbers.predicted_backward_ratio)
    )
    sites = evidence.analysis.fans.sites
    measured, predicted = measured[sites], predicted[sites]
    is_known = (measured > 0.0) & (measured < math.inf) & (predicted > 0.0) & (predicted < math.inf)
    logs = np.log(np.where(is_known, measured, np.nan))
    excess: FloatArray = logs - np.log(np.where(is_known, predicted, np.nan))
    return excess


def cause(evidence: Evidence, run: Sequence[PredictedRatio]) -> str:
    """The sentence on why measurement and prediction may differ, from what the profile shows."""
    biased = [each.site.layer for each in run if evidence.bias_share(each.site) > BIAS_SHARE]
    if biased:
        return f"Biases contribute a good part of it in {listed(biased)}."
    if evidence.profile.step > 0:
        return "The weights have been trained, and are no longer independent of the signal."
    shifted = [ratio.site.layer for ratio in run if not ratio.is_centered]
    if shifted:
        return (
            f"The weights of {listed(shifted)} have a mean, which adds up over inputs of one sign."
        )
    first = evidence.site(run[0].site.index)
    x = first.activations.x
    is_fed_by_data = evidence.analysis.graph.is_fed_by_data[first.index]
    if x is not None and is_fed_by_data and x.mean**2 > UNCENTERED_SHARE * x.second_moment:
        return "The input is not centered: its mean is larger than its standard deviation."
    return (
        "The data is the likely reason: correlated inputs, borders of padding, or saturated units."
    )


class MeasuredForwardGain(MeasuredGainRule):
    """The measured gain of the signal."""

    code = "IC203"
    slug = "measured-forward-gain"
    title = "the weights do not explain how the signal grows or shrinks"
    direction = FORWARD
    what = (
        "The measured ratios q(h)/q(x) of a chain are multiplied and compared with the product"
        " that the weights predict. The rule reports a difference of more than a factor of two"
        " beyond the 99% band of chance, -B/2 ± 2.576 sqrt(B), where B sums (2 + V)/n over the"
        " layers (V is 3 for ReLU)."
    )
    why = (
        "What the weights do not explain is due to data, biases or saturation: other initial"
        " weights alone do not cure it."
    )
    example = (
        "Ten ReLU layers whose biases were initialized with N(0, 1): each adds to the signal"
        " what no kernel accounts for."
    )
    limits = (
        "The severity follows from the measured gain by the budgets of forward-gain. Not"
        " reported are gains within these budgets, gains that forward-gain reports already,"
        " single layers, and chains before a normalization, before a gate or beside a skip"
        " connection. The band was simulated for ReLU."
    )
    fix = (
        "Center and scale the input, and initialize biases with zeros. Look at saturated-units,"
        " too."
    )


class MeasuredBackwardGain(MeasuredGainRule):
    """The measured gain of the gradient."""

    code = "IC303"
    slug = "measured-backward-gain"
    title = "the weights do not explain how the gradient grows or shrinks"
    direction = BACKWARD
    what = (
        "As measured-forward-gain, for the ratios q(dL/dx)/q(dL/dh) of the gradient. They are"
        " measured with a random direction at the outputs if the probe used one."
    )
    why = (
        "The first layers receive a gradient of another size than the last ones, for a reason"
        " that the weights alone do not show."
    )
    example = (
        "Units that are switched off by their biases: their slope is zero, although the kernels"
        " are He's."
    )
    limits = (
        "As for measured-forward-gain. The band is the one of the forward direction, by the"
        " transposed argument."
    )
    fix = MeasuredForwardGain.fix


class MeasuredLayers(Rule):
    """Single layers that do not do what their weights predict."""

    code = "IC204"
    slug = "measured-layer"
    title = "the measured ratio of a layer is not the predicted one"
    what = (
        "The measured forward ratio of a layer differs from the predicted one by more than"
        " chance makes of the worst of so many layers, and by more than a factor of 1.25 (1.32"
        " where it is smaller, because chance has a long tail there)."
    )
    why = (
        "It shows where data, padding, biases or saturation have an effect, which alone does no"
        " harm."
    )
    example = (
        "The first convolution on photographs, whose neighboring pixels are alike: 1.1 to 1.5"
        " times the ratio of white noise."
    )
    limits = (
        "Always information, and one finding for the whole network. Heads and layers with an"
        " unknown activation are left out."
    )
    fix = "Nothing, as long as the gains are in order."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        sites = evidence.analysis.fans.sites
        is_judged = evidence.analysis.where(_is_judged)[sites]
        num_judged = int(np.count_nonzero(is_judged))
        excess = ln_excess(evidence, FORWARD)
        variance = evidence.measurement.log_ratio_variance[sites]
        scatter = largest_deviation(max(num_judged, 1)) * np.sqrt(variance)
        bound = np.maximum(scatter, LARGEST_QUIET)
        bound = np.where(excess + variance / 2.0 < 0.0, bound * LOWER_TAIL, bound)
        found = (is_judged & (np.abs(excess + variance / 2.0) > bound)).nonzero()[0]
        if not found.size:
            return
        worst = found[np.argmax(np.abs(excess[found]))]
        site = evidence.site(int(sites[worst]))
        names = [evidence.analysis.sites[index].name for index in sites[found].tolist()]
        yield self.finding(
            "info",
            f"{len(names)} of {num_judged} layers change the size of the signal otherwise than"
            f" their weights predict: {listed(names)}. `{site.name}` differs most: what it puts out"
            f" is {times_weaker_or_stronger(float(excess[worst]))} than predicted.",
            site=site,
            measured=site.forward_ratio,
            expected=number(site.predicted_forward_ratio or math.nan),
        )


def _is_judged(site: Site) -> bool:
    return site.kind == "weight" and not site.is_head and site.activation != UNKNOWN_ACTIVATION


LARGEST_QUIET = math.log(1.25)
LOWER_TAIL = 1.25
"""The log ratio of a layer has a long lower tail: below, the bound is a quarter wider."""
