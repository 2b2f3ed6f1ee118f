"""What enters the network, and the loss that leaves it."""

import math
from collections.abc import Iterable

from keras_initcheck.profile import Profile
from keras_initcheck.report import Finding
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class NonfiniteInput(Rule):
    """NaN or infinity in the batch."""

    code = "IC401"
    slug = "nonfinite-input"
    title = "the input holds NaN or infinity"
    what = "An input of the model holds NaN or infinity in this batch."
    why = "They spread through every layer to the loss, and with one step to all weights."
    example = "A table with missing values read as NaN; a feature divided by a standard deviation of zero."
    limits = "One batch is looked at. A model that replaces NaN by itself is reported too: ignore the rule there."
    fix = "Replace or mask missing values before the model, and look for divisions by zero in the preprocessing."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each input."""
        for name, moments in profile.inputs:
            if not moments.is_finite:
                yield self.finding(
                    "error",
                    f"{percent(moments.share_nonfinite)} of the values of input `{name}` are NaN or infinite.",
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
    example = "Labels with NaN; a cross-entropy on probabilities that the model can make exactly zero; sparse labels out of range."
    limits = "Judged where there were labels and the model is compiled."
    fix = "Check the labels for NaN and range, and give cross-entropies logits (from_logits=True)."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        if profile.loss is not None and not math.isfinite(profile.loss):
            yield self.finding("error", f"The loss on the batch is {profile.loss}.", measured=profile.loss, expected="a finite number")
