"""Rules on outputs beside their labels, and whether the head's activation fits the loss."""

import math
from abc import abstractmethod
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.head_activation import CATEGORICAL, Fault, mismatch
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

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
        " sigmoid that meets its own losses with from_logits=True, which is information there."
    )
    fix = "Apply softmax or sigmoid once: in the model, or in the loss by from_logits=True."

    def fault(self, output: OutputStats, backend: str) -> Fault | None:
        """The mismatch of activation and loss."""
        return mismatch(output, backend)
