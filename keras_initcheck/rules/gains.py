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
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.structure import Site
from keras_initcheck.rules import budgets, initializers
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.paths import FaultyPath, faulty_paths
from keras_initcheck.rules.rule import Causes, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import (
    change_in_words,
    number,
    sizes_in_words,
    times_weaker_or_stronger,
)

FloatArray = npt.NDArray[np.float64]

SMALL_BRANCH = " It is a branch beside a skip connection, which carries the signal."
ONE_SIGN = " The mean of these weights carries the signal that all samples share."
LEAST_CONFIRMED = 0.5
"""Share of a predicted logarithm that must be measured. By chance that of l ReLU layers of n units
has a standard deviation of `sqrt(5 l / n)`: 1.2 for 20 of 64, where the budgets begin at 6."""
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
    * the layers' measured ratios deny it, and the weights have mean zero, or nearly, as identities.
      Weights of one sign keep the signal's size and lose what tells samples apart;
    * the chain shrinks beside a skip connection that carries signal and gradient, as
      zero-initialized residual branches do.
    """

    direction: ClassVar[str]
    source: ClassVar[str]
    cure = Cure.RESCALE
    explained_by = ("frozen-normalization",)

    def is_explained_by(self, slug: str, finding: Finding, causes: Causes) -> bool:
        """Only a normalization between the ends of the chain would have kept the size."""
        return causes.rank(slug) >= finding.rank and causes.lies_within(slug, finding)

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain beyond the budget."""
        for chain in beyond_budget(evidence, self.direction, thresholds):
            yield from self._judge(evidence, chain, thresholds)
        for path in faulty_paths(evidence, self.direction, thresholds):
            if path.weights:
                yield self._report_path(evidence, path, thresholds)

    def _report_path(self, evidence: Evidence, path: FaultyPath, thresholds: Thresholds) -> Finding:
        """The finding on layers that are no chain, or of the user's own, and multiply as one."""
        ln_gain = path.gain.ln_gain
        site, fix = self._fix(evidence, path.weights, thresholds)
        ends = [path.first.name, path.last.name]
        return self.finding(
            path.severity,
            change_in_words(self.direction, ln_gain, ends, path.severity),
            site=site,
            span=(ends[0], ends[1]),
            details=self._details(path.weights, ln_gain, path.weights, ()),
            why=f"{self.why} {budgets.cost(ln_gain, path.optimizer)}".rstrip(),
            fix=fix,
            measured=_power(ln_gain),
            expected=budgets.described(path.optimizer, thresholds),
            culprits=tuple(dict.fromkeys(ratio.site.layer for ratio in path.weights)),
        )

    def _judge(self, evidence: Evidence, chain: int, thresholds: Thresholds) -> Iterable[Finding]:
        counted = counted_ratios(evidence, self.direction, chain)
        ln_gain = math.fsum(ratio.log_ratio for ratio in counted)
        optimizer = budgets.optimizer_of(evidence, [ratio.site for ratio in counted], thresholds)
        of_weights = ln_gain - math.fsum(ratio.log_unexplained for ratio in counted)
        for gain in (ln_gain, of_weights):
            if budgets.severity(gain, optimizer, thresholds) is None:
                return
        borne = _borne_gain(evidence, counted, ln_gain)
        severity = budgets.severity(borne, optimizer, thresholds)
        excuse = _excuse(evidence, counted[-1]) or ("" if severity else SMALL_BRANCH)
        if excuse and len(evidence.runs(self.direction).positions(chain)) == 1:
            return
        culprits = main_contributors(counted, ln_gain, thresholds.culprit_share)
        site, fix = self._fix(evidence, culprits, thresholds)
        shown: Severity = severity if severity and not excuse else "info"
        sizes = measured_ends(evidence, counted, self.direction)
        said = self._message(evidence, counted, ln_gain, shown, thresholds)
        if is_denied(evidence, counted, ln_gain):
            # Weights with a mean carry what all samples share; the rest is as predicted.
            is_left = self.direction == FORWARD and not all(each.is_centered for each in counted)
            shown = shown if is_left else "info"
            if is_left:
                said = said.replace("The signal", "What tells samples apart", 1) + ONE_SIGN
        yield self.finding(
            shown,
            f"{said}{excuse}",
            site=site,
            span=(counted[0].site.name, counted[-1].site.name),
            details=self._details(counted, ln_gain, culprits, sizes),
            why=self.why if excuse else f"{self.why} {budgets.cost(borne, optimizer)}".rstrip(),
            fix="Nothing, as long as nothing overflows." if excuse else fix,
            measured=_power(ln_gain),
            expected=budgets.described(optimizer, thresholds),
            culprits=tuple(dict.fromkeys(culprit.site.layer for culprit in culprits)),
        )

    def _message(
        self,
        evidence: Evidence,
        counted: Sequence[PredictedRatio],
        ln_gain: float,
        severity: Severity,
        thresholds: Thresholds,
    ) -> str:
        """The gain as measured, or as predicted where the measurement does not confirm it."""
        ends = [counted[0].site.name, counted[-1].site.name]
        sizes = measured_ends(evidence, counted, self.direction)
        measured = math.log(sizes[1] / sizes[0]) if sizes else math.nan
        if _is_alike(evidence, counted, measured, ln_gain, thresholds):
            return change_in_words(self.direction, measured, ends, severity)
        return change_in_words(self.direction, ln_gain, ends, severity) + _unconfirmed(measured)

    def _details(
        self,
        counted: Sequence[PredictedRatio],
        ln_gain: float,
        culprits: Sequence[PredictedRatio],
        sizes: Sequence[float],
    ) -> str:
        """The sizes at both ends, and the predicted gain as a product of the layers' ratios."""
        ends = [counted[0].site.name, counted[-1].site.name]
        share = ", ".join(f"`{culprit.site.name}` {culprit}" for culprit in culprits[:3])
        rest = f" and {len(culprits) - 3} more" if len(culprits) > 3 else ""
        layers = f"{len(counted)} layers" if len(counted) > 1 else "layer"
        return (
            f"{sizes_in_words(self.direction, sizes, ends)}The weights of the {layers} multiply the"
            f" mean square by e^{ln_gain:.1f} = {number(_power(ln_gain))}; the most of it, as"
            f" {culprits[0].formula}: {share}{rest} ({self.source})."
        )

    def _fix(
        self, evidence: Evidence, culprits: Sequence[PredictedRatio], thresholds: Thresholds
    ) -> tuple[Site, str]:
        """The site to begin with, and what the worst culprit of each activation needs."""
        worst = {culprit.site.activation: culprit for culprit in reversed(culprits)}
        return culprits[0].site, initializers.advice_for(evidence, [*worst.values()][::-1])


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


