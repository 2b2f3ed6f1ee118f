"""The classifier that starts far worse than guessing, and what makes its logits so large."""

import math
from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.gains import main_contributors
from keras_initcheck.rules.head import LARGE_INPUT, site_of, uniform_loss
from keras_initcheck.rules.head_activation import CROSSENTROPIES, mismatch
from keras_initcheck.rules.rule import FEWEST_SAMPLES, Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

SURPLUS = 2.0
"""Nats above a uniform guess from which a loss is worse than knowing nothing: the right class has
e^-2 of its fair share. A trained network with large logits, which is mostly right, is below a
uniform guess."""


class LossAtInit(Rule):
    """A classifier that starts far worse than guessing."""

    code = "IC404"
    slug = "loss-at-init"
    title = "the classifier starts far worse than guessing, because its logits are too large"
    what = (
        "Before training, the cross-entropy is more than 2 nats above the cross-entropy of a"
        " uniform guess (ln K for K classes, ln 2 for a binary decision), and the logits of a"
        " sample have a standard deviation above 20, or above 15 where the loss clips"
        " probabilities. Logits N(0, s²) cost s²/2 nats while s is small, and about s times the"
        " largest of K standard normals where it is large. Or, whatever the spread of the logits,"
        " the cross-entropy is more than loss_surplus nats above a guess: single classes get"
        " logits far above the others, as each token does from a table of tokens that is the head"
        " as well."
    )
    why = (
        "The network is sure of guesses that it made at random, and the first steps are spent"
        " on taking them back. Where a softmax comes before a loss that clips probabilities (at"
        " 1e-7 in Keras), the clipped ones receive no gradient at all."
    )
    example = (
        "Dense(10, kernel_initializer=RandomNormal(stddev=1.0)) on 1024 features of unit scale:"
        " the logits have a standard deviation of 32. Or a table of tokens N(0, 1) that is input"
        " and head at once: every token finds its own row among 85, with a logit of the width."
    )
    limits = (
        "Keras' own cross-entropies, before the first step, for batches of at least four"
        " samples and outputs whose logits can be measured. A head whose logits are only a few"
        " times larger than usual is not reported; it was measured to cost nothing."
    )
    fix = 'Draw the kernel of the head smaller ("glorot_uniform"), or normalize what enters it.'
    cure = Cure.SCALE_BRANCHES_OR_CHAIN
    explained_by = (
        "nonfinite-weights",
        "forward-gain",
        "path-gain",
        "through-time",
        "nonfinite-activations",
        "nonfinite-input",
        "input-scale",
    )
    raises = ("forward-gain", "input-scale")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such output."""
        if evidence.profile.step > 0 or evidence.profile.batch_size < FEWEST_SAMPLES:
            return
        for output in evidence.profile.outputs:
            is_judged = output.loss in CROSSENTROPIES and not output.labels.share_invalid
            if not is_judged or _is_misfit(output, evidence.profile.backend):
                continue
            is_clipped = _is_clipped(output, evidence.profile)
            bound = thresholds.clipped_logit_deviation if is_clipped else thresholds.logit_deviation
            surplus = output.value - uniform_loss(output)
            is_wide = surplus > SURPLUS and output.logit_deviation > bound
            if is_wide or surplus > thresholds.loss_surplus:
                yield self._report(evidence, output, bound, thresholds)

    def _report(
        self, evidence: Evidence, output: OutputStats, bound: float, thresholds: Thresholds
    ) -> Finding:
        site, guess = site_of(output, evidence), uniform_loss(output)
        table = shared_table(evidence, output)
        if table is not None:
            return self._report_table(evidence, output, table, thresholds)
        grown = _amplifiers(evidence, site)
        is_wide = output.logit_deviation > bound
        culprits = [each.site.layer for each in grown] or ([site.layer] if site else [])
        advice = (
            "Begin with the layers that amplify: use the initializer that fits their activation."
        )
        return self.finding(
            "warning",
            f"The output `{output.name}` is sure of random guesses: its loss is"
            f" {number(output.value)} before training, and {number(guess)} by guessing."
            + _spread_sentence(output)
            + _input_sentence(site, grown),
            site=site,
            details=_factors(grown),
            measured=output.logit_deviation if is_wide else output.value,
            expected=(
                f"below {number(bound)}, best about 1; a loss near {number(guess)}"
                if is_wide
                else f"within {number(thresholds.loss_surplus)} of {number(guess)}"
            ),
            fix=advice if grown else self.fix,
            culprits=tuple(dict.fromkeys(culprits)),
        )

    def _report_table(
        self, evidence: Evidence, output: OutputStats, table: WeightStats, thresholds: Thresholds
    ) -> Finding:
        """The finding on a table that is input and head at once."""
        guess = uniform_loss(output)
        deviation = math.sqrt(table.moments.second_moment)
        width = table.moments.num_elements // output.width
        small = number(float(f"{1.0 / math.sqrt(width):.1g}"))
        return self.finding(
            "warning",
            f"The table `{table.name}` is the head as well, and too large: each token is sure to"
            f" follow itself. The loss of `{output.name}` is {number(output.value)} before"
            f" training, and {number(guess)} by guessing; the table has a standard deviation of"
            f" {number(deviation)}.",
            site=evidence.site_of(table),
            layer=table.layer,
            measured=output.value,
            expected=f"within {number(thresholds.loss_surplus)} of {number(guess)}",
            fix=f"Draw the table with RandomNormal(stddev={small}), 1 / sqrt({width}), or less.",
            culprits=(table.layer,),
        )


def shared_table(evidence: Evidence, output: OutputStats) -> WeightStats | None:
    """The table of tokens that makes an output as well; `None` if there is none.

    That is the matrix of a layer that was called before. Where the output was made without weights
    of its own, it is the only embedding with a row for each class, unless a kernel has as many
    units.
    """
    analysis = evidence.analysis
    layer = None if output.site is None else analysis.sites[output.site].layer
    matrices = [
        (position, weight)
        for position, weight in enumerate(analysis.weights)
        if len(weight.shape) == 2 and output.width in weight.shape
    ]
    is_called_again = layer in {site.layer for site in analysis.sites[: output.site]}
    if is_called_again:
        found = [position for position, weight in matrices if weight.layer == layer]
    elif any(weight.role == "kernel" for _, weight in matrices):
        found = []
    else:
        found = [position for position, weight in matrices if weight.role == "embedding"]
    return evidence.weight(found[0]) if len(found) == 1 else None


def _spread_sentence(output: OutputStats) -> str:
    """How far the logits spread; empty where that was not measured."""
    if math.isnan(output.logit_deviation):
        return ""
    return f" Its logits have a standard deviation of {number(output.logit_deviation)}."


def _large_input(site: SiteStats | None) -> float | None:
    """Second moment of what enters the head, where that is large itself."""
    x = site.activations.x if site is not None else None
    return (
        x.second_moment if x is not None and LARGE_INPUT**2 < x.second_moment < math.inf else None
    )


def _amplifiers(evidence: Evidence, site: SiteStats | None) -> list[PredictedRatio]:
    """The layers of the last chain before the head, worst first, if they explain its large input.

    Their product has to explain most of it.
    """
    size = _large_input(site)
    if site is None or size is None:
        return []
    runs = [evidence.run(FORWARD, number) for number in range(len(evidence.runs(FORWARD)))]
    before = [run for run in runs if run[-1].site.index < site.index]
    run = max(before, key=lambda run: run[-1].site.index, default=[])
    ln_gain = math.fsum(each.log_ratio for each in run)
    return main_contributors(run, ln_gain) if ln_gain > math.log(size) / 2 else []


def _input_sentence(site: SiteStats | None, grown: Sequence[PredictedRatio]) -> str:
    size = _large_input(site)
    if size is None:
        return ""
    makers = listed(each.site.name for each in grown)
    amplify = "amplifies" if len(grown) == 1 else "amplify"
    reason = f": {makers} {amplify} the signal" if grown else ""
    return f" The input of the head has a root mean square of {number(math.sqrt(size))}{reason}."


def _factors(grown: Sequence[PredictedRatio]) -> str:
    """What the layers that amplify multiply the mean square by."""
    if not grown:
        return ""
    factors = ", ".join(f"`{each.site.name}` {each}" for each in grown[:3])
    further = f" and {len(grown) - 3} more" if len(grown) > 3 else ""
    return f"Factors on the mean square: {factors}{further}."


def _is_misfit(output: OutputStats, backend: str) -> bool:
    found = mismatch(output, backend)
    return found is not None and found[0] != "info"


def _is_clipped(output: OutputStats, profile: Profile) -> bool:
    """Whether the loss clips probabilities.

    On TensorFlow, Keras finds the logits again that they were made of.
    """
    return not output.from_logits and profile.backend != "tensorflow"
