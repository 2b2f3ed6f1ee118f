"""Weights that are no numbers."""

from collections.abc import Iterable

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.rules.rule import Rule, listed, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class NonfiniteWeights(Rule):
    """NaN or infinity among the weights."""

    code = "IC101"
    slug = "nonfinite-weights"
    title = "a weight is NaN or infinite"
    what = "A variable of the model holds NaN or infinity."
    why = "Everything that it touches becomes NaN, and after one step so does every other weight."
    example = (
        "model.load_weights of a run that had diverged; a custom initialiser that divides by a fan"
        " of zero."
    )
    limits = (
        "Constants that are not trained and are neither kernel, bias, scale, embedding nor moving"
        " statistics are information: masks hold infinities on purpose."
    )
    fix = "Initialise the layer again, or load a checkpoint from before the divergence."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each variable, and one for all constants together."""
        broken = [weight for weight in profile.weights if not weight.moments.is_finite]
        for weight in broken:
            if not _may_be_mask(weight):
                yield self._report(profile, weight)
        masks = [weight.name for weight in broken if _may_be_mask(weight)]
        if masks:
            yield self.finding(
                "info",
                f"Constants hold NaN or infinity, as masks may: {listed(masks)}.",
                fix="Nothing, if they are masks.",
            )

    def _report(self, profile: Profile, weight: WeightStats) -> Finding:
        share = weight.moments.share_nonfinite
        return self.finding(
            "error",
            f"{percent(share)} of the values of `{weight.name}` {weight.shape} are NaN or"
            " infinite.",
            site=profile.sites[weight.site] if weight.site is not None else None,
            layer=weight.layer,
            measured=share,
            expected="0",
            culprits=(weight.layer,),
        )


def _may_be_mask(weight: WeightStats) -> bool:
    return (
        not weight.is_trainable
        and weight.role in ("state", "other")
        and not weight.name.rsplit("/", 1)[-1].startswith("moving_")
    )
