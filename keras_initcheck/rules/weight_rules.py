"""Weights that are no numbers."""

from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.moment_rows import are_nonfinite
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import Rule, listed, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class NonfiniteWeights(Rule):
    """NaN or infinity among the weights."""

    code = "IC101"
    slug = "nonfinite-weights"
    breaks_layers = True
    title = "a weight is NaN or infinite"
    what = "A variable of the model holds NaN or infinity."
    why = "Everything that it touches becomes NaN, and after one step so does every other weight."
    example = (
        "model.load_weights of a run that had diverged; a custom initializer that divides by a"
        " fan of zero."
    )
    limits = (
        "Constants that are not trained are information only, unless they are kernels, biases,"
        " scales, embeddings or moving statistics: masks hold infinities on purpose."
    )
    fix = "Initialize the layer again, or load a checkpoint from before the divergence."
    cure = Cure.REDRAW

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each variable, and one for all constants together."""
        broken = are_nonfinite(evidence.measurement.weights).nonzero()[0].tolist()
        weights = list(map(evidence.weight, broken))
        for weight in weights:
            if not _may_be_mask(weight):
                yield self._report(evidence, weight)
        masks = [weight.name for weight in weights if _may_be_mask(weight)]
        if masks:
            yield self.finding(
                "info",
                f"Constants hold NaN or infinity, as masks may: {listed(masks)}.",
                fix="Nothing, if they are masks.",
            )

    def _report(self, evidence: Evidence, weight: WeightStats) -> Finding:
        share = weight.moments.share_nonfinite
        return self.finding(
            "error",
            f"{percent(share)} of the values of `{weight.name}` {weight.shape} are NaN or"
            " infinite.",
            site=evidence.site_of(weight),
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
