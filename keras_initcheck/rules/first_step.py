"""Rules on the first step: an update that ruins the network, and updates that change nothing."""

import math
from collections.abc import Iterable

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.structure import Weight
from keras_initcheck.rules.head import uniform_loss
from keras_initcheck.rules.head_activation import CATEGORICAL, CROSSENTROPIES
from keras_initcheck.rules.label_rules import SCALED
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

GROWTH = 100.0
"""Factor on the loss from which no training comes back. Of those that were tried
(tests/benchmarks/first_step.py) none learned at 15 and more; one did at 9, and one was slow at 14.
"""
RISE = 1.5
"""The same where the update is as large as the weights: of such trainings none learned."""
REPLACED = 1.0
"""Relative update (median) from which a step replaces the weights."""
SATURATED = 0.9
"""Share of what a clipped cross-entropy costs at most; no training came back from there."""
LONGEST = 10_000
"""Steps that the first per cent of the loss may take where the plan is not known: all of it would
take a million.
"""
HOPELESS = 100.0
"""The same as a multiple, from which no training gets anywhere."""
FEWEST_PLANNED = 100
"""Steps of the shortest plan that is spoken of: shorter ones try whether everything runs."""
FIRST_PER_CENT = 0.01
LEARNED = 0.5
"""Share of guessing's loss below which a network is trained, and small steps are right."""
CLIPPED_LOSS = -math.log(1e-7)
"""Loss of a sample whose probability a cross-entropy has clipped, in nats; as Keras' epsilon."""
MOSTLY_BELOW = 0.9
"""Share of a gradient below epsilon from which a weight counts as one that it slows down."""
HARDLY_MOVES = 1e-4
"""Relative update of such a weight: it would take 10,000 steps to move it by its own size."""


def steps_to_first_per_cent(step: FirstStep) -> float:
    """Steps like the first one that take a hundredth off the loss; infinite if it does not fall.

    Momentum adds up a gradient that stays: it counts with `1 / (1 - momentum)`.
    """
    promised = -step.promised_change * _momentum_factor(step)
    return FIRST_PER_CENT * abs(step.loss_before) / promised if promised > 0 else math.inf


def _momentum_factor(step: FirstStep) -> float:
    return 1.0 / max(1.0 - step.momentum, 1e-3)


def guessing_loss(profile: Profile) -> float:
    """The loss of the best constant prediction; `nan` where it is not that of one known output."""
    if len(profile.outputs) != 1:
        return math.nan
    (output,) = profile.outputs
    if output.loss in CROSSENTROPIES:
        return uniform_loss(output)
    if output.loss not in SCALED:
        return math.nan
    is_absolute = output.loss == "mean_absolute_error"
    return output.labels.absolute_deviation if is_absolute else output.labels.deviation**2


def _optimizer(profile: Profile, step: FirstStep) -> str:
    """The optimizer with its rate: `SGD at a learning rate of 50`."""
    if math.isnan(step.learning_rate):
        return f"{profile.optimizer}"
    return f"{profile.optimizer} at a learning rate of {number(step.learning_rate)}"


