"""Rules on the labels: whether the head can produce them, and whether their size is usual."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.data import Labels, OutputStats
from keras_initcheck.records.finding import Finding
from keras_initcheck.rules import budgets
from keras_initcheck.rules.head import OutputRule, site_of
from keras_initcheck.rules.head_activation import RANGES, Fault
from keras_initcheck.rules.rule import FEWEST_SAMPLES, Causes, Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

REGRESSIONS = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")
SCALED = ("mean_squared_error", "mean_absolute_error")
"""Those whose value is that of a known statistic of the labels where a constant is predicted."""
SLACK = 0.05
"""Share of the labels' own extent by which they may leave an activation's range: rounding, and a
resampled image that overshoots.
"""
SMALL = "are small beside the output"
FEW = 0.4
"""Mean distance of labels from their median, relative to their standard deviation, below which a
few labels make most of it: 0.8 for normal ones, 0.23 where 5% of them stand apart.
"""
REACH = 0.1
"""Share of the labels' deviation that an untrained output must have to count as scaled to them on
purpose.
"""


class LabelsOutOfRange(OutputRule):
    """Labels that the head or its loss does not allow."""

    code = "IC405"
    slug = "labels-out-of-range"
    title = "labels are NaN, or outside of what the head can give"
    what = (
        "Labels that are NaN or infinite; class numbers below 0 or not below the number of"
        " classes; rows that are no distribution over classes, or that set several classes for a"
        " softmax; labels outside of 0..1 for a binary cross-entropy; labels of a regression"
        " outside of the range of its activation."
    )
    why = (
        "A class that does not exist stops the training on TensorFlow's CPU and on torch, gives"
        " NaN on a GPU, and is silently replaced by another one on JAX. A binary cross-entropy"
        " with labels outside of 0..1 has no minimum. Labels that an activation cannot reach are"
        " never learned: it saturates."
    )
    example = (
        'Classes 1 to 10 with Dense(10, activation="softmax"); standardized targets with a'
        " sigmoid or ReLU head."
    )
    limits = (
        "One batch, and Keras' own losses. Where the backend refuses to compute the loss, its"
        " consequences are not measured. Rows of zeros, which mask a sample, and an ignore_class"
        " are left out. Other rows that do not sum to one are information unless several classes"
        " are set. With sample weights, which may mask labels, class numbers are information"
        " too."
    )
    fix = (
        "Number the classes from 0 to K-1, mask what is missing, and choose the activation of"
        " the head by the range of the labels."
    )

    def fault(self, output: OutputStats, backend: str) -> Fault | None:
        """The first fault of the labels."""
        labels, name = output.labels, output.name
        if labels.share_nonfinite:
            message = (
                f"{percent(labels.share_nonfinite)} of the labels of `{name}` are NaN or infinite."
            )
            return "error", message, "Replace missing labels, or leave their samples out."
        extent = f"from {number(labels.minimum)} to {number(labels.maximum)}"
        if labels.share_invalid and output.loss == "sparse_categorical_crossentropy":
            message = (
                f"The labels of `{name}` range {extent}; the {output.width} classes are 0 to"
                f" {output.width - 1}."
            )
            is_masked = output.is_weighted and not math.isnan(
                output.value
            )  # no weight masks what the framework refuses
            return "info" if is_masked else "error", message, _class_fix(labels, output.width)
        if labels.share_invalid and output.loss == "binary_crossentropy":
            message = (
                f"The labels of `{name}` range {extent}; a binary cross-entropy expects 0 to 1."
            )
            return "error", message, "Map the labels to 0 and 1, or use another loss."
        if _is_choice_of_one(output) and labels.is_multi_hot:
            message = (
                f"Rows of the labels of `{name}` have several classes set, but a softmax gives"
                f" {output.width} numbers that sum to one: no two of them are above a half."
            )
            return "warning", message, "Use sigmoid and binary_crossentropy."
        if labels.share_invalid:
            message = (
                f"{percent(labels.share_invalid)} of the label rows of `{name}` are no distribution"
                " over its classes" + (": several classes are set." if labels.is_multi_hot else ".")
            )
            fix = (
                "Use sigmoid and binary_crossentropy where several classes can hold; else make each"
                " row sum to one."
            )
            return "warning" if labels.is_multi_hot else "info", message, fix
        return _unreachable(output)


def _is_choice_of_one(output: OutputStats) -> bool:
    """Whether one class of several is right for the head, while the loss takes any numbers."""
    losses = (*REGRESSIONS, "binary_crossentropy")
    return output.activation == "softmax" and output.width > 1 and output.loss in losses


def _class_fix(labels: Labels, width: int) -> str:
    if labels.minimum >= 1 and labels.maximum == width:
        return "Subtract 1: the labels seem to start at 1."
    if labels.minimum >= 0 and labels.maximum == math.floor(labels.maximum):
        return f"Give the head {labels.maximum + 1:g} units or more, or number the classes from 0."
    return "Number the classes from 0; mask missing labels by ignore_class or sample weights."


def _unreachable(output: OutputStats) -> Fault | None:
    labels = output.labels
    low, high = RANGES.get(output.activation or "", (-math.inf, math.inf))
    slack = SLACK * (labels.maximum - labels.minimum)
    if output.loss not in REGRESSIONS or (
        labels.minimum >= low - slack and labels.maximum <= high + slack
    ):
        return None
    message = (
        f"The labels of `{output.name}` range from {number(labels.minimum)} to"
        f" {number(labels.maximum)};"
        f" its {output.activation} gives values from {number(low)} to {number(high)} only."
    )
    return (
        "warning",
        message,
        "Remove the activation of the output, or map the labels into its range.",
    )


class LabelScale(Rule):
    """Labels of a regression that are large, small, or far from zero."""

    code = "IC407"
    slug = "label-scale"
    title = "the labels of a regression are far from the scale on which the network starts"
    what = (
        "The root mean square of the labels is above 15, or below a twentieth of the untrained"
        " output's, or their mean is more than five standard deviations from 0. With adaptive"
        " optimizers a mean above 15 or a standard deviation above 50 counts. A regression"
        " should start with a loss near the labels' variance (squared error) or mean deviation"
        " (absolute error). Where the labels themselves are of usual size, the output is to"
        " blame, and what made it large."
    )
    why = (
        "The network first has to learn the mean and the size of the labels by way of its"
        " weights. Squared errors grow with the labels, and their gradients with them: SGD at its"
        " usual rate of 0.01 does not learn labels of deviation 20. Adam, whose steps do not grow,"
        " bears the scatter, but has to walk to the mean: at its usual rate labels of 0 ± 50 take"
        " twice the steps, and labels of 24 ± 7 eight times, SGD seven times"
        " (tests/benchmarks/steps_to_learn.py --only labels). Small labels are lost in the output"
        " of the untrained weights, which has to be unlearned first."
    )
    example = 'Prices of 100 000 and more without scaling, with Dense(1) and "mse".'
    limits = (
        "Mean squared and absolute error on outputs without an activation, before the first"
        " step, for batches of at least four samples. Not reported where a layer behind the head"
        " or a large kernel scales the output to the labels, or where the head's bias starts at"
        " their mean."
    )
    fix = (
        "Standardize the labels, and transform predictions back; or start the bias of the head"
        " at the mean of the labels and scale its output."
    )
    fix_of_output = (
        "Normalize the input, and draw the kernel of the head smaller: the labels are in order."
    )
    fix_of_few = (
        "Use keras.losses.Huber(), or clip the rare labels: dividing by their standard deviation"
        " would leave nothing of the others."
    )
    explained_by = ("input-scale", "column-scale", "forward-gain", "path-gain")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such output."""
        if evidence.profile.step > 0 or evidence.profile.batch_size < FEWEST_SAMPLES:
            return
        for output in evidence.profile.outputs:
            reason = _misfit(output, evidence.profile.optimizer, thresholds)
            if reason:
                yield self._report(evidence, output, reason, thresholds)

    def _report(
        self, evidence: Evidence, output: OutputStats, reason: str, thresholds: Thresholds
    ) -> Finding:
        site, labels = site_of(output, evidence), output.labels
        return self.finding(
            "warning",
            f"The labels of `{output.name}` {reason}: their mean is {number(labels.mean)},"
            f" their standard deviation {number(labels.deviation)}, and the untrained output"
            f" ranges from {number(output.minimum)} to {number(output.maximum)}. Its loss is"
            f" {number(output.value)}; the best constant has {number(_best(output))}.",
            site=site,
            measured=math.hypot(labels.mean, labels.deviation),
            expected=(
                f"a root mean square below {number(thresholds.label_size)}, best mean 0 and"
                " deviation 1"
            ),
            fix=self._cure(output, reason, thresholds),
            culprits=(site.layer,) if site else (),
        )

    def _cure(self, output: OutputStats, reason: str, thresholds: Thresholds) -> str:
        labels = output.labels
        size = math.hypot(labels.mean, labels.deviation)
        if reason == SMALL and size > 1 / thresholds.label_size:
            return self.fix_of_output
        are_few = labels.absolute_deviation < FEW * labels.deviation
        return self.fix_of_few if are_few and reason != SMALL else self.fix

    def is_explained_by(self, slug: str, finding: Finding, causes: Causes) -> bool:
        """An output that is large beside usual labels follows from what made it large."""
        return finding.fix == self.fix_of_output and super().is_explained_by(slug, finding, causes)


