"""Units and samples on the batch: saturated, silent, or all alike."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.recurrent import predicted_slope
from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.rule import Rule, listed, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

SLOPES = {
    "tanh": 1.0,
    "hard_tanh": 1.0,
    "softsign": 1.0,
    "sigmoid": 0.25,
    "hard_sigmoid": 1 / 6,
    "sparse_sigmoid": 0.5,
}
"""The squashing activations with their steepest slopes."""

RECTIFIERS = ("relu", "relu6")
LARGEST_HEALTHY_SHARE = 0.5
"""A ReLU unit is silent for one sample with probability 1/2, and for all of them as well where they
point the same way.
"""
STANDARD_DEVIATIONS = 4.5
"""Of a binomial share: 3e-6 by chance."""
FEWEST_SAMPLES = 4

SPREAD_INPUT = 0.01


class SaturatedUnits(Rule):
    """A squashing activation driven to its flat ends."""

    code = "IC205"
    slug = "saturated-units"
    title = "units saturate: their activation is flat where they are"
    what = (
        "Behind tanh, sigmoid, softsign and their hard variants the mean square of the slope,"
        " measured by what the activation does to a random gradient, is less than a tenth of the"
        " steepest slope's. The candidate state inside LSTM, GRU and SimpleRNN is judged before"
        " training, by the size that the weights give its pre-activation."
    )
    why = (
        "A flat unit passes no gradient back: what is below it learns slowly or not at all (Glorot"
        " & Bengio 2010, section 3)."
    )
    example = (
        'Dense(256, activation="tanh", kernel_initializer=RandomNormal(stddev=1.0)) on 256 inputs:'
        " z has a deviation of 10 and more."
    )
    limits = (
        "One finding for the network. Heads and gates are left out, and recurrent cells of a user's"
        " own."
    )
    fix = 'Smaller weights: "glorot_normal" with tanh; or normalise the input of these layers.'

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most; a warning where a quarter of the squashing layers saturate, else
        information.
        """
        graph = Graph(profile)
        judged = [
            site
            for site in profile.weight_sites
            if site.activation in SLOPES and not site.is_head and not graph.is_gate(site)
        ]
        slopes = [(site, slope) for site in judged if (slope := relative_slope(site)) is not None]
        slopes += [
            (site, slope)
            for site in _recurrent(profile)
            if (slope := _recurrent_slope(profile, site)) is not None
        ]
        flat = [(site, slope) for site, slope in slopes if slope < thresholds.saturated_slope]
        if flat:
            site, slope = min(flat, key=lambda pair: pair[1])
            yield self.finding(
                "warning" if 4 * len(flat) >= len(slopes) else "info",
                f"In {len(flat)} of {len(slopes)} layers the units saturate:"
                f" {listed(each.name for each, _ in flat)}. In `{site.name}` ({site.activation})"
                f" {percent(slope)} of the gradient's mean square passes that could.",
                site=site,
                measured=slope,
                expected=f"above {thresholds.saturated_slope:g}",
                culprits=tuple(dict.fromkeys(each.layer for each, _ in flat)),
            )


def _recurrent(profile: Profile) -> list[SiteStats]:
    """Recurrent layers that no training has changed yet."""
    return [
        site
        for site in profile.sites
        if site.kind == "recurrent" and site.activation in SLOPES and profile.step == 0
    ]


def _recurrent_slope(profile: Profile, site: SiteStats) -> float | None:
    return predicted_slope(profile, site, SLOPES[site.activation or ""])


def relative_slope(site: SiteStats) -> float | None:
    """Measured mean square of a squashing activation's slope over that of its steepest slope,
    0..1.
    """
    gradients = site.gradients
    if (
        gradients.z is None
        or gradients.h is None
        or not gradients.h.second_moment
        or gradients.z is gradients.h
    ):
        return None
    return (
        gradients.z.second_moment / gradients.h.second_moment / SLOPES[site.activation or ""] ** 2
    )


