"""The head: whether its activation fits the loss, and whether it starts out sure of guesses that it
cannot have.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.variance_factors import FORWARD, Factor, chains
from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.gains import main_contributors
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

FEWEST_SAMPLES = 4
CATEGORICAL = ("sparse_categorical_crossentropy", "categorical_crossentropy")
CROSSENTROPIES = (*CATEGORICAL, "binary_crossentropy")
SURPLUS = 2.0
"""Nats above a uniform guess from which a loss is worse than knowing nothing: the right class has
e^-2 of its fair share. A trained network with large logits, which is mostly right, is below a
uniform guess."""
LARGE_INPUT = 3.0
"""Root mean square of a head's input from which the input is named beside the kernel."""
UNBOUNDED = (None, "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh")
"""What makes no probabilities."""


def uniform_loss(target: OutputStats) -> float:
    """Cross-entropy of a uniform guess in nats: `ln K`, and `ln 2` for each binary decision."""
    return math.log(target.width) if target.loss in CATEGORICAL else math.log(2.0)


def site_of(target: OutputStats, profile: Profile) -> SiteStats | None:
    """The site that made the output."""
    return None if target.site is None else profile.sites[target.site]


class OutputRule(Rule):
    """A rule that says one thing at most of each output whose labels and loss are known."""

    @abstractmethod
    def fault(self, target: OutputStats) -> tuple[Severity, str, str] | None:
        """Severity, message and fix; `None` where nothing is wrong."""

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most for each output."""
        for target in profile.outputs:
            found = self.fault(target)
            if found is not None:
                severity, message, fix = found
                site = site_of(target, profile)
                yield self.finding(
                    severity, message, site=site, fix=fix, culprits=(site.layer,) if site else ()
                )


def mismatch(target: OutputStats) -> tuple[Severity, str, str] | None:
    """Severity, message and fix where the head's activation and the loss do not belong together."""
    if target.activation == "softmax" and target.width == 1:
        message = (
            f"The output `{target.name}` is a softmax over one unit: it is 1 whatever comes in, and"
            " passes no gradient."
        )
        return (
            "error",
            message,
            (
                'Use Dense(1, activation="sigmoid") with binary_crossentropy, or one unit for each'
                " class."
            ),
        )
    if target.loss not in CROSSENTROPIES:
        return None
    squashing = "softmax" if target.loss in CATEGORICAL else "sigmoid"
    if target.from_logits and target.activation in ("softmax", "sigmoid"):
        message = (
            f"The output `{target.name}` has been through {target.activation}, and its loss"
            f" ({target.loss}, from_logits=True) applies {squashing} again."
        )
        return (
            "warning",
            message,
            (
                "Leave the activation away and keep from_logits=True, or keep it with"
                " from_logits=False."
            ),
        )
    is_outside = target.minimum < 0.0 or target.maximum > 1.0
    if not target.from_logits and target.activation in UNBOUNDED and is_outside:
        made = f"comes out of {target.activation}" if target.activation else "has no activation"
        message = (
            f"The output `{target.name}` {made} and reaches from {target.minimum:.3g} to"
            f" {target.maximum:.3g}, but its loss ({target.loss}, from_logits=False) takes it for"
            " probabilities, and clips what is none."
        )
        return (
            "warning",
            message,
            f'Use from_logits=True without an activation, or activation="{squashing}".',
        )
    return None