def _borne_gain(evidence: Evidence, counted: Sequence[PredictedRatio], ln_gain: float) -> float:
    """The logarithm of the gain that training has to bear."""
    if ln_gain < 0 and evidence.is_beside_skip(counted[-1].site):
        return budgets.branch_gain([ratio.log_ratio for ratio in counted])
    return ln_gain


def _excuse(evidence: Evidence, last: PredictedRatio) -> str:
    if evidence.is_normalized[last.site.index]:
        return " A normalization follows and removes the scale."
    if evidence.analysis.graph.is_gate[last.site.index]:
        return " Its last layer is a gate, which opens or shuts another signal."
    return ""


def measured_ends(
    evidence: Evidence, counted: Sequence[PredictedRatio], direction: str
) -> tuple[float, ...]:
    """The mean squares before the first layer and behind the last one, or the gradient's way back.

    Empty where they were not measured or are no numbers. Layers without weights in between have
    their part in them.
    """
    first, last = (evidence.site(counted[end].site.index) for end in (0, -1))
    if direction == FORWARD:
        before, after = first.activations.x, last.activations.h
    else:
        before, after = last.gradients.h, first.gradients.x
    sizes = [0.0 if moments is None else moments.second_moment for moments in (before, after)]
    return tuple(sizes) if all([0.0 < size < math.inf for size in sizes]) else ()


