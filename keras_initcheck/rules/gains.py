"""Forward and backward gain: the product of the ratios along each chain, from the weights alone."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.structure import Site
from keras_initcheck.rules import budgets, initializers
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

FloatArray = npt.NDArray[np.float64]

ROUNDING = 1e-6
"""Largest difference that the order of addition makes of a sum of logarithms."""


class GainRule(Rule):
    """Common part of the rules on the two directions.

    A chain counts in full, with these exceptions. The first layer on the data has no part in the
    backward gain, since no layer needs the gradient below it, and, if it is trained, none in a
    forward gain that shrinks: its factor multiplies the input's own scale (He et al. 2015, section
    2.2, let the product start at l = 2 for that reason), and its own gradient, which lacks that
    factor, lets it catch up at once. A frozen one cannot: of six layers with the first at a tenth,
    SGD took 2.9 times the steps, and at a hundredth it did not train
    (`tests/benchmarks/steps_to_learn.py --seeds 3`).

    A gain beyond the budget is information only (and nothing at all for a chain of one layer) where

    * a normalization removes the scale: `BN((aW)u) = BN(Wu)` and
      `d BN((aW)u) / d(aW) = d BN(Wu) / dW / a` (Ioffe & Szegedy 2015, section 3.3). Neither what
      reaches the next layer nor the gradient that reaches the one before depends on the chain's
      scale;
    * its last layer is a gate, which is multiplied into another signal: its size is a choice
      between open and shut;
    * the chain shrinks beside a skip connection that carries signal and gradient, as
      zero-initialized residual branches do.
    """

    direction: ClassVar[str]
    quantity: ClassVar[str]
    cure = Cure.RESCALE

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain beyond the budget."""
        for number in beyond_budget(evidence, self.direction, thresholds):
            yield from self._judge(evidence, number, thresholds)

    def _judge(self, evidence: Evidence, number: int, thresholds: Thresholds) -> Iterable[Finding]:
        counted = counted_ratios(evidence, self.direction, number)
        ln_gain = math.fsum(ratio.log_ratio for ratio in counted)
        optimizer = budgets.optimizer_of(evidence, [ratio.site for ratio in counted], thresholds)
        severity = budgets.severity(ln_gain, optimizer, thresholds)
        if severity is None:
            return
        excuse = _excuse(evidence, counted[-1], ln_gain)
        if excuse and len(evidence.runs(self.direction).positions(number)) == 1:
            return
        culprits = main_contributors(counted, ln_gain, thresholds.culprit_share)
        site, fix = self._fix(evidence, culprits, thresholds)
        yield self.finding(
            "info" if excuse else severity,
            f"{self._message(counted, ln_gain, culprits)}{excuse}",
            site=site,
            why=self.why if excuse else f"{self.why} {budgets.cost(ln_gain, optimizer)}".rstrip(),
            fix="Nothing, as long as nothing overflows." if excuse else fix,
            measured=_power(ln_gain),
            expected=budgets.described(optimizer, thresholds),
            culprits=tuple(dict.fromkeys(culprit.site.layer for culprit in culprits)),
        )

    def _message(
        self, counted: Sequence[PredictedRatio], ln_gain: float, culprits: Sequence[PredictedRatio]
    ) -> str:
        first, last = counted[0].site.name, counted[-1].site.name
        where = (
            f"In `{first}`"
            if len(counted) == 1
            else f"Over {len(counted)} layers, `{first}` to `{last}`,"
        )
        share = ", ".join(f"`{culprit.site.name}` {culprit}" for culprit in culprits[:3])
        rest = f" and {len(culprits) - 3} more" if len(culprits) > 3 else ""
        return (
            f"{where} the weights multiply the {self.quantity} by e^{ln_gain:.1f} ="
            f" {_power(ln_gain):.2g}. The largest contributions, as"
            f" {culprits[0].formula}: {share}{rest}."
        )

    def _fix(
        self, evidence: Evidence, culprits: Sequence[PredictedRatio], thresholds: Thresholds
    ) -> tuple[Site, str]:
        """The site to begin with, and what the worst culprit of each activation needs."""
        worst = {culprit.site.activation: culprit for culprit in reversed(culprits)}
        advice = (
            initializers.advice(culprit, evidence.kernels(culprit.site.layer))
            for culprit in reversed(worst.values())
        )
        return culprits[0].site, " ".join(dict.fromkeys(advice))


