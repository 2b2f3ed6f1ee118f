"""The labels: whether the head can give them, and whether they are of a size that it reaches
soon.
"""

import math
from collections.abc import Iterable

from keras_initcheck.records.data import Labels, OutputStats
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.profile import Profile
from keras_initcheck.rules.head import FEWEST_SAMPLES, OutputRule, site_of
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}
"""What an activation can give."""
REGRESSIONS = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")
SCALED = ("mean_squared_error", "mean_absolute_error")
"""Those whose value is that of a known statistic of the labels where a constant is predicted."""
SLACK = 0.05
"""Share of the labels' own extent by which they may leave an activation's range: rounding, and a
resampled image that overshoots.
"""
REACH = 0.1
"""Share of the labels' deviation that an untrained output must have to count as scaled to them on
purpose.
"""


class LabelsOutOfRange(OutputRule):
    """Labels that the head or its loss cannot mean."""

    code = "IC405"
    slug = "labels-out-of-range"
    title = "labels are NaN, or outside of what the head can give"
    what = (
        "Labels that are NaN or infinite; class numbers below 0 or from the number of classes on;"
        " rows that are no distribution over classes; labels outside of 0..1 for a binary"
        " cross-entropy; labels of a regression outside of its activation's range."
    )
    why = (
        "A class that does not exist ends the training on TensorFlow's CPU and on torch, gives NaN"
        " on a GPU, and is silently taken for another one on JAX. A binary cross-entropy with"
        " labels outside of 0..1 has no minimum. What an activation cannot give is never learnt: it"
        " saturates."
    )
    example = (
        'Classes 1 to 10 with Dense(10, activation="softmax"); standardised targets with a sigmoid'
        " or ReLU head."
    )
    limits = (
        "One batch, and Keras' own losses. Where the backend refuses to compute the loss, what"
        " follows from it is not measured. Rows of zeros, which mask a sample, and an ignore_class"
        " are left out; other rows that do not sum to one are information unless several classes"
        " are set; with sample weights, which may mask labels, class numbers are information too."
    )
    fix = (
        "Number the classes from 0 to K-1, mask what is missing, and choose the head's activation"
        " by the labels' range."
    )

    def fault(self, target: OutputStats) -> tuple[Severity, str, str] | None:
        """What the labels cannot mean; the first that holds."""
        labels, name = target.labels, target.name
        if labels.share_nonfinite:
            message = (
                f"{percent(labels.share_nonfinite)} of the labels of `{name}` are NaN or infinite."
            )
            return "error", message, "Replace missing labels, or leave their samples out."
        extent = f"from {labels.minimum:.4g} to {labels.maximum:.4g}"
        if labels.share_invalid and target.loss == "sparse_categorical_crossentropy":
            message = (
                f"The labels of `{name}` reach {extent}; the {target.width} classes are 0 to"
                f" {target.width - 1}."
            )
            is_masked = target.is_weighted and not math.isnan(
                target.value
            )  # no weight masks what the framework refuses
            return "info" if is_masked else "error", message, _class_fix(labels, target.width)
        if labels.share_invalid and target.loss == "binary_crossentropy":
            message = f"The labels of `{name}` reach {extent}; a binary cross-entropy takes 0 to 1."
            return "error", message, "Map the labels to 0 and 1, or use another loss."
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
        return _unreachable(target)


def _class_fix(labels: Labels, width: int) -> str:
    if labels.minimum >= 1 and labels.maximum == width:
        return "Subtract 1: the labels seem to start at 1."
    if labels.minimum >= 0 and labels.maximum == math.floor(labels.maximum):
        return f"Give the head {labels.maximum + 1:g} units or more, or number the classes from 0."
    return "Number the classes from 0; mask missing labels by ignore_class or sample weights."


def _unreachable(target: OutputStats) -> tuple[Severity, str, str] | None:
    labels = target.labels
    low, high = RANGES.get(target.activation or "", (-math.inf, math.inf))
    slack = SLACK * (labels.maximum - labels.minimum)
    if target.loss not in REGRESSIONS or (
        labels.minimum >= low - slack and labels.maximum <= high + slack
    ):
        return None
    message = (
        f"The labels of `{target.name}` reach from {labels.minimum:.4g} to {labels.maximum:.4g};"
        f" its {target.activation} gives {low:g} to {high:g} only."
    )
    return (
        "warning",
        message,
        "Leave the activation of the output away, or map the labels into its range.",
    )


class LabelScale(Rule):
    """Labels of a regression that are large, small, or far from zero."""

    code = "IC407"
    slug = "label-scale"
    title = "the labels of a regression are far from the scale on which the network starts"
    what = (
        "The labels' root mean square is above 20, or below a twentieth of the untrained output's,"
        " or their mean is more than five standard deviations from 0. A regression is fit to start"
        " near the labels' variance (squared error) or mean deviation (absolute)."
    )
    why = (
        "The network first has to learn the labels' mean and size, by the way of its weights."
        " Squared errors grow with the labels, and their gradient with them: SGD diverges at its"
        " usual learning rates, and Adam, whose steps do not grow, takes ten times as many. Labels"
        " that are small drown in what the untrained weights make up, which has to be unlearnt"
        " first."
    )
    example = 'Prices of 100 000 and more as they are, with Dense(1) and "mse".'
    limits = (
        "Mean squared and absolute error on outputs without an activation, before the first step,"
        " batches of four samples and more. Silent where a layer behind the head or a large kernel"
        " scales the output to the labels, and on a mean that the head's bias is at."
    )
    fix = (
        "Standardise the labels, and turn predictions back; or start the head's bias at the labels'"
        " mean and scale its output."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such output."""
        if profile.step > 0 or profile.batch_size < FEWEST_SAMPLES:
            return
        for target in profile.outputs:
            reason = _misfit(target, thresholds)
            if reason:
                site = site_of(target, profile)
                labels = target.labels
                yield self.finding(
                    "warning",
                    f"The labels of `{target.name}` {reason}: their mean is {labels.mean:.3g},"
                    f" their standard deviation {labels.deviation:.3g}, and the untrained output"
                    f" reaches from {target.minimum:.3g} to {target.maximum:.3g}. Its loss is"
                    f" {target.value:.3g}; a constant has {_best(target):.3g}.",
                    site=site,
                    measured=math.hypot(labels.mean, labels.deviation),
                    expected=(
                        f"a root mean square below {thresholds.label_size:g}, best mean 0 and"
                        " deviation 1"
                    ),
                    culprits=(site.layer,) if site else (),
                )


def _misfit(target: OutputStats, thresholds: Thresholds) -> str:
    """What is wrong with the labels' scale, in words; empty where nothing is, or where it cannot be
    told.
    """
    labels, deviation = target.labels, target.labels.deviation
    is_judged = target.loss in SCALED and target.activation is None and not labels.share_nonfinite
    if not is_judged or not deviation or target.value <= _best(target):
        return ""
    if (
        abs(labels.mean) > thresholds.label_offset * deviation
        and not target.minimum < labels.mean < target.maximum
    ):
        return "are far from 0"
    size = math.hypot(labels.mean, deviation)
    if size > thresholds.label_size and target.logit_deviation < REACH * deviation:
        return "are large"
    return (
        "are small beside the output"
        if target.logit_deviation > thresholds.output_ratio * size
        else ""
    )


def _best(target: OutputStats) -> float:
    """Loss of the best constant."""
    labels = target.labels
    return (
        labels.absolute_deviation if target.loss == "mean_absolute_error" else labels.deviation**2
    )
