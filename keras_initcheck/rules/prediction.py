"""The first layer whose signal is not what the whole network predicts, and the cause."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.prediction_errors import Deviation, parts_of
from keras_initcheck.records.finding import Finding
from keras_initcheck.rules.prediction_causes import explain
from keras_initcheck.rules.rule import LARGEST_LOG, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number, times_weaker_or_stronger

MAIN_SHARE = 0.5
"""Share of a departure that one site has to make for the whole to be its doing."""


class LeavesPrediction(Rule):
    """The layer from which the measured signal differs from the predicted one."""

    code = "IC210"
    slug = "leaves-prediction"
    title = "from some layer on, the signal is not what inputs and weights predict"
    what = (
        "The mean square of every layer's output is predicted from the model's inputs and all"
        " weights on the way. The rule names the first hidden weight layer whose measured mean"
        " square is outside of the predicted band by more than a factor of two, the layer where"
        " the difference began, and the cause that the probe shows: weights that were trained,"
        " are repeated or have a mean; biases; data that is not normalized or not centered;"
        " saturation; dead units; padding; samples or positions that are alike. Fewer than one"
        " of 100 healthy networks leaves the band anywhere by chance; the band follows from the"
        " widths of the layers and grows from layer to layer."
    )
    why = (
        "Behind that layer the measured and the predicted curve of the figure differ, and the"
        " weights alone do not explain the signal."
    )
    example = (
        "A trained network read from a file: after four layers trained on digits the signal is"
        " ten times the predicted one."
    )
    limits = (
        "Always information, and one finding for the whole network. Heads, the effect of a"
        " pooling in front of a head, and layers whose prediction is not known are left out. The"
        " band was simulated for ReLU, and is wide in narrow networks. Repeated probes predict"
        " nothing."
    )
    fix = "Nothing, as long as the gains are in order."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        if not evidence.deviations:  # as in every repeated probe
            return
        if (first := _first_outside(evidence, thresholds)) is None:
            return
        parts = parts_of(first, evidence.deviations, evidence.analysis.sites, evidence.measurement)
        largest, log_part = max(
            parts, key=lambda part: part[1] * math.copysign(1.0, first.log_ratio)
        )
        site, begun = evidence.site(first.site), evidence.site(largest)
        cause = explain(evidence, begun)
        is_alone = log_part / first.log_ratio >= MAIN_SHARE
        measured = math.exp(min(first.log_ratio, LARGEST_LOG))
        words = "The difference begins" if is_alone else "Most of the difference arises"
        where = "" if begun.index == site.index else f" {words} in `{begun.name}`."
        yield self.finding(
            "info",
            f"From `{site.name}` on, the signal is {times_weaker_or_stronger(first.log_ratio)} than"
            " inputs and weights predict. Chance does that in fewer than 1 of 100 healthy"
            f" networks.{where} {cause.sentence}",
            site=site,
            fix=cause.fix,
            measured=measured,
            expected="as predicted, within a factor of"
            f" {number(math.sqrt(thresholds.measured_gain_factor))} and chance",
            culprits=(begun.layer,),
        )


def _first_outside(evidence: Evidence, thresholds: Thresholds) -> Deviation | None:
    """The first deviation of a hidden weight layer that leaves the band by more than the factor."""
    judged = [
        evidence.deviations[site.index]
        for site in evidence.analysis.sites
        if site.kind == "weight" and not site.is_head and site.index in evidence.deviations
    ]
    largest = math.log(thresholds.measured_gain_factor)
    return next((each for each in judged if each.excess_over_band(len(judged)) > largest), None)