def _misfit(output: OutputStats, optimizer: str | None, thresholds: Thresholds) -> str:
    """The fault in the scale of the labels, in words.

    Empty where there is none, or where it cannot be judged.
    """
    labels, deviation = output.labels, output.labels.deviation
    is_judged = output.loss in SCALED and output.activation is None and not labels.share_nonfinite
    if not is_judged or not deviation or output.value <= _best(output):
        return ""
    if (
        abs(labels.mean) > thresholds.label_offset * deviation
        and not output.minimum < labels.mean < output.maximum
    ):
        return "are far from 0"
    size = math.hypot(labels.mean, deviation)
    if _are_large(labels, optimizer, thresholds) and output.logit_deviation < REACH * deviation:
        return "are large"
    return SMALL if output.logit_deviation > thresholds.output_ratio * size else ""


def _are_large(labels: Labels, optimizer: str | None, thresholds: Thresholds) -> bool:
    """Whether labels are large for the optimizer: what Adam's equal steps bear is their scatter."""
    if not budgets.is_adaptive(optimizer):
        return math.hypot(labels.mean, labels.deviation) > thresholds.label_size
    return (
        abs(labels.mean) > thresholds.label_size
        or labels.deviation > thresholds.adaptive_label_size
    )


def _best(output: OutputStats) -> float:
    """Loss of the best constant."""
    labels = output.labels
    return (
        labels.absolute_deviation if output.loss == "mean_absolute_error" else labels.deviation**2
    )
