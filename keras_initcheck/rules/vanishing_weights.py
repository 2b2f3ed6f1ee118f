"""Optimizers and constraints that take the weights away."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.rules import budgets
from keras_initcheck.rules.rule import Rule, listed, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number, times

FloatArray = npt.NDArray[np.float64]

DECAYS, VANISHES = 0.1, 0.3
"""Share of each weight that a step may take away before a warning, and an error. On digits 0.03
costs 3 to 5% of the accuracy, 0.1 leaves 0.74 (Adam) and 0.18 (SGD), and 0.3 nothing
(tests/benchmarks/rule_numbers.py --only decay).
"""
SMALLEST = 1e-30
"""Size, relative to the one before, that a weight of zero counts with."""


class VanishingWeights(Rule):
    """Weights that the first step takes away, whatever the data says."""

    code = "IC604"
    slug = "vanishing-weights"
    title = "weight decay or a constraint takes the weights away"
    what = (
        "The compiled optimizer's weight decay, times its rate, takes more than a tenth off each"
        " weight in every step (an error from 0.3 on). Or the first update, with the constraints"
        " that follow it, leaves kernels that are so much smaller that the product of these factors"
        " over a chain and the head, squared, is below the budgets of forward-gain."
    )
    why = (
        "What takes a weight away does not ask the data: the signal and the gradient shrink with"
        " the weights, until none of them is left. Three layers on digits reach an accuracy of 0.98"
        " with a decay of 1% a step, 0.74 (Adam) and 0.18 (SGD) with 10%, and 0.08 with 30%; and"
        " 0.99 with columns of norm 1, 0.6 with 0.3 and 0.13 with 0.1"
        " (tests/benchmarks/rule_numbers.py --only decay,norms)."
    )
    example = (
        "AdamW(0.001, weight_decay=300), where 0.004 is usual: 30% of each weight are gone with"
        ' the first step. Dense(64, "relu", kernel_constraint=MaxNorm(0.1)) four times: He\'s'
        " columns have a norm of 1.4."
    )
    limits = (
        "Needs the first step. Decay below a tenth a step may be too much as well, at low rates."
        " Kernels before a normalization, which removes their scale, do not count among those that"
        " a constraint makes smaller."
    )
    fix = "Use a smaller weight_decay: 0.004 is Keras' default in AdamW."
    fix_of_constraint = (
        "Loosen the constraint: a norm of about sqrt(2) for each unit is what He initialization"
        " gives, and MaxNorm(2) to MaxNorm(4) are usual."
    )
    explained_by = ("nonfinite-weights", "nonfinite-gradients", "nonfinite-input")
    blames_optimizer = True

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding on the decay at most, and else one on the constraints."""
        step = evidence.profile.first_step
        if step is None:
            return
        if step.decay > DECAYS and _is_moved(step):
            yield self._report_decay(evidence, step)
        elif len(step.relative_sizes) == len(evidence.analysis.weights):
            yield from self._judge_sizes(evidence, np.log(_sizes(evidence, step)), thresholds)

    def _report_decay(self, evidence: Evidence, step: FirstStep) -> Finding:
        gone = (
            "turns each weight into its opposite"
            if step.decay > 1.0
            else f"takes {percent(step.decay)} off each weight"
        )
        return self.finding(
            "error" if step.decay >= VANISHES else "warning",
            f"The weight decay of {evidence.profile.optimizer} {gone} in every step, whatever the"
            " data says.",
            measured=step.decay,
            expected=f"at most {number(DECAYS)} for weight_decay times the learning rate",
        )

    def _judge_sizes(
        self, evidence: Evidence, ln_sizes: FloatArray, thresholds: Thresholds
    ) -> Iterable[Finding]:
        weights = evidence.analysis.weights
        shrunk = np.flatnonzero(ln_sizes < ln_sizes.min(initial=0.0) / 2.0).tolist()
        ln_gain = _worst_gain(evidence, ln_sizes)
        optimizer = evidence.profile.optimizer
        severity = budgets.severity(ln_gain, optimizer, thresholds)
        if severity is None or not shrunk:
            return
        layers = tuple(dict.fromkeys(weights[place].layer for place in shrunk))
        worst = shrunk[int(np.argmin(ln_sizes[shrunk]))]
        size = math.exp(ln_sizes[worst])
        yield self.finding(
            severity,
            f"The first step leaves {listed(layers)} much smaller kernels: that of"
            f" `{weights[worst].layer}` becomes {number(1.0 / size)} times smaller, as a constraint"
            " makes it.",
            layer=layers[0],
            culprits=layers,
            measured=size,
            expected=f"factors whose product changes the signal by at most"
            f" {times(budgets.budget_of(optimizer, thresholds).warning)} times",
            fix=self.fix_of_constraint,
            details=f"The squares of the factors multiply to e^{ln_gain:.1f}.",
        )


def _is_moved(step: FirstStep) -> bool:
    """Whether the update is what the decay alone would make: it may leave all weights out."""
    updates = [each for each in step.relative_updates if not math.isnan(each)]
    return not updates or float(np.median(updates)) > 0.5 * min(step.decay, 1.0)


def _sizes(evidence: Evidence, step: FirstStep) -> FloatArray:
    """`(weights,)`, size of each kernel after the step over the one before; 1 if not judged."""
    sizes = np.array(step.relative_sizes, np.float64)
    sites = [evidence.site_of(weight) for weight in evidence.analysis.weights]
    is_judged = np.array(
        [
            weight.role == "kernel"
            and site is not None
            and site.kind == "weight"
            and not evidence.is_normalized[site.index]
            and not evidence.is_beside_skip(site)
            for weight, site in zip(evidence.analysis.weights, sites, strict=True)
        ],
        bool,
    )
    is_known = is_judged & (sizes >= 0.0) & (sizes < math.inf)
    found: FloatArray = np.where(is_known, np.maximum(sizes, SMALLEST), 1.0)
    return found


def _worst_gain(evidence: Evidence, ln_sizes: FloatArray) -> float:
    """`ln` of the smallest product of a chain's squared factors, with the smallest head's."""
    by_chain: dict[int | None, float] = {}
    for weight, ln_size in zip(evidence.analysis.weights, ln_sizes.tolist(), strict=True):
        site = evidence.site_of(weight)
        if site is not None and site.kind == "weight":
            before = by_chain.get(site.chain, 0.0)
            by_chain[site.chain] = min(before, ln_size) if site.chain is None else before + ln_size
    of_heads = by_chain.pop(None, 0.0)
    return 2.0 * (min([0.0, *by_chain.values()]) + of_heads)
