"""Weights that training does not move: without a gradient, or not trainable at all."""

from collections.abc import Iterable, Sequence

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.moment_rows import are_zero
from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SIZE, H
from keras_initcheck.records.structure import Weight
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.head import uniform_loss
from keras_initcheck.rules.head_activation import CROSSENTROPIES
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number
from keras_initcheck.rules.zero_weights import (
    gets_no_gradient,
    have_no_size,
    is_offset,
    moves,
    zero_weights,
)

CLIPPED_PROBABILITY = 1e-7
"""Keras' losses clip probabilities so far from 0 and 1 (`keras.config.epsilon()`)."""
LEARNED_LOSS = 1e-6
"""Loss at which a classifier is right of every sample: clipped probabilities leave 1.2e-7."""

NO_LABELS = "All its labels are zero, and such rows count for nothing."
NO_SAMPLE_WEIGHTS = "The weighted loss is zero: every sample weight is zero."


class NoWeightGradient(Rule):
    """Trainable weights that the loss's gradient does not reach."""

    code = "IC304"
    slug = "no-weight-gradient"
    title = "trainable weights get no gradient from the loss"
    what = (
        "The gradient of the loss is exactly zero for every value of a trainable variable: a"
        " warning where other variables receive one, an error where none does."
    )
    why = "These weights are not trained: the path to the loss is cut, or never existed."
    why_of_all = "No step of any optimizer changes anything, at any learning rate."
    example = (
        "A branch behind ops.stop_gradient, an output without a loss, a layer that is built but"
        " whose result is not used. All weights at once: four convolutions with N(0, 1) weights"
        " and a softmax, whose probabilities are 0 and 1; the loss clips them, and its slope is"
        " zero there (on JAX and torch; TensorFlow finds the logits again)."
    )
    limits = (
        "Needs labels and a compiled loss. Information where a kernel, scale or gate of the"
        " model is zero on purpose (Fixup, ReZero, zero gamma) and receives a gradient itself:"
        " what lies behind it receives one after the first step. Information as well where no"
        " weight receives one because the loss is next to zero already. Biases are left out,"
        " and where they alone receive a gradient, the findings on dead layers and zero kernels"
        " tell. A single sample is not judged where batch normalization or a silent layer keeps"
        " its gradient. A regularization that is part of the loss hides the loss of gradient."
    )
    fix = "Connect the layer to the loss, or set trainable=False if it is intended."
    fix_of_clipped = (
        "Draw the weights so that the logits are about 1 in size (kernel_initializer="
        '"he_normal" with ReLU), or pass logits to the loss (from_logits=True).'
    )
    fix_of_all = (
        "Look for an operation without a slope between the weights and the loss (argmax, round,"
        " stop_gradient), for masks that hide every label, and for loss weights of zero."
    )
    cure = Cure.RESCALE
    explained_by = (
        "nonfinite-input",
        "nonfinite-weights",
        "nonfinite-activations",
        "nonfinite-gradients",
        "zero-kernel",
        "dead-layer",
        "uniform-attention",
        "no-gradient",
        "head-and-loss",
    )
    raises = ("loss-at-init", "head-and-loss", "saturated-units", "forward-gain", "input-scale")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        gradients = evidence.measurement.weight_gradients
        analysis = evidence.analysis
        is_trained = analysis.is_trained_weight & ~analysis.is_bias & (gradients[:, SIZE] >= 0)
        is_without = is_trained & have_no_size(gradients)
        without = [analysis.weights[position] for position in is_without.nonzero()[0].tolist()]
        num_trained = int(np.count_nonzero(is_trained))
        if without and len(without) < num_trained:
            yield self._report_some(evidence, without, num_trained)
        elif without and not _is_excused(evidence):
            yield self._report_all(evidence, without)

    def _report_some(
        self, evidence: Evidence, without: Sequence[Weight], num_trained: int
    ) -> Finding:
        analysis = evidence.analysis
        is_meant = any(
            moves(evidence, position) and not is_offset(analysis.weights[position])
            for position in zero_weights(evidence, analysis.is_trained_weight & ~analysis.is_bias)
        )
        layers = tuple(dict.fromkeys(weight.layer for weight in without))
        return self.finding(
            "info" if is_meant else "warning",
            f"{len(without)} of {num_trained} trainable weights receive no gradient:"
            f" {listed(weight.name for weight in without)}."
            + (
                " Weights that are zero on purpose can cause that until the first step."
                if is_meant
                else ""
            ),
            site=evidence.site_of(without[0]),
            layer=layers[0],
            measured=0.0,
            expected="a gradient",
            culprits=layers,
        )

    def _report_all(self, evidence: Evidence, without: Sequence[Weight]) -> Finding:
        """The finding where no weight receives a gradient."""
        outputs, loss = evidence.profile.outputs, evidence.profile.loss
        is_learned = bool(outputs) and all(map(_is_learned, outputs))
        clipped = [output for output in outputs if _is_clipped(output)]
        if is_learned:
            cause, fix = "The loss of this batch is next to zero already.", "Nothing."
        elif clipped:
            cause, fix = _clipped_sentence(clipped[0]), self.fix_of_clipped
        else:
            cause, fix = _masked_sentence(outputs, loss), self.fix_of_all
        return self.finding(
            "info" if is_learned else "error",
            f"No trainable weight receives a gradient from the loss. {cause}".rstrip(),
            why=self.why_of_all,
            fix=fix,
            site=None,
            measured=0.0,
            expected="a gradient",
            culprits=tuple(dict.fromkeys(weight.layer for weight in without)),
        )