def beyond_budget(
    evidence: Evidence,
    direction: str,
    thresholds: Thresholds,
    log_ratios: FloatArray | None = None,
    *,
    are_led_by_biases: bool = False,
) -> list[int]:
    """Numbers of the runs whose gain may leave the budget.

    Whether it does follows from the ratios one by one, and from the optimizer of the run's layers.

    Args:
        evidence: The evidence.
        direction: `"forward"` or `"backward"`.
        thresholds: The budgets.
        log_ratios: `(weight layers,)`, the predicted ones unless given.
        are_led_by_biases: Whether to count layers that are led by their bias.
    """
    ratios = evidence.ratios(direction)
    values = ratios.log_ratio if log_ratios is None else log_ratios
    if not are_led_by_biases:
        values = np.where(ratios.is_led_by_bias, 0.0, values)
    ln_gains = evidence.runs(direction).sums(values)
    least = budgets.smallest_warning(evidence, thresholds) - ROUNDING
    found: list[int] = (np.abs(ln_gains) > least).nonzero()[0].tolist()
    return found


def counted_ratios(evidence: Evidence, direction: str, number: int) -> list[PredictedRatio]:
    """The ratios of a run that count and are not led by a bias."""
    counted = evidence.run(direction, number, counted=True)
    return [ratio for ratio in counted if not ratio.is_led_by_bias]


def main_contributors(
    run: Sequence[PredictedRatio], ln_gain: float, share: float = DEFAULTS.culprit_share
) -> list[PredictedRatio]:
    """The layers that contributed most to a gain, worst first.

    As few as explain that share of what goes in its direction.
    """
    same = [ratio for ratio in run if ratio.log_ratio * ln_gain > 0]
    # Equal ones stay in order, whatever chance made of them.
    same.sort(key=lambda ratio: -round(abs(ratio.log_ratio), 1))
    sizes = [abs(ratio.log_ratio) for ratio in same]
    needed = share * math.fsum(sizes)
    count = bisect_left(range(len(same)), needed, key=lambda num: math.fsum(sizes[:num]))
    return same[:count]


def _excuse(evidence: Evidence, last: PredictedRatio, ln_gain: float) -> str:
    if evidence.is_normalized[last.site.index]:
        return " A normalization follows and removes the scale."
    if evidence.analysis.graph.is_gate[last.site.index]:
        return " Its last layer is a gate, which opens or shuts another signal."
    if ln_gain < 0 and evidence.is_beside_skip(last.site):
        return " It is a branch beside a skip connection, which carries the signal."
    return ""


def _power(ln_gain: float) -> float:
    return math.exp(ln_gain) if ln_gain < math.log(1e308) else math.inf


