"""Rules on what enters the network, and on the loss that leaves it."""

import math
from collections.abc import Iterable

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import SEVERITIES, Finding
from keras_initcheck.records.measurement import SECOND_MOMENT, SHARE_NONFINITE, X
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.rules.rule import (
    FEWEST_SAMPLES,
    UNCENTERED_SHARE,
    Causes,
    Rule,
    input_in_words,
    percent,
)
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number


class NonfiniteInput(Rule):
    """NaN or infinity in the batch."""

    code = "IC401"
    slug = "nonfinite-input"
    title = "the input holds NaN or infinity"
    what = "An input of the model holds NaN or infinity in this batch."
    why = "They spread through every layer to the loss, and with one step to all weights."
    example = (
        "A table with missing values read as NaN; a feature divided by a standard deviation of"
        " zero."
    )
    limits = (
        "Only one batch is inspected. A model that replaces NaN itself is reported too: ignore"
        " the rule there."
    )
    fix = (
        "Replace or mask missing values before the model, and look for divisions by zero in the"
        " preprocessing."
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each input."""
        shares = evidence.measurement.inputs[:, SHARE_NONFINITE]
        for position in (shares > 0.0).nonzero()[0].tolist():
            share, name = float(shares[position]), evidence.profile.structure.inputs[position]
            yield self.finding(
                "error",
                f"{percent(share)} of the values of input `{name}` are NaN or infinite.",
                measured=share,
                expected="0",
            )


class NonfiniteLoss(Rule):
    """A loss that is NaN or infinite."""

    code = "IC402"
    slug = "nonfinite-loss"
    title = "the loss is NaN or infinite"
    what = "The loss on the batch is NaN or infinite."
    why = "Its gradient makes all weights NaN with the first step."
    example = (
        "Labels with NaN; a cross-entropy on probabilities that the model can make exactly"
        " zero; sparse labels out of range."
    )
    limits = "Needs labels and a compiled model."
    fix = (
        "Check the labels for NaN and their range, and pass logits to cross-entropies"
        " (from_logits=True)."
    )
    explained_by = (
        "nonfinite-input",
        "nonfinite-weights",
        "nonfinite-activations",
        "labels-out-of-range",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        loss = evidence.measurement.loss
        if loss is not None and not math.isfinite(loss):
            yield self.finding(
                "error",
                f"The loss on the batch is {loss}.",
                measured=loss,
                expected="a finite number",
            )

    def is_explained_by(self, slug: str, finding: Finding, causes: Causes) -> bool:
        """Input and weights explain the loss by way of the signal alone.

        Where signal and labels are finite, the loss stands for itself.
        """
        is_direct = slug in ("nonfinite-activations", "labels-out-of-range")
        is_signal_broken = causes.rank("nonfinite-activations") >= SEVERITIES.index("error")
        return super().is_explained_by(slug, finding, causes) and (is_direct or is_signal_broken)


def _has_weights_outside(evidence: Evidence) -> bool:
    """Whether weights outside of layers may have made what looks like data."""
    return any(
        weight.site is None and weight.is_trainable and len(weight.shape) >= 2
        for weight in evidence.analysis.weights
    )


class InputScale(Rule):
    """Inputs far from unit scale."""

    code = "IC403"
    slug = "input-scale"
    title = "the input is far from unit scale"
    what = (
        "The second moment of what enters the first weight layers is beyond e^6 or below e^-6:"
        " the budget of forward-gain with SGD is spent before the first layer. Pixels of 0 to"
        " 255 have e^10."
    )
    why = (
        "Initializers keep the scale that they are given: logits, loss and gradients inherit"
        " it, and usual learning rates do not fit."
    )
    example = "model.fit(images, ...) with uint8 images and no Rescaling layer."
    limits = (
        "Information where the first layer is not trained (pretrained networks have their own"
        " scale), where a normalization that removes the scale follows, and where the inputs"
        " were made up because none were given: a model that divides by 255 expects others. A"
        " column on another scale than the others is reported by column-scale."
    )
    fix = (
        "Subtract the mean and divide by the standard deviation, or put a Normalization or"
        " Rescaling layer in front."
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each first layer."""
        fans = evidence.analysis.fans
        first = fans.sites[evidence.analysis.graph.is_fed_by_data[fans.sites]]
        second_moment = evidence.measurement.activations[first, X, SECOND_MOMENT]
        is_known = (second_moment > 0.0) & (second_moment < math.inf)
        logs = np.log(np.where(is_known, second_moment, 1.0))
        for index in first[np.abs(logs) > thresholds.input_scale].tolist():
            site = evidence.site(index)
            is_harmless = (
                evidence.profile.is_synthetic
                or not site.is_trainable
                or bool(evidence.is_normalized[index])
            )
            is_data = site.inputs_known or not _has_weights_outside(evidence)
            if site.activations.x is not None and is_data:
                names = evidence.analysis.graph.model_inputs[index]
                yield self._report(site, site.activations.x, names, is_harmless)

    def _report(
        self, site: SiteStats, x: Moments, names: tuple[str, ...], is_harmless: bool
    ) -> Finding:
        center = (
            f", most of it from its mean of {number(x.mean)}"
            if x.mean**2 > UNCENTERED_SHARE * x.second_moment
            else ""
        )
        return self.finding(
            "info" if is_harmless else "warning",
            f"{_subject(site, names)} has a root mean square of"
            f" {number(math.sqrt(x.second_moment))}{center}.",
            site=site,
            measured=x.second_moment,
            expected="e^-6 to e^6, and best about 1",
        )


def _subject(site: SiteStats, names: tuple[str, ...]) -> str:
    """The model's input by its own name, where a single one reaches the layer."""
    if len(names) != 1:
        return f"The input of `{site.name}`"
    named = input_in_words(names[0])
    return f"{named[0].upper()}{named[1:]}, which enters `{site.name}`,"


class IdenticalInputs(Rule):
    """Samples that nothing tells apart."""

    code = "IC412"
    slug = "identical-inputs"
    title = "all samples of the batch have the same inputs, and different labels"
    what = "Every input of the model is the same for all samples of the batch; their labels differ."
    why = (
        "The best that a network can learn of them is how often each label comes. On digits, with"
        " each image replaced by the first, no optimizer gets beyond chance."
    )
    example = (
        "Images divided by 255 as whole numbers, which are 0; an index that does not advance in a"
        " generator; sequences of padding alone."
    )
    limits = (
        "Compares one batch exactly, of four samples or more, and needs labels and a loss of"
        " Keras' own. A few columns of categories that are sorted may give such a batch: shuffle"
        " the rows."
    )
    fix = "Look at a batch as the model gets it, and for where the samples become alike."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        profile = evidence.profile
        if profile.is_contradictory and profile.outputs and profile.batch_size >= FEWEST_SAMPLES:
            yield self.finding(
                "error",
                f"All {profile.batch_size} samples of the batch have the same inputs, but different"
                " labels.",
                measured=1.0,
                expected="samples whose inputs differ",
            )