class FirstStepDiverges(Rule):
    """An update after which the loss is lost."""

    code = "IC601"
    slug = "first-step-diverges"
    title = "the first update ruins the network"
    what = (
        "The compiled optimizer's own update, at its compiled learning rate, makes the loss on the"
        " same batch NaN, infinite, or more than 100 times as large as the larger of the loss"
        " before and guessing's; or, where a cross-entropy clips probabilities (at 1e-7 in Keras),"
        " nearly as large as it can get, and was not so before. A loss that becomes 1.5 times as"
        " large is a warning where the update is as large as the weights (median). The update is"
        " taken back."
    )
    why = (
        "Training goes on from there: weights that are NaN stay NaN, and samples whose probability"
        " is clipped get no gradient."
    )
    example = "SGD(50) on a classifier with Keras' defaults; SGD(0.1) and labels around 150,000."
    limits = (
        "One step on one batch, before the training. Rates that are too high by less only show"
        " later: a step that made the loss nine times larger trained well. A schedule that warms up"
        " counts with the largest rate of its first 1000 steps, and gives information alone: the"
        " weights may be ready for it by then."
    )
    fix = "Lower the learning rate."
    explained_by = (
        "nonfinite-weights",
        "forward-gain",
        "backward-gain",
        "nonfinite-activations",
        "nonfinite-gradients",
        "nonfinite-input",
        "nonfinite-loss",
        "loss-at-init",
        "input-scale",
        "label-scale",
        "column-scale",
        "vanishing-weights",
    )
    raises = ("input-scale", "label-scale", "column-scale")
    blames_optimizer = True

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        profile, step = evidence.profile, evidence.profile.first_step
        if step is None or not math.isfinite(step.loss_before):
            return
        guess = guessing_loss(profile)
        usual = max(abs(step.loss_before), 0.0 if math.isnan(guess) else guess)
        warning = RISE * usual
        # A loss that was there before the step is not its doing.
        error = min(GROWTH * usual, max(_saturated_loss(profile), warning))
        is_replaced = REPLACED <= _update(step) < math.inf
        is_error = not step.loss_after <= error  # also NaN
        if not is_error and not (is_replaced and step.loss_after > warning):
            return
        severity: Severity = "error" if is_error else "warning"
        yield self.finding(
            "info" if step.warms_up else severity,
            f"The first step of {_optimizer(profile, step)} {_change(step)}.",
            measured=step.loss_after,
            expected=f"below {number(error if is_error else warning)}",
            details=(
                f"The gradient promises a change of {number(step.promised_change)} to first order;"
                f" the update is {number(_update(step))} times as large as the weights (median)."
            ),
        )


def _change(step: FirstStep) -> str:
    return f"turns a loss of {number(step.loss_before)} into {_in_words(step.loss_after)}"


def _in_words(loss: float) -> str:
    return "NaN" if math.isnan(loss) else "infinity" if math.isinf(loss) else number(loss)


def _saturated_loss(profile: Profile) -> float:
    """The loss of a network that is sure of random guesses; infinite if nothing clips it.

    Penalties of weights come on top of the cross-entropy. On TensorFlow, Keras finds the logits
    again, and the loss has no largest value.
    """
    if len(profile.outputs) != 1 or profile.backend == "tensorflow":
        return math.inf
    (output,) = profile.outputs
    if output.loss not in CROSSENTROPIES or output.from_logits:
        return math.inf
    share_wrong = 1.0 - 1.0 / output.width if output.loss in CATEGORICAL else 0.5
    return SATURATED * share_wrong * CLIPPED_LOSS + (profile.regularization or 0.0)


class FirstStepNothing(Rule):
    """Updates that change nothing within any training."""

    code = "IC602"
    slug = "first-step-nothing"
    title = "the updates are too small to change anything"
    what = (
        "The compiled optimizer's own update, at its compiled learning rate, repeated for as many"
        " steps as the training plans (in fit; 10,000 where that is not known), would neither take"
        " a hundredth off the loss, to first order, nor move the weights by a hundredth of their"
        " size (median). Momentum counts as the sum of its updates."
    )
    why = "The training ends where it begins."
    example = "SGD(1e-8) on a classifier; labels of 1e-6 under a squared error."
    limits = (
        "Steps are counted as if all were like the first one. Silent after the first update, where"
        " the loss is below half of guessing's (a trained network moves little, for good reasons),"
        " for plans of fewer than 100 steps, and at a rate of zero, which a callback may raise."
    )
    fix = (
        "Raise the learning rate, unless clipping (clipnorm, clipvalue) or a large epsilon makes"
        " the updates small: then loosen that."
    )
    blames_optimizer = True
    explained_by = (
        "nonfinite-weights",
        "forward-gain",
        "backward-gain",
        "dead-layer",
        "no-gradient",
        "no-weight-gradient",
        "nonfinite-gradients",
        "loss-at-init",
        "below-epsilon",
    )
    raises = ("below-epsilon",)

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        profile, step = evidence.profile, evidence.profile.first_step
        if step is None or profile.step or not math.isfinite(step.promised_change):
            return
        plan = step.planned_steps or LONGEST
        guess = guessing_loss(profile)
        is_learned = step.loss_before == 0 or step.loss_before < LEARNED * guess
        is_waiting = step.learning_rate == 0
        if plan < FEWEST_PLANNED or is_learned or is_waiting or not _has_gradient(evidence):
            return
        needed, movement = steps_to_first_per_cent(step), _update(step) * _momentum_factor(step)
        if needed > plan and movement * plan < FIRST_PER_CENT:
            yield self._report(profile, step, needed)

    def _report(self, profile: Profile, step: FirstStep, needed: float) -> Finding:
        severity: Severity = "error" if needed > HOPELESS * LONGEST else "warning"
        if math.isinf(needed):
            message = f"A step of {_optimizer(profile, step)} changes nothing at all."
        else:
            message = (
                f"At the pace of its first step, {_optimizer(profile, step)} needs about"
                f" {number(float(f'{needed:.2g}'))} steps to take the first per cent off the loss."
            )
        if step.planned_steps:
            share = FIRST_PER_CENT * step.planned_steps / needed
            message += f" Your {number(step.planned_steps)} steps move it by {100 * share:.2g}%."
        return self.finding(
            severity,
            message,
            measured=needed,
            expected=f"below {number(step.planned_steps or LONGEST)} steps",
            details=(
                f"The gradient promises a change of {number(step.promised_change)} in a loss of"
                f" {number(step.loss_before)}; a step moves the weights by"
                f" {number(_update(step))} of their size (median)."
            ),
        )


