"""The first layer whose signal is not what inputs and weights predict through the whole network,
and why.
"""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.prediction_errors import departures, steps_before
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.rules.prediction_causes import explain
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

MAIN_SHARE = 0.5
"""Share of a departure that one site has to make for the whole to be its doing."""
_LARGEST_LOG = 709.0  # of a float


class LeavesPrediction(Rule):
    """The first sentence of an answer to "why is the measured curve not the predicted one"."""

    code = "IC210"
    slug = "leaves-prediction"
    title = "from some layer on the signal is not what inputs and weights predict"
    what = (
        "The mean square of every layer's output is predicted from the model's inputs and all"
        " weights on the way. The rule names the first hidden weight layer whose measured one is"
        " outside of the predicted band by more than a factor of two, where it began, and the cause"
        " that the probe shows: weights that were trained, repeated or have a mean, biases, data"
        " that is not normalised or not centred, saturation, dead units, padding, samples or"
        " positions that are alike. Of 100 healthy networks fewer than one leave the band by chance"
        " anywhere; it follows from the layers' widths and grows from layer to layer."
    )
    why = (
        "Behind that layer the figure's two curves differ, and what is said of the weights alone is"
        " not the whole story."
    )
    example = (
        "A trained network read from a file: after four layers trained on digits the signal is ten"
        " times the predicted one."
    )
    limits = (
        "Always information, one for the whole network. Heads, what a pooling in front of a head"
        " does, and layers whose prediction is not known are left out. The band was simulated for"
        " ReLU, and is wide in narrow networks. Repeated probes predict nothing."
    )
    fix = "Nothing, as long as the gains are in order."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        found = departures(profile)
        judged = [
            found[site.index]
            for site in profile.weight_sites
            if not site.is_head and site.index in found
        ]
        outside = (
            each
            for each in judged
            if each.excess_over_band(len(judged)) > math.log(thresholds.measured_gain_factor)
        )
        if (first := next(outside, None)) is None:
            return
        begun, log_part = max(
            steps_before(found, first, profile),
            key=lambda step: step[1] * math.copysign(1.0, first.log_ratio),
        )
        cause = explain(profile, begun)
        is_alone = log_part / first.log_ratio >= MAIN_SHARE
        measured = math.exp(min(first.log_ratio, _LARGEST_LOG))
        where = (
            ""
            if begun.index == first.site.index
            else f" {'It begins' if is_alone else 'The most of it comes'} in `{begun.name}`."
        )
        yield self.finding(
            "info",
            f"From `{first.site.name}` on the signal's mean square is {measured:.3g} times the"
            f" predicted one, which chance makes in fewer than 1 of 100 healthy networks.{where}"
            f" {cause.sentence}",
            site=first.site,
            fix=cause.fix,
            measured=measured,
            expected=f"1 within a factor of {thresholds.measured_gain_factor:g} and chance",
            culprits=(begun.layer,),
        )