def _is_excused(evidence: Evidence) -> bool:
    """Whether a bias is trained still, or one sample alone makes the gradient zero."""
    if not gets_no_gradient(evidence):
        return True
    is_silent = are_zero(evidence.measurement.activations[:, H])
    return evidence.profile.batch_size == 1 and bool(
        is_silent.any() or any("BatchNorm" in site.layer_type for site in evidence.analysis.sites)
    )


def _is_learned(output: OutputStats) -> bool:
    """Whether nothing is left to learn on the batch.

    Labels that are all zero are masked classes, and no success.
    """
    is_masked = output.loss == "categorical_crossentropy" and output.labels.maximum == 0.0
    return abs(output.value) <= LEARNED_LOSS and not is_masked


def _is_clipped(output: OutputStats) -> bool:
    """Whether the loss clips probabilities of an output that is wrong."""
    extremes = (output.minimum, 1.0 - output.maximum)
    return (
        output.loss in CROSSENTROPIES
        and not output.from_logits
        and output.value > LEARNED_LOSS
        and max(extremes) <= CLIPPED_PROBABILITY
    )


def _clipped_sentence(output: OutputStats) -> str:
    made = f"The {output.activation} of" if output.activation else "The output"
    return (
        f"{made} `{output.name}` gives 0 or 1, and the loss, {number(output.value)} where guessing"
        f" costs {number(uniform_loss(output))}, clips both: its slope is zero there."
    )


def _masked_sentence(outputs: Sequence[OutputStats], loss: float | None) -> str:
    """What hides the labels; empty where that is not known."""
    extents = {(output.labels.minimum, output.labels.maximum) for output in outputs}
    if extents == {(0.0, 0.0)} and not any(output.value for output in outputs):
        return NO_LABELS
    if loss == 0.0 and any(output.is_weighted for output in outputs):
        return NO_SAMPLE_WEIGHTS
    return ""


class NothingToTrain(Rule):
    """A compiled model without a trainable weight."""

    code = "IC308"
    slug = "nothing-to-train"
    title = "the compiled model has no trainable weight"
    what = "A model is compiled, has weights, and none of them is trainable."
    why = "fit changes nothing: the loss stays what it is before the first step."
    example = 'model.trainable = False; model.compile("adam", "mse"); model.fit(x, y)'
    limits = (
        "Silent for a model that is not compiled, and where a part of a model is frozen beside"
        " another that is trained, as the discriminator within a GAN. Weights that are never"
        " trainable, such as a normalization's moving statistics, do not count. Keras reads"
        " `trainable` when training starts, so that a discriminator that was compiled before it"
        " was frozen is not trained either."
    )
    fix = "Set trainable=True on the model, or on the layers to train, and compile it again."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        weights = evidence.analysis.weights
        frozen = [weight for weight in weights if weight.role != "state"]
        is_trained = evidence.analysis.is_trained_weight.any()
        if evidence.profile.optimizer is None or not frozen or is_trained:
            return
        yield self.finding(
            "error",
            "The model has no trainable weight, and fit changes nothing:"
            f" {listed(weight.name for weight in frozen)}"
            + (" is frozen." if len(frozen) == 1 else " are frozen."),
            measured=0.0,
            expected="a trainable weight",
        )
