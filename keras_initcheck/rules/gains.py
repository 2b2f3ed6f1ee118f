"""Forward and backward gain: the product of the layers' ratios along each chain, from the weights
alone.
"""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.analysis.variance_factors import BACKWARD, FORWARD, Factor, chains
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules import budgets, initializers
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class GainRule(Rule):
    """What the two directions have in common.

    A chain counts in full, with these exceptions. The first layer on the data has no part in the
    backward gain, since no layer needs the gradient below it, and, if it is trained, none in a
    forward gain that shrinks: its factor multiplies the input's own scale (He et al. 2015, section
    2.2, let the product start at l = 2 for that reason), and its own gradient, which lacks that
    factor, lets it catch up at once. A frozen one cannot: of six layers with the first at a tenth,
    SGD took 2.9 times the steps, and at a hundredth it did not train
    (`tests/benchmarks/steps_to_learn.py --seeds 3`).

    A gain beyond the budget is information only (and nothing at all for a chain of one layer)
    where

    * a normalisation takes the scale out again: `BN((aW)u) = BN(Wu)` and
      `d BN((aW)u) / d(aW) = d BN(Wu) / dW / a` (Ioffe & Szegedy 2015, section 3.3). What reaches
      the next layer, and the gradient that reaches the one before, do not know the chain's scale;
    * its last layer is a gate, which is multiplied into another signal: its size is a choice
      between open and shut;
    * the chain shrinks beside a skip connection that carries signal and gradient, as
      zero-initialised residual branches do.
    """

    direction: ClassVar[str]
    quantity: ClassVar[str]

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each chain beyond the budget."""
        graph = Graph(profile)
        return [
            finding
            for run in chains(profile, self.direction)
            for finding in self._judge(profile, graph, run, thresholds)
        ]

    def _judge(
        self, profile: Profile, graph: Graph, run: Sequence[Factor], thresholds: Thresholds
    ) -> Iterable[Finding]:
        counted = [factor for factor in counted_factors(run, graph) if not factor.is_led_by_bias]
        ln_gain = math.fsum(factor.log_ratio for factor in counted)
        optimizer = budgets.optimizer_of(profile, [factor.site for factor in counted], thresholds)
        severity = budgets.severity(ln_gain, optimizer, thresholds)
        if severity is None:
            return
        excuse = _excuse(graph, counted[-1], ln_gain)
        if excuse and len(run) == 1:
            return
        culprits = main_contributors(counted, ln_gain, thresholds.culprit_share)
        site, cure = self._cure(profile, graph, culprits, thresholds)
        yield self.finding(
            "info" if excuse else severity,
            f"{self._message(counted, ln_gain, culprits)}{excuse}",
            site=site,
            why=self.why if excuse else f"{self.why} {budgets.cost(ln_gain, optimizer)}".rstrip(),
            fix="Nothing, as long as nothing overflows." if excuse else cure,
            measured=_power(ln_gain),
            expected=budgets.described(optimizer, thresholds),
            culprits=tuple(dict.fromkeys(culprit.site.layer for culprit in culprits)),
        )

    def _message(
        self, counted: Sequence[Factor], ln_gain: float, culprits: Sequence[Factor]
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
            f" {_power(ln_gain):.2g}. Most of it, as {culprits[0].formula}: {share}{rest}."
        )

    def _cure(
        self, profile: Profile, graph: Graph, culprits: Sequence[Factor], thresholds: Thresholds
    ) -> tuple[SiteStats, str]:
        """The site to begin with, and what the worst culprit of each activation needs."""
        worst = {culprit.site.activation: culprit for culprit in reversed(culprits)}
        advice = (
            initializers.advice(culprit, profile.kernels(culprit.site.layer))
            for culprit in reversed(worst.values())
        )
        return culprits[0].site, " ".join(dict.fromkeys(advice))


def counted_factors(run: Sequence[Factor], graph: Graph) -> list[Factor]:
    """The factors that count: all but that of the first layer on the data, unless on the way
    forward it amplifies or is frozen.
    """
    first = run[0]
    is_free = graph.is_fed_by_data(first.site) and (
        first.direction == BACKWARD or (first.ratio < 1.0 and first.site.is_trainable)
    )
    return list(run[1:] if is_free else run)


def main_contributors(
    run: Sequence[Factor], ln_gain: float, share: float = DEFAULTS.culprit_share
) -> list[Factor]:
    """The layers that spent the gain, worst first: as few as explain that share of what goes in its
    direction.
    """
    same = [factor for factor in run if factor.log_ratio * ln_gain > 0]
    same.sort(
        key=lambda factor: -round(abs(factor.log_ratio), 1)
    )  # equal ones stay in order, whatever chance made of them
    needed = share * math.fsum(abs(factor.log_ratio) for factor in same)
    found: list[Factor] = []
    while same and math.fsum(abs(factor.log_ratio) for factor in found) < needed:
        found.append(same.pop(0))
    return found


def _excuse(graph: Graph, last: Factor, ln_gain: float) -> str:
    if graph.is_normalised(last.site):
        return " A normalisation follows and takes the scale out again."
    if graph.is_gate(last.site):
        return " Its last layer is a gate, which opens or shuts another signal."
    if ln_gain < 0 and graph.is_beside_skip(last.site):
        return " It is a branch beside a skip connection, which carries the signal."
    return ""


def _power(ln_gain: float) -> float:
    return math.exp(ln_gain) if ln_gain < math.log(1e308) else math.inf


class ForwardGain(GainRule):
    """The signal on its way through the layers."""

    code = "IC102"
    slug = "forward-gain"
    title = "the weights blow up or drown the signal over several layers"
    direction = FORWARD
    quantity = "signal's second moment"
    what = (
        "The second moment of the signal is multiplied by n Var[w] E[f²]/E[z²] in every layer: ½ n"
        " Var[w] with ReLU. The rule multiplies these numbers, taken from the weights themselves,"
        " along each chain of layers without normalisation or merge, and speaks where the product"
        " leaves the budget of the compiled optimizer: beyond e^6 or e^-6 a warning and beyond e^12"
        " an error with SGD (or where nothing is compiled), 12 and 20 with adaptive optimizers such"
        " as Adam. These are the thresholds sgd_gain_warning and so on. Wrappers such as"
        " LossScaleOptimizer count as what they wrap, and of several optimizers that train a"
        " chain the one that bears least decides. The culprits are the layers that spent it."
    )
    why = (
        "Factors away from 1 multiply with depth (He et al. 2015, section 2.2): the last layers see"
        " a signal of another size, and so does the loss."
    )
    example = (
        "Thirteen 3x3 convolutions with ReLU and Keras' default glorot_uniform: ½ n Var[w] is 1/2,"
        " and 1/3 where the number of filters doubles. From the second to the thirteenth layer of"
        " VGG16 that is 2^-9 3^-3 = 7e-5 = e^-9.5: a warning with SGD."
    )
    limits = (
        "Heads are left out: no activation follows them. The first layer on the data counts only if"
        " it amplifies or is frozen, since its factor multiplies the input's own scale and training"
        " corrects it at once. A chain that a normalisation follows, that ends in a gate, or that"
        " shrinks beside a skip connection is information, or nothing if it is one layer. Layers"
        " without weights (pooling, dropout) and the sum over residual blocks are not part of the"
        " product, nor layers whose bias makes a good part of the pre-activation. The prediction"
        " assumes weights that are independent of the input. The budgets were measured on small"
        " networks and two small data sets: at e^-6 SGD took 1.4 to 2.9 times the steps, at e^-12 3"
        " to 11 times or more, and the easier the data, the less a gain cost Adam."
    )
    fix = (
        'Use the initialiser that fits the activation: "he_normal" with ReLU, "lecun_normal" with'
        ' SELU, "glorot_normal" with tanh.'
    )


class BackwardGain(GainRule):
    """The gradient on its way back."""

    code = "IC103"
    slug = "backward-gain"
    title = "the weights blow up or drown the gradient over several layers"
    direction = BACKWARD
    quantity = "gradient's second moment on its way back"
    what = (
        "The second moment of the gradient is multiplied by n̂ Var[w] E[f'²] in every layer on its"
        " way back: ½ n̂ Var[w] with ReLU, where n̂ counts the outputs that one input feeds. The"
        " rule multiplies these numbers along each chain without normalisation or merge and"
        " judges the product by the budgets of forward-gain. A stride is not counted: it spreads"
        " the gradient over more positions."
    )
    why = (
        "The first layers get a gradient of another size than the last ones (He et al. 2015,"
        " section 2.2; Glorot & Bengio 2010, section 4.2)."
    )
    example = (
        "Six hidden layers with sigmoid: its slope is at most 1/4, so that each layer with Glorot"
        " weights keeps 1/16 of the gradient's second moment at best. Five factors make e^-14: an"
        " error with SGD."
    )
    limits = (
        "As for forward-gain. The first layer on the data has no part in it: no layer needs the"
        " gradient below it. The budgets were measured on networks whose forward and backward gain"
        " were alike. In one whose gradient alone shrank, by e^-20, SGD took twice the steps and"
        " Adam no more, on data that may be too easy to need the lower layers."
    )
    fix = ForwardGain.fix

    def _cure(
        self, profile: Profile, graph: Graph, culprits: Sequence[Factor], thresholds: Thresholds
    ) -> tuple[SiteStats, str]:
        """Where the forward gain of the chain is out of its budget too, one initialiser cures
        both and is named there.
        """
        layers = {culprit.site.index for culprit in culprits}
        for run in chains(profile, FORWARD):
            forward = counted_factors(run, graph)
            ln_gain = math.fsum(factor.log_ratio for factor in forward)
            is_same = any(factor.site.index in layers for factor in forward)
            optimizer = budgets.optimizer_of(
                profile, [factor.site for factor in forward], thresholds
            )
            if is_same and budgets.severity(ln_gain, optimizer, thresholds) is not None:
                worst = main_contributors(forward, ln_gain, thresholds.culprit_share)
                names = dict.fromkeys(culprit.site.layer for culprit in worst)
                return (
                    worst[0].site,
                    (
                        f"The initialiser that cures {ForwardGain.code} ({ForwardGain.slug}) in"
                        f" {listed(names)} cures this too."
                    ),
                )
        return super()._cure(profile, graph, culprits, thresholds)
