"""Batch normalizations that run by statistics which nothing has ever updated."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.site_kinds import SUM_TYPES, TRANSPARENT
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.structure import Site
from keras_initcheck.rules import budgets
from keras_initcheck.rules.rule import LARGEST_LOG, Rule, further
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number, times_weaker_or_stronger


class FrozenNormalization(Rule):
    """Batch normalization in inference mode with its initial statistics."""

    code = "IC212"
    slug = "frozen-normalization"
    title = "batch normalizations run by statistics that were never updated"
    what = (
        "A batch normalization in inference mode, which is frozen or called with training=False,"
        " subtracts its moving mean and divides by its moving standard deviation. At first these"
        " are 0 and 1, and the layer passes on what it gets. The rule compares the signal behind"
        " the last such layers with the size that a working normalization gives it, E[γ²] + E[β²]."
    )
    why = (
        "What is trained behind a signal of another size learns slowly, or not at all. A head on"
        " random features that are a hundred times too weak takes SGD 10 times the steps on digits,"
        " at rates up to 10, and at a four hundredth it does not learn in 400 steps. Adam makes up"
        " for that with a rate of 0.1 and more (tests/benchmarks/rule_numbers.py --only frozen)."
    )
    example = (
        "MobileNetV2(include_top=False, weights=None) with trainable=False and a new head: the"
        " features have a root mean square of 4e-12. Or a model of your own whose `call` has no"
        " argument `training`: fit then runs its batch normalizations in inference mode."
    )
    limits = (
        "Statistics that training or loaded weights have changed are not judged, and neither is a"
        " γ of zero. Information where the signal has a usable size. The budget is SGD's for every"
        " optimizer, since the head alone has to make up for it."
    )
    fix = "Load weights, or train the layer: trainable=True, and no training=False in its call."
    fix_of_usable = "Nothing, if random features are intended; else load weights, or train it."
    fix_of_trained = (
        "Give your model's `call` an argument `training`, without which Keras trains these layers"
        " in inference mode, and pass no training=False."
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        is_idle = evidence.is_idle_normalization
        if not is_idle.any():
            return
        is_last = is_idle & ~evidence.analysis.graph.comes_before(is_idle)
        departures = {
            index: _departure(evidence, evidence.analysis.sites[index])
            for index in is_last.nonzero()[0].tolist()
        }
        known = {index: each for index, each in departures.items() if not math.isnan(each)}
        if known:
            worst = max(known, key=lambda index: abs(known[index]))
            yield self._report(evidence, worst, known[worst], int(is_idle.sum()), thresholds)

    def _report(
        self, evidence: Evidence, index: int, ln_gain: float, count: int, thresholds: Thresholds
    ) -> Finding:
        site = evidence.analysis.sites[index]
        severity = budgets.severity(ln_gain, None, thresholds) or "info"
        usable = "" if severity != "info" else " The signal has a usable size."
        others = further(count - 1, "layer").removeprefix(", and in ")
        subject = f"`{site.name}` and {others} do" if others else f"`{site.name}` does"
        return self.finding(
            severity,
            f"{subject} not normalize: the signal is {times_weaker_or_stronger(ln_gain)} than"
            f" behind a working normalization.{usable} Batch normalization runs in inference mode"
            " there, and its moving statistics were never updated.",
            site=site,
            measured=math.exp(min(ln_gain, LARGEST_LOG)),
            expected=budgets.described(None, thresholds),
            fix=self._fix_of(site, severity),
            culprits=(site.layer,),
            details=f"The mean square behind `{site.name}` is {number(evidence.size(index))}, and"
            f" E[γ²] + E[β²] = {number(_working_size(evidence, site))}.",
        )

    def _fix_of(self, site: Site, severity: Severity) -> str:
        """A layer that is trained is in inference mode by the call; a frozen one by itself."""
        if site.is_trainable:
            return self.fix_of_trained
        return self.fix if severity != "info" else self.fix_of_usable


def _departure(evidence: Evidence, site: Site) -> float:
    """`ln` of the output's second moment over that of a working normalization.

    `nan` where one of them is not known, or a γ of zero shuts the layer. Behind a branch, it is the
    sum of branch and stream that counts.
    """
    sums = evidence.analysis.graph.reached(site.index, TRANSPARENT)
    are_sums = (each for each in sums if evidence.analysis.sites[each].layer_type in SUM_TYPES)
    size = max(map(evidence.size, (site.index, *are_sums)))
    expected = _working_size(evidence, site)
    return math.log(size / expected) if size > 0.0 and expected > 0.0 else math.nan


def _working_size(evidence: Evidence, site: Site) -> float:
    """`E[γ²] + E[β²]` of a normalization; 0 where γ is."""
    sizes = {"gamma": 1.0, "beta": 0.0}
    for weight in evidence.weights_of(site.layer):
        sizes[weight.name.rpartition("/")[2]] = weight.moments.second_moment
    return sizes["gamma"] + sizes["beta"] if sizes["gamma"] else 0.0