class LossAtInit(Rule):
    """A classifier that starts far worse than guessing."""

    code = "IC404"
    slug = "loss-at-init"
    title = "the classifier starts far worse than guessing, because its logits are too large"
    what = (
        "Before training the cross-entropy is more than 2 nats above that of a uniform guess (ln K"
        " for K classes, ln 2 for a binary decision), and the logits of a sample have a standard"
        " deviation above 20, or above 15 where the loss clips probabilities. Logits N(0, s²) cost"
        " s²/2 nats while s is small, and about s times the largest of K standard normals where it"
        " is large."
    )
    why = (
        "The network is sure of guesses that it made at random, and the first steps go into taking"
        " them back. Where softmax comes before a loss that clips probabilities (1e-7 in Keras),"
        " the clipped ones get no gradient at all."
    )
    example = (
        "Dense(10, kernel_initializer=RandomNormal(stddev=1.0)) on 1024 features of unit scale: the"
        " logits have a deviation of 32."
    )
    limits = (
        "Keras' own cross-entropies, before the first step, batches of four samples and more, and"
        " outputs whose logits can be seen. A head that a few times as large as usual is left"
        " alone: it was measured to cost nothing."
    )
    fix = 'Draw the head\'s kernel smaller ("glorot_uniform"), or normalise what enters it.'

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such output."""
        if profile.step > 0 or profile.batch_size < FEWEST_SAMPLES:
            return
        for target in profile.outputs:
            if (
                target.loss not in CROSSENTROPIES
                or target.labels.share_invalid
                or mismatch(target) is not None
            ):
                continue
            guess = uniform_loss(target)
            bound = (
                thresholds.clipped_logit_deviation
                if _is_clipped(target, profile)
                else thresholds.logit_deviation
            )
            if target.value > guess + SURPLUS and target.logit_deviation > bound:
                site = site_of(target, profile)
                grown = _amplifiers(profile, site)
                yield self.finding(
                    "warning",
                    f"The loss of the output `{target.name}` is {target.value:.3g} before training,"
                    f" and {guess:.3g} by guessing: its logits have a standard deviation of"
                    f" {target.logit_deviation:.3g}, so that it is sure of random guesses."
                    + _said_of_input(site, grown),
                    site=site,
                    measured=target.logit_deviation,
                    expected=f"below {bound:g}, best about 1; a loss near {guess:.3g}",
                    fix=(
                        "Begin with the layers that amplify: the initialiser that fits their"
                        " activation."
                        if grown
                        else self.fix
                    ),
                    culprits=tuple(dict.fromkeys(each.site.layer for each in grown))
                    or ((site.layer,) if site else ()),
                )


def _large_input(site: SiteStats | None) -> float | None:
    """Second moment of what enters the head, where that is large itself."""
    x = site.activations.x if site is not None else None
    return (
        x.second_moment if x is not None and LARGE_INPUT**2 < x.second_moment < math.inf else None
    )


def _amplifiers(profile: Profile, site: SiteStats | None) -> list[Factor]:
    """The layers of the last chain before the head, worst first, if their product explains most
    of a large input.
    """
    size = _large_input(site)
    before = [
        run
        for run in chains(profile, FORWARD)
        if site is not None and run[-1].site.index < site.index
    ]
    if size is None or not before:
        return []
    run = max(before, key=lambda run: run[-1].site.index)
    ln_gain = math.fsum(each.log_ratio for each in run)
    return main_contributors(run, ln_gain) if ln_gain > math.log(size) / 2 else []


def _said_of_input(site: SiteStats | None, grown: Sequence[Factor]) -> str:
    size = _large_input(site)
    if size is None:
        return ""
    makers = ", ".join(f"`{each.site.name}` {each}" for each in grown[:3])
    further = f" and {len(grown) - 3} more" if len(grown) > 3 else ""
    reason = f", from layers that amplify the second moment: {makers}{further}" if grown else ""
    return f" What enters the head has a root mean square of {math.sqrt(size):.3g}{reason}."


def _is_clipped(target: OutputStats, profile: Profile) -> bool:
    """Whether the loss clips probabilities. On TensorFlow Keras finds the logits again that they
    were made of.
    """
    return not target.from_logits and profile.backend != "tensorflow"


class HeadAndLoss(OutputRule):
    """An activation of the head that its loss does not expect."""

    code = "IC406"
    slug = "head-and-loss"
    title = "the head's activation does not fit the loss"
    what = (
        "A softmax over a single unit, a softmax or sigmoid whose loss applies one again"
        " (from_logits=True), or an output without either whose cross-entropy expects probabilities"
        " (from_logits=False)."
    )
    why = (
        "A softmax over one unit is constant. Two in a row keep the loss of ten classes above 1.46"
        " and flatten its gradient. Without one, values below 0 and above 1 are clipped: they get"
        " no gradient, and the loss is not that of the classes."
    )
    example = (
        'Dense(10) compiled with "sparse_categorical_crossentropy", whose from_logits is False'
        " unless told."
    )
    limits = (
        "Keras' own losses, and outputs that a layer with a known activation makes. Missing"
        " probabilities are told only where the output leaves 0..1 on the batch. TensorFlow undoes"
        " the second softmax by itself where the first one is a layer's own activation."
    )
    fix = "Apply softmax or sigmoid once: in the model, or in the loss by from_logits=True."

    def fault(self, target: OutputStats) -> tuple[Severity, str, str] | None:
        """What does not belong together."""
        return mismatch(target)