def _has_gradient(evidence: Evidence) -> bool:
    """Whether any weight has a gradient: other rules report where none has."""
    norms = evidence.measurement.weight_gradient_norm
    return bool(np.any(norms[~np.isnan(norms)] > 0))


def _update(step: FirstStep) -> float:
    """Median relative update of the weights; infinite if none has one."""
    updates = [each for each in step.relative_updates if not math.isnan(each)]
    return float(np.median(updates)) if updates else math.inf


class BelowEpsilon(Rule):
    """Gradients that an adaptive optimizer takes for zero."""

    code = "IC603"
    slug = "below-epsilon"
    title = "gradients are smaller than the optimizer's epsilon"
    what = (
        "Nine tenths of the gradient of a kernel, apart from zeros, are smaller than the number"
        " (epsilon, or its root where the optimizer adds it to a square) that the optimizer adds to"
        " what it divides by, and its first update moves the kernel by less than 1/10,000 of its"
        " size."
    )
    why = (
        "Adam and its relatives divide a gradient by its own size, so that small gradients train as"
        " well as large ones. Below epsilon (1e-7 in Keras) they no longer do: the updates shrink"
        " with the gradient."
    )
    example = "A loss that is multiplied with 1e-9; a deep tanh network of N(0, 0.01²)."
    limits = (
        "The gradient of one batch, before the training. Optimizers without an epsilon are silent."
        " Information where half of the kernels or fewer are concerned, apart from those in"
        " branches beside a skip connection, whose scale moves first."
    )
    fix = "Multiply the loss with a number, or give the optimizer a smaller epsilon."
    explained_by = (
        "nonfinite-weights",
        "forward-gain",
        "backward-gain",
        "measured-forward-gain",
        "measured-backward-gain",
        "dead-layer",
        "no-gradient",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for all such kernels."""
        profile, step = evidence.profile, evidence.profile.first_step
        if step is None or profile.step or not step.shares_below_epsilon:
            return
        shares, updates = np.array(step.shares_below_epsilon), np.array(step.relative_updates)
        with np.errstate(invalid="ignore"):  # nan: not measured
            is_slow = (shares > MOSTLY_BELOW) & (updates < HARDLY_MOVES)
        weights = evidence.analysis.weights
        kernels = [place for place, weight in enumerate(weights) if weight.role == "kernel"]
        slow = [place for place in kernels if is_slow[place]]
        trained = [place for place in kernels if not math.isnan(updates[place])]
        if not slow:
            return
        layers = tuple(dict.fromkeys(weights[place].layer for place in slow))
        num_carrying = sum(not _is_in_branch(evidence, weights[place]) for place in slow)
        yield self.finding(
            "warning" if 2 * num_carrying > len(trained) else "info",
            f"The gradient of {listed(layers)} is smaller than the epsilon of {profile.optimizer},"
            " so that its updates shrink with the gradient.",
            layer=layers[0],
            culprits=layers,
            measured=float(np.max(updates[slow])),
            expected=f"updates of {HARDLY_MOVES:g} of a kernel's size or more",
        )


def _is_in_branch(evidence: Evidence, weight: Weight) -> bool:
    """Whether a weight is in a branch beside a skip connection.

    What scales the branch, such as LayerScale's 1e-6, moves first, and its gradient grows then.
    """
    site = evidence.site_of(weight)
    return site is not None and evidence.is_beside_skip(site)