class DeadUnits(Rule):
    """Many units of a ReLU layer never speak."""

    code = "IC208"
    slug = "dead-units"
    title = "most units of a ReLU layer are zero for every sample"
    what = (
        "More than three quarters of the units of a ReLU layer are zero for every sample and"
        " position of the batch."
    )
    why = (
        "A unit that is silent for every sample gets no gradient; the layer is as narrow as what is"
        " left."
    )
    example = (
        'Dense(256, activation="relu", bias_initializer=Constant(-3)) on standard normal inputs.'
    )
    limits = (
        "Half of the units may be silent in a healthy deep network, whose samples have become"
        " alike. Batches below four samples are not judged. A layer that is silent altogether is"
        " dead-layer's."
    )
    fix = (
        "Initialise biases with zeros and kernels with he_normal; after divergence lower the"
        " learning rate."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such layer."""
        if profile.batch_size < FEWEST_SAMPLES:
            return
        for site in profile.weight_sites:
            h = site.activations.h
            if site.activation not in RECTIFIERS or site.is_head or h is None or not h.max_abs:
                continue
            units = max((site.output_shape or (1,))[-1], 1)
            bound = max(
                thresholds.dead_share,
                LARGEST_HEALTHY_SHARE + STANDARD_DEVIATIONS * math.sqrt(0.25 / units),
            )
            if h.share_dead > bound:
                yield self.finding(
                    "warning",
                    f"{percent(h.share_dead)} of the units of `{site.name}` are zero for every"
                    " sample.",
                    site=site,
                    measured=h.share_dead,
                    expected=f"below {bound:.2g}",
                    culprits=(site.layer,),
                )


class CollapsedSamples(Rule):
    """The network maps every sample to the same point."""

    code = "IC206"
    slug = "collapsed-samples"
    title = "the signal no longer tells the samples apart"
    what = (
        "Behind the last hidden layer less than 1e-4 of the signal's variance is between samples,"
        " although the input's are different. What is left is the same for every sample, as with"
        " deep sigmoid networks."
    )
    why = (
        "The head sees a constant: nothing but its bias can be learnt until the layers below have"
        " moved a long way."
    )
    example = "Five sigmoid layers of 100 units with weights N(0, 0.01²): 1e-13."
    limits = (
        "Needs four samples, inputs that differ, and an exact probe (the first one of a training)."
        " Healthy ReLU networks keep 4e-3 at 100 layers and 5e-4 at 300."
    )
    fix = (
        "Larger weights below sigmoids, or an activation with mean zero such as tanh; batch"
        " normalisation; fewer layers."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most: the first layer where the samples have collapsed."""
        if profile.batch_size < FEWEST_SAMPLES or not any(
            moments.batch_share > SPREAD_INPUT for _, moments in profile.inputs
        ):
            return
        hidden = [site for site in profile.weight_sites if not site.is_head]
        if not hidden or not _is_collapsed(hidden[-1], thresholds):
            return
        start = hidden[-1]
        for site in reversed(hidden):
            if not _is_collapsed(site, thresholds):
                break
            start = site
        share = hidden[-1].activations.h.batch_share if hidden[-1].activations.h else 0.0
        yield self.finding(
            "error" if share < thresholds.collapsed_batch_share**2 else "warning",
            f"From `{start.name}` on the samples are alike: of the variance of `{hidden[-1].name}`"
            f" {percent(share)} is between them.",
            site=start,
            measured=share,
            expected=f"above {thresholds.collapsed_batch_share:g}",
            culprits=(start.layer,),
        )


def _is_collapsed(site: SiteStats, thresholds: Thresholds) -> bool:
    """Repeated probes, which take no share of dead units, cannot tell: in their float32 sums such a
    share drowns in rounding.
    """
    h = site.activations.h
    is_exact = h is not None and not math.isnan(h.share_dead)
    return (
        h is not None
        and is_exact
        and h.variance > 0.0
        and h.batch_share < thresholds.collapsed_batch_share
    )