class ForwardGain(GainRule):
    """The signal on its way through the layers."""

    code = "IC102"
    slug = "forward-gain"
    title = "the weights make the signal grow or shrink too much over several layers"
    direction = FORWARD
    quantity = "signal's second moment"
    what = (
        "Every layer multiplies the second moment of the signal by n Var[w] E[f²]/E[z²], which"
        " is ½ n Var[w] with ReLU. The rule takes these ratios from the weights themselves,"
        " multiplies them along each chain of layers without normalization or merge, and reports"
        " a product that leaves the budget of the compiled optimizer. With SGD, or where nothing"
        " is compiled, that is a warning beyond e^6 or e^-6 and an error beyond e^12 or e^-12;"
        " with adaptive optimizers such as Adam the exponents are 12 and 20. The thresholds are"
        " sgd_gain_warning, sgd_gain_error, adaptive_gain_warning and adaptive_gain_error. A"
        " wrapper such as LossScaleOptimizer counts as the optimizer inside it; where several"
        " optimizers train a chain, the smallest budget applies. The culprits are the layers"
        " that contribute most."
    )
    why = (
        "Ratios away from 1 multiply with depth (He et al. 2015, section 2.2): the last layers"
        " receive a signal of another size, and the loss follows it."
    )
    example = (
        "Thirteen 3x3 convolutions with ReLU and Keras' default glorot_uniform: ½ n Var[w] is"
        " 1/2, and 1/3 where the number of filters doubles. From the second to the thirteenth"
        " layer of VGG16 the product is 2^-9 3^-3 = 7e-5 = e^-9.5: a warning with SGD."
    )
    limits = (
        "Heads are left out: no activation follows them. The first layer on the data counts"
        " only if it amplifies or is frozen, since its ratio multiplies the input's own scale"
        " and training corrects it at once. A chain that is followed by a normalization, ends in"
        " a gate, or shrinks beside a skip connection is information, and is not reported at all"
        " if it has a single layer. The product does not include layers without weights"
        " (pooling, dropout), the sum over residual blocks, or layers whose bias makes a good"
        " part of the pre-activation. The prediction assumes weights that are independent of the"
        " input. The budgets were measured on small networks and two small data sets: at e^-6"
        " SGD took 1.4 to 2.9 times the steps, at e^-12 3 to 11 times or more, and the easier"
        " the data, the less a gain cost Adam."
    )
    fix = (
        'Use the initializer that fits the activation: "he_normal" with ReLU, "lecun_normal"'
        ' with SELU, "glorot_normal" with tanh.'
    )


class BackwardGain(GainRule):
    """The gradient on its way back."""

    code = "IC103"
    slug = "backward-gain"
    title = "the weights make the gradient grow or shrink too much over several layers"
    direction = BACKWARD
    quantity = "gradient's second moment on its way back"
    what = (
        "On its way back, the second moment of the gradient is multiplied by n̂ Var[w] E[f'²]"
        " in every layer, which is ½ n̂ Var[w] with ReLU; n̂ is the number of outputs that one"
        " input feeds. The rule multiplies these ratios along each chain of layers without"
        " normalization or merge, and judges the product by the budgets of forward-gain. A"
        " stride is not counted: it spreads the gradient over more positions."
    )
    why = (
        "The first layers receive a gradient of another size than the last ones (He et al."
        " 2015, section 2.2; Glorot & Bengio 2010, section 4.2)."
    )
    example = (
        "Six hidden layers with sigmoid: its slope is at most 1/4, so that each layer with"
        " Glorot weights keeps 1/16 of the gradient's second moment at best. Five ratios make"
        " e^-14: an error with SGD."
    )
    limits = (
        "As for forward-gain. The first layer on the data does not count: no layer needs the"
        " gradient below it. The budgets were measured on networks whose forward and backward"
        " gains were alike. In a network whose gradient alone shrank, by e^-20, SGD took twice"
        " the steps and Adam no more, on data that may be too easy to need the lower layers."
    )
    fix = ForwardGain.fix

    def _fix(
        self, evidence: Evidence, culprits: Sequence[PredictedRatio], thresholds: Thresholds
    ) -> tuple[Site, str]:
        """The site to report and its fix.

        If the forward gain of the same chain is over budget, the fix refers to that finding.
        """
        layers = {culprit.site.index for culprit in culprits}
        for number in beyond_budget(evidence, FORWARD, thresholds, are_led_by_biases=True):
            forward = evidence.run(FORWARD, number, counted=True)
            ln_gain = math.fsum(ratio.log_ratio for ratio in forward)
            sites = [ratio.site for ratio in forward]
            optimizer = budgets.optimizer_of(evidence, sites, thresholds)
            is_over_budget = budgets.severity(ln_gain, optimizer, thresholds) is not None
            if is_over_budget and not layers.isdisjoint(site.index for site in sites):
                worst = main_contributors(forward, ln_gain, thresholds.culprit_share)
                names = dict.fromkeys(culprit.site.layer for culprit in worst)
                return (
                    worst[0].site,
                    (
                        f"The initializer that cures {ForwardGain.code} ({ForwardGain.slug}) in"
                        f" {listed(names)} cures this too."
                    ),
                )
        return super()._fix(evidence, culprits, thresholds)
