"""One layer's own factor: whose weights are to blame if a gain alarms."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION, Site
from keras_initcheck.rules.initializers import advice_for
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number, times
from keras_initcheck.theory.noise import static_tolerance

BoolArray = npt.NDArray[np.bool_]


class LayerRatio(Rule):
    """A hidden layer that does not keep the scale."""

    code = "IC104"
    slug = "layer-ratio"
    title = "the weights of a layer do not keep the scale of the signal or the gradient"
    what = (
        "The predicted ratio of a single layer, ½ n Var[w] (forward) or ½ n̂ Var[w] (backward)"
        " with the activation's own factor in place of ½, differs from 1 by more than a factor"
        " of 1.5, and by more than 4.5 standard deviations of what chance makes of so many"
        " weights (the thresholds layer_ratio_factor and layer_ratio_deviations). These ratios"
        " follow from the weights alone and hardly scatter."
    )
    why = (
        "One such layer is harmless, but the ratios of many multiply to the gains that"
        " forward-gain and backward-gain judge."
    )
    example = (
        "Dense(128, activation='relu') on 128 inputs with Keras' default glorot_uniform: ½ ·"
        " 128 · 1/128 = 0.5."
    )
    limits = (
        "One finding for the whole network, and always information: Keras' default Glorot"
        " weights with ReLU halve the second moment in every layer, and five such layers train as"
        " well as with He weights. Heads, gates, layers that are followed by a normalization or an"
        " unknown activation, and further calls of a shared layer are left out. The first layer"
        " on the data is judged in the forward direction only."
    )
    fix = (
        'Use the initializer that fits the activation: "he_normal" with ReLU, "lecun_normal"'
        ' with SELU, "glorot_normal" with tanh.'
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most, for all such layers."""
        directions = (FORWARD, BACKWARD)
        may_be_off = {each: self._may_be_off(evidence, each, thresholds) for each in directions}
        off: list[list[PredictedRatio]] = []
        for position in (may_be_off[FORWARD] | may_be_off[BACKWARD]).nonzero()[0].tolist():
            site = evidence.analysis.sites[evidence.analysis.fans.sites[position]]
            tolerance = _tolerance(evidence.kernels(site.layer), thresholds)
            ratios = [
                evidence.ratio(site, each) for each in directions if may_be_off[each][position]
            ]
            off.append([each for each in ratios if each and abs(each.log_ratio) > tolerance])
        if any(off):
            # The signal's ratio speaks for a layer where both are off.
            yield self._report(evidence, [ratios[0] for ratios in off if ratios], thresholds)

    def _may_be_off(self, evidence: Evidence, direction: str, thresholds: Thresholds) -> BoolArray:
        """`(weight layers,)`, whether a layer is judged and its ratio beyond the factor."""
        analysis, ratios = evidence.analysis, evidence.ratios(direction)
        sites = analysis.fans.sites
        is_judged = analysis.where(_is_reportable) & ~evidence.is_normalized
        is_judged &= ~analysis.graph.is_gate
        if direction == BACKWARD:
            is_judged &= ~analysis.graph.is_fed_by_data
        is_far = np.abs(ratios.log_ratio) > math.log(thresholds.layer_ratio_factor)
        found: BoolArray = is_judged[sites] & is_far & ratios.is_known & ~ratios.is_led_by_bias
        return found

    def _report(
        self, evidence: Evidence, off: list[PredictedRatio], thresholds: Thresholds
    ) -> Finding:
        # Equal ones stay in order, whatever chance made of them.
        worst = sorted(off, key=lambda ratio: -round(abs(ratio.log_ratio), 1))
        by_activation = {ratio.site.activation: ratio for ratio in reversed(worst)}
        harmless = "harmless by itself" if len(off) == 1 else "harmless by themselves"
        factor = math.sqrt(thresholds.layer_ratio_factor)
        return self.finding(
            "info",
            f"{'; '.join(_in_words(off))}. {harmless.capitalize()}.",
            site=worst[0].site,
            fix=advice_for(evidence, [*by_activation.values()][::-1]),
            details=f"Mean squares, as {worst[0].formula}: {_factors(worst)}.",
            measured=worst[0].ratio,
            expected=f"at most {number(factor)} times weaker or stronger",
            culprits=tuple(ratio.site.layer for ratio in off),
        )


def _in_words(off: Sequence[PredictedRatio]) -> Iterator[str]:
    """What the layers do, one clause for each direction and sign."""
    for direction, subject in ((FORWARD, "signal"), (BACKWARD, "gradient")):
        for sign, change in ((-1.0, "weaker"), (1.0, "stronger")):
            found = [
                ratio
                for ratio in off
                if ratio.direction == direction and ratio.log_ratio * sign > 0.0
            ]
            if found:
                sizes = sorted((ratio.log_ratio for ratio in found), key=abs)
                least, most = times(sizes[0]), times(sizes[-1])
                extent = most if least == most else f"{least} to {most}"
                each = " each" if len(found) > 1 else ""
                yield (
                    f"{len(found)} layer{'s make' if each else ' makes'} the {subject} {extent}"
                    f" times {change}{each}: {listed(ratio.site.name for ratio in found)}"
                )


def _factors(worst: Sequence[PredictedRatio]) -> str:
    shown = [f"`{ratio.site.name}` {ratio}" for ratio in worst[:MOST_FACTORS]]
    more = len(worst) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


MOST_FACTORS = 6
"""Layers whose factors are shown."""


def _is_reportable(site: Site) -> bool:
    """Whether it is the first call of a hidden layer with a known activation."""
    return not site.is_head and site.name == site.layer and site.activation != UNKNOWN_ACTIVATION


def _tolerance(kernels: Sequence[WeightStats], thresholds: Thresholds) -> float:
    """Largest `|ln(ratio)|` that chance and preference explain.

    `max(ln 1.5, 4.5 sqrt(2 / number of weights))` of the smallest kernel.
    """
    limits = {
        "factor": thresholds.layer_ratio_factor,
        "standard_deviations": thresholds.layer_ratio_deviations,
    }
    return max(static_tolerance(kernel.moments.num_elements, **limits) for kernel in kernels)
