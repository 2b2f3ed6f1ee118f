"""Rules on a trial: a network that does not learn in it, and one whose loss runs away.

`told` puts what the trial shows beside every other warning.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.trial import Trial
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

CAUSES = (
    "nonfinite-weights",
    "nonfinite-input",
    "nonfinite-activations",
    "nonfinite-gradients",
    "nonfinite-loss",
    "forward-gain",
    "backward-gain",
    "measured-forward-gain",
    "measured-backward-gain",
    "path-gain",
    "path-gradient",
    "through-time",
    "dead-layer",
    "no-gradient",
    "no-weight-gradient",
    "nothing-to-train",
    "zero-kernel",
    "constant-kernel",
    "collapsed-samples",
    "dead-units",
    "saturated-units",
    "drowning-biases",
    "input-scale",
    "column-scale",
    "label-scale",
    "labels-out-of-range",
    "embedding-indices",
    "loss-at-init",
    "head-and-loss",
    "hidden-softmax",
    "strong-regularization",
    "first-step-diverges",
    "first-step-nothing",
    "below-epsilon",
    "vanishing-weights",
    "heavy-dropout",
    "identical-inputs",
)
"""Findings that explain why a network does not train."""


class DoesNotLearn(Rule):
    """A loss that stays where it was for all steps of a trial."""

    code = "IC605"
    slug = "does-not-learn"
    title = "the network does not learn in a trial"
    what = (
        "In so many real steps of the model's own training, made on its data and taken back, the"
        " level of the loss did not fall: by less than 1.5 standard errors, where four of them are"
        " less than a fiftieth of the loss, or where the loss stays above twice that of guessing."
        " Levels are medians of the first and of the last fifth of the steps. Or its updates would"
        " not move the weights by a hundredth of their size (median) in 10,000 steps."
    )
    why = "Something keeps the optimizer from its goal, and more steps rarely change that."
    example = "A learning rate of 1e-7; a network that is dead from the first step on."
    limits = (
        "Asked for by trial_steps. A deep network may need more steps before its loss moves: what"
        " is only hidden by noise, what falls by little, and a learning rate that still warms up"
        " are no findings. Silent on a model that was trained before, whose loss may have come to"
        " its end."
    )
    fix = "Follow the other findings; without any, try ten times the learning rate, and a tenth."
    blames_optimizer = True
    explained_by = CAUSES

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        profile, trial = evidence.profile, evidence.profile.trial
        if trial is None or profile.step or trial.verdict != "does not learn":
            return
        yield self.finding(
            "warning",
            _sentence(trial),
            measured=trial.end,
            expected=f"a loss that falls below {trial.start:.3g}",
        )


class Diverges(Rule):
    """A loss that runs away within a trial."""

    code = "IC606"
    slug = "trial-diverges"
    title = "the loss runs away in a trial"
    what = (
        "In so many real steps of the model's own training, made on its data and taken back, the"
        " loss becomes NaN or infinite and stays so, or its level ends above twice the larger of"
        " the first loss and guessing's."
    )
    why = "A training goes the same way: weights that are NaN stay NaN."
    example = "SGD(1.0) on a residual network without normalization."
    limits = "Asked for by trial_steps. A rate that is too high by less may show later."
    fix = "Lower the learning rate, or clip the gradient (clipnorm=1.0)."
    blames_optimizer = True
    explained_by = tuple(slug for slug in CAUSES if slug != "first-step-nothing")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        trial = evidence.profile.trial
        if trial is None or trial.verdict != "diverges":
            return
        last = trial.losses[-1] if trial.losses else math.nan
        yield self.finding(
            "warning" if math.isfinite(last) else "error",
            _sentence(trial),
            measured=trial.end if math.isfinite(last) else last,
            expected="a loss that falls",
        )


def _sentence(trial: Trial) -> str:
    optimizer = f" with {trial.optimizer}" if trial.optimizer else ""
    return f"In a trial of {trial.num_steps} steps{optimizer}, {trial.reason}."


def told(finding: Finding, trial: Trial | None) -> Finding:
    """A warning or an error with what the trial shows: that it holds, or that the network learns.

    The finding stays: fifty steps are no training.
    """
    is_own = finding.code in (DoesNotLearn.code, Diverges.code)
    if trial is None or finding.severity == "info" or is_own:
        return finding
    if not trial.learns and not trial.fails:
        return finding
    shown = "contradicts it" if trial.learns else "confirms it"
    text = f"A trial of {trial.num_steps} steps {shown}: {trial.reason}."
    return replace(finding, message=f"{finding.message} {text}")
