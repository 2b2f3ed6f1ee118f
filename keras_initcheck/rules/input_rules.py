"""What enters the network, and the loss that leaves it."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

UNCENTRED_SHARE = 0.5
"""Share of the input's second moment that its mean may have before the message mentions it."""


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
        "One batch is looked at. A model that replaces NaN by itself is reported too: ignore the"
        " rule there."
    )
    fix = (
        "Replace or mask missing values before the model, and look for divisions by zero in the"
        " preprocessing."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each input."""
        for name, moments in profile.inputs:
            if not moments.is_finite:
                yield self.finding(
                    "error",
                    f"{percent(moments.share_nonfinite)} of the values of input `{name}` are NaN or"
                    " infinite.",
                    measured=moments.share_nonfinite,
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
        "Labels with NaN; a cross-entropy on probabilities that the model can make exactly zero;"
        " sparse labels out of range."
    )
    limits = "Judged where there were labels and the model is compiled."
    fix = "Check the labels for NaN and range, and give cross-entropies logits (from_logits=True)."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        if profile.loss is not None and not math.isfinite(profile.loss):
            yield self.finding(
                "error",
                f"The loss on the batch is {profile.loss}.",
                measured=profile.loss,
                expected="a finite number",
            )


class InputScale(Rule):
    """Inputs far from unit scale."""

    code = "IC403"
    slug = "input-scale"
    title = "the input is far from unit scale"
    what = (
        "What enters the first weight layers has a second moment beyond e^6 or below e^-6: the"
        " budget of forward-gain with SGD, spent before the first layer. Pixels of 0 to 255 have"
        " e^10."
    )
    why = (
        "Initialisers keep the scale that they are given: logits, loss and gradients have it too,"
        " and learning rates that fit are unusual."
    )
    example = "model.fit(images, ...) with uint8 images and no Rescaling layer."
    limits = (
        "Information where the first layer is not trained (pretrained networks have their own"
        " scale), where a normalisation that removes it follows, and where the inputs were made up"
        " because none were given: a model that divides by 255 expects others. Single columns of"
        " another scale than the others are column-scale's."
    )
    fix = (
        "Subtract the mean and divide by the standard deviation, or put a Normalization or"
        " Rescaling layer in front."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each first layer."""
        graph = Graph(profile)
        for site in profile.weight_sites:
            x = site.activations.x
            if x is None or not 0.0 < x.second_moment < math.inf or not graph.is_fed_by_data(site):
                continue
            if abs(math.log(x.second_moment)) > thresholds.input_scale:
                is_harmless = (
                    profile.is_synthetic or not site.is_trainable or graph.is_normalised(site)
                )
                yield self._report(site, x, is_harmless)

    def _report(self, site: SiteStats, x: Moments, is_harmless: bool) -> Finding:
        centre = (
            f", most of it from its mean of {x.mean:.3g}"
            if x.mean**2 > UNCENTRED_SHARE * x.second_moment
            else ""
        )
        return self.finding(
            "info" if is_harmless else "warning",
            f"The input of `{site.name}` has a root mean square of"
            f" {math.sqrt(x.second_moment):.3g}{centre}.",
            site=site,
            measured=x.second_moment,
            expected="e^-6 to e^6, and best about 1",
        )