def _is_alike(
    evidence: Evidence,
    counted: Sequence[PredictedRatio],
    measured: float,
    ln_gain: float,
    thresholds: Thresholds,
) -> bool:
    """Whether a measured gain is beyond the budget in the direction that was predicted."""
    optimizer = budgets.optimizer_of(evidence, [ratio.site for ratio in counted], thresholds)
    is_beyond = budgets.severity(measured, optimizer, thresholds) is not None
    return is_beyond and measured * ln_gain > 0


def is_denied(evidence: Evidence, counted: Sequence[PredictedRatio], ln_gain: float) -> bool:
    """Whether each layer's ratio was measured, and their product is far from what was predicted.

    A product that chance has moved below the budget denies nothing.
    """
    numbers, direction = evidence.measurement, counted[0].direction
    ratios = numbers.forward_ratio if direction == FORWARD else numbers.backward_ratio
    found = ratios[[ratio.site.index for ratio in counted]]
    if not np.all((found > 0.0) & (found < math.inf)):
        return False
    return bool(float(np.log(found).sum()) / ln_gain < LEAST_CONFIRMED)


def _unconfirmed(measured: float) -> str:
    """What was measured where it is no gain beyond the budget."""
    if math.isnan(measured):
        return " The weights predict that; it was not measured."
    return f" The weights predict that; measured: {times_weaker_or_stronger(measured)}."


def _power(ln_gain: float) -> float:
    return math.exp(ln_gain) if ln_gain < math.log(1e308) else math.inf


class ForwardGain(GainRule):
    """The signal on its way through the layers."""

    code = "IC102"
    slug = "forward-gain"
    title = "the weights make the signal grow or shrink too much over several layers"
    direction = FORWARD
    source = "He et al. 2015, section 2.2"
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
        " that contribute most. By their measured ratios it judges layers with functions of the"
        " user's own between them, too, and layers of the user's own whose single matrix"
        " multiplies their input: what else is on such a path is the subject of path-gain."
    )
    why = (
        "The factors of the layers multiply: the last layers receive a signal of another size, and"
        " the loss follows it."
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
        " if it has a single layer. Beside a skip connection the product has to stay in the"
        " budget without its smallest layer. The product does not include layers without weights"
        " (pooling, dropout), the sum over residual blocks, or layers whose bias makes a good"
        " part of the pre-activation. A function in a model's call counts as an activation; where"
        " it scales by less than 1/40 or more than 1.5, as no activation does, path-gain and"
        " path-gradient judge it instead. The prediction assumes weights that are independent of"
        " the input. Where the measured ratios deny it, it is information, unless the weights have"
        " a mean: then it is about what tells samples apart. (Twenty ReLU layers that begin as"
        " identities learn the digits at once; six of 64 units from U(0, 0.05) do not.) The"
        " budgets were measured on small networks and two small data sets: at e^-6"
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
    source = "He et al. 2015, section 2.2; Glorot & Bengio 2010, section 4.2"
    what = (
        "On its way back, the second moment of the gradient is multiplied by n̂ Var[w] E[f'²]"
        " in every layer, which is ½ n̂ Var[w] with ReLU; n̂ is the number of outputs that one"
        " input feeds. The rule multiplies these ratios along each chain of layers without"
        " normalization or merge, and judges the product by the budgets of forward-gain. A"
        " stride is not counted: it spreads the gradient over more positions."
    )
    why = (
        "The first layers receive a gradient of another size than the last ones, and learn at"
        " another pace."
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

        Where forward-gain reports the same layers, what cures it there cures this too.
        """
        layers = {culprit.site.index for culprit in culprits}
        for chain in beyond_budget(evidence, FORWARD, thresholds):
            forward = counted_ratios(evidence, FORWARD, chain)
            if layers.isdisjoint(ratio.site.index for ratio in forward):
                continue
            for found in ForwardGain()._judge(evidence, chain, thresholds):
                if found.severity != "info":
                    return culprits[0].site, f"{found.fix} This follows from {found.code}."
        return super()._fix(evidence, culprits, thresholds)
