"""Rules on the head: whether its activation fits the loss, and whether its logits are too large."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.gains import main_contributors
from keras_initcheck.rules.head_activation import CATEGORICAL, CROSSENTROPIES, Fault, mismatch
from keras_initcheck.rules.rule import FEWEST_SAMPLES, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

SURPLUS = 2.0
"""Nats above a uniform guess from which a loss is worse than knowing nothing: the right class has
e^-2 of its fair share. A trained network with large logits, which is mostly right, is below a
uniform guess."""
LARGE_INPUT = 3.0
"""Root mean square of a head's input from which the input is named beside the kernel."""


def uniform_loss(output: OutputStats) -> float:
    """Cross-entropy of a uniform guess in nats: `ln K`, and `ln 2` for each binary decision."""
    return math.log(output.width) if output.loss in CATEGORICAL else math.log(2.0)


def site_of(output: OutputStats, evidence: Evidence) -> SiteStats | None:
    """The site that made the output; `None` where it was made outside of layers."""
    return None if output.site is None else evidence.site(output.site)


class OutputRule(Rule):
    """A rule that says one thing at most of each output whose labels and loss are known."""

    @abstractmethod
    def fault(self, output: OutputStats, backend: str) -> Fault | None:
        """Severity, message and fix; `None` where nothing is wrong."""

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most for each output."""
        for output in evidence.profile.outputs:
            found = self.fault(output, evidence.profile.backend)
            if found is not None:
                severity, message, fix = found
                site = site_of(output, evidence)
                yield self.finding(
                    severity, message, site=site, fix=fix, culprits=(site.layer,) if site else ()
                )


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
        " largest of K standard normals where it is large."
    )
    why = (
        "The network is sure of guesses that it made at random, and the first steps are spent"
        " on taking them back. Where a softmax comes before a loss that clips probabilities (at"
        " 1e-7 in Keras), the clipped ones receive no gradient at all."
    )
    example = (
        "Dense(10, kernel_initializer=RandomNormal(stddev=1.0)) on 1024 features of unit scale:"
        " the logits have a standard deviation of 32."
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
        "through-time",
        "nonfinite-activations",
        "nonfinite-input",
        "input-scale",
    )

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
            is_worse = output.value > uniform_loss(output) + SURPLUS
            if is_worse and output.logit_deviation > bound:
                yield self._report(evidence, output, bound)

    def _report(self, evidence: Evidence, output: OutputStats, bound: float) -> Finding:
        site, guess = site_of(output, evidence), uniform_loss(output)
        grown = _amplifiers(evidence, site)
        culprits = [each.site.layer for each in grown] or ([site.layer] if site else [])
        advice = (
            "Begin with the layers that amplify: use the initializer that fits their activation."
        )
        return self.finding(
            "warning",
            f"The loss of the output `{output.name}` is {output.value:.3g} before training,"
            f" and {guess:.3g} by guessing: its logits have a standard deviation of"
            f" {output.logit_deviation:.3g}, so that it is sure of random guesses."
            + _input_sentence(site, grown),
            site=site,
            measured=output.logit_deviation,
            expected=f"below {bound:g}, best about 1; a loss near {guess:.3g}",
            fix=advice if grown else self.fix,
            culprits=tuple(dict.fromkeys(culprits)),
        )


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
    makers = ", ".join(f"`{each.site.name}` {each}" for each in grown[:3])
    further = f" and {len(grown) - 3} more" if len(grown) > 3 else ""
    reason = f", from layers that amplify the second moment: {makers}{further}" if grown else ""
    return f" The input of the head has a root mean square of {math.sqrt(size):.3g}{reason}."


def _is_misfit(output: OutputStats, backend: str) -> bool:
    found = mismatch(output, backend)
    return found is not None and found[0] != "info"


def _is_clipped(output: OutputStats, profile: Profile) -> bool:
    """Whether the loss clips probabilities.

    On TensorFlow, Keras finds the logits again that they were made of.
    """
    return not output.from_logits and profile.backend != "tensorflow"


class HeadAndLoss(OutputRule):
    """An activation of the head that does not fit the loss."""

    code = "IC406"
    slug = "head-and-loss"
    title = "the head's activation does not fit the loss"
    what = (
        "A softmax over a single unit; a softmax or sigmoid whose loss applies one again"
        " (from_logits=True), or that receives values which another activation has bounded; or an"
        " activation that gives other numbers than probabilities to a cross-entropy that expects"
        " them (from_logits=False)."
    )
    why = (
        "A softmax over one unit is constant. Two in a row keep the loss of ten classes above"
        " 1.46 and flatten its gradient; a sigmoid behind a tanh gives 0.27 to 0.73 only. Without"
        " one, values below 0 are clipped: they receive no gradient, and the loss is not the"
        " cross-entropy of the classes. A ReLU that is zero for all classes gives NaN."
    )
    example = (
        'Dense(10) compiled with "sparse_categorical_crossentropy", whose from_logits is False'
        " by default."
    )
    limits = (
        "Keras' own losses, and outputs that a layer with a known activation makes. Keras divides"
        " positive outputs by their sum for a categorical cross-entropy: softplus trains as well as"
        " softmax there, and sigmoids are information. On TensorFlow Keras undoes a softmax or"
        " sigmoid that meets from_logits=True, which is information there."
    )
    fix = "Apply softmax or sigmoid once: in the model, or in the loss by from_logits=True."

    def fault(self, output: OutputStats, backend: str) -> Fault | None:
        """The mismatch of activation and loss."""
        return mismatch(output, backend)
