"""Why a layer's signal may have another size than inputs and weights predict, from what the profile
shows of it.

The prediction takes weights that are independent of the signal and of each other, a Gaussian
pre-activation, and positions that are unrelated. Each cause here is one of these that does not
hold. They are asked in order, what is certain first; none may apply.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.analysis.variance_factors import FORWARD, factor
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.rules.measured import BIAS_SHARE, bias_share
from keras_initcheck.rules.rule import percent
from keras_initcheck.rules.thresholds import DEFAULTS
from keras_initcheck.rules.unit_rules import (
    LARGEST_HEALTHY_SHARE,
    RECTIFIERS,
    SLOPES,
    relative_slope,
)

OUTLYING = 10.0
"""Largest magnitude over the root mean square that calls for a word. A billion normal numbers stay
within 6.5.
"""
UNCENTRED_SHARE = 0.5
"""Share of a signal's second moment that its mean may have before it is called uncentred."""
ALIKE = 0.1
"""Share of the variance that is between samples below which they are called alike; of unrelated
samples it is 1.
"""


@dataclass(frozen=True)
class Explanation:
    """A cause in one plain sentence, and what to do about it."""

    sentence: str
    fix: str


UNKNOWN = Explanation(
    "No cause is known for it.",
    "Nothing, as long as the gains are in order; look at this layer's input, and report a healthy"
    " network that shows this.",
)


def explain(profile: Profile, site: SiteStats) -> Explanation:
    """The first cause that the profile shows at that site, or that none is known."""
    causes = CAUSES_BY_KIND.get(site.kind, ())
    return next((found for cause in causes if (found := cause(profile, site)) is not None), UNKNOWN)


def _joined_alike(profile: Profile, site: SiteStats) -> Explanation | None:
    if "Pooling" not in site.layer_type:
        return None
    return Explanation(
        f"`{site.name}` joins positions that are alike, where the prediction takes them as"
        " unrelated.",
        "Nothing: that is in the data's nature.",
    )


def _merged(profile: Profile, site: SiteStats) -> Explanation | None:
    return Explanation(
        f"`{site.name}` joins signals that have something in common, where the prediction takes"
        " them as unrelated.",
        "Nothing, as long as the gains are in order.",
    )


def _trained(profile: Profile, site: SiteStats) -> Explanation | None:
    if profile.step == 0:
        return None
    return Explanation(
        "The weights have been trained, and are no longer independent of the signal.",
        "Nothing: training does that.",
    )


def _repeated(profile: Profile, site: SiteStats) -> Explanation | None:
    """The same values as an earlier kernel: a layer then meets a signal that was made with its own
    weights.
    """
    own = {(kernel.shape, kernel.fingerprint) for kernel in profile.kernels(site.layer)}
    for other in profile.weight_sites:
        if other.index >= site.index:
            break
        if other.layer != site.layer and own & {
            (kernel.shape, kernel.fingerprint) for kernel in profile.kernels(other.layer)
        }:
            return Explanation(
                f"It has the same weights as `{other.layer}`, whose output they meet again.",
                "Give each layer its own seed.",
            )
    return None


def _shifted(profile: Profile, site: SiteStats) -> Explanation | None:
    found = factor(profile, site, FORWARD)
    if found is None or found.is_centred:
        return None
    return Explanation(
        "The weights have a mean, which adds up over inputs that go up and down together.",
        "Draw weights with mean zero.",
    )


def _biased(profile: Profile, site: SiteStats) -> Explanation | None:
    share = bias_share(profile, site)
    if share <= BIAS_SHARE:
        return None
    return Explanation(
        f"Its bias makes {percent(min(share, 1.0))} of the signal.", "Initialise biases with zeros."
    )


def _seems_trained(profile: Profile, site: SiteStats) -> Explanation | None:
    """Fresh biases are constants, zero as a rule."""
    biases = [weight for weight in profile.weights if weight.role == "bias"]
    if not biases or any(
        bias.moments.variance == 0.0 and bias.moments.num_elements > 1 for bias in biases
    ):
        return None
    return Explanation(
        "No bias has its initial value: the weights seem trained, and are then no longer"
        " independent of the signal.",
        "Nothing: training does that.",
    )


def _outlying(profile: Profile, site: SiteStats) -> Explanation | None:
    x = site.activations.x
    if x is None or x.max_abs <= OUTLYING * math.sqrt(x.second_moment):
        return None
    times = f"{x.max_abs / math.sqrt(x.second_moment):.0f} times the root mean square"
    if Graph(profile).is_fed_by_data(site):
        return Explanation(
            f"The data is not normalised: its largest value is {times}.",
            "Scale each feature by itself, or clip or take logarithms.",
        )
    return Explanation(
        f"A few values make most of the signal: the largest is {times}.",
        "Scale each feature of the data by itself.",
    )


def _uncentred(profile: Profile, site: SiteStats) -> Explanation | None:
    x = site.activations.x
    if (
        x is None
        or x.mean**2 <= UNCENTRED_SHARE * x.second_moment
        or not Graph(profile).is_fed_by_data(site)
    ):
        return None
    return Explanation(
        "The data is not centred: its mean is most of its size.",
        "Subtract the mean of each feature.",
    )


def _saturated(profile: Profile, site: SiteStats) -> Explanation | None:
    slope = relative_slope(site) if site.activation in SLOPES else None
    if slope is None or slope >= DEFAULTS.saturated_slope:
        return None
    return Explanation(
        f"Its units saturate: {percent(slope)} of the gradient passes.",
        "Smaller weights, or a normalised input.",
    )


def _dead(profile: Profile, site: SiteStats) -> Explanation | None:
    h = site.activations.h
    if h is None or site.activation not in RECTIFIERS or not h.share_dead > LARGEST_HEALTHY_SHARE:
        return None
    return Explanation(
        f"{percent(h.share_dead)} of its units are zero for every sample.",
        "He weights, and biases of zero.",
    )


def _padded(profile: Profile, site: SiteStats) -> Explanation | None:
    if not _has_same_padding(profile, site):
        return None
    return Explanation(
        "Its padding weighs another part of the signal than the prediction has it, which takes"
        " every position as equally bright.",
        "Nothing: images with a plain border do that.",
    )


def _has_same_padding(profile: Profile, site: SiteStats) -> bool:
    """Of a convolution: as many positions out as in, although the kernel is wider than one."""
    before, after, kernels = site.input_shape, site.output_shape, profile.kernels(site.layer)
    if "Conv" not in site.layer_type or before is None or after is None or not kernels:
        return False
    return before[1:-1] == after[1:-1] and any(size > 1 for size in kernels[0].shape[:-2])


def _alike(profile: Profile, site: SiteStats) -> Explanation | None:
    x: Moments | None = site.activations.x
    if x is None or not x.batch_share < ALIKE:
        return None
    return Explanation(
        f"Its samples are alike, {percent(x.batch_share)} of the variance is between them: they"
        " count as few, and chance is large.",
        "Shuffle the data, or give a batch of different samples.",
    )


Cause = Callable[[Profile, SiteStats], Explanation | None]
_OF_WEIGHTS = (_trained, _repeated, _shifted, _biased, _seems_trained)
_OF_SIGNAL = (_outlying, _uncentred, _saturated, _dead, _padded, _alike)
CAUSES_BY_KIND: dict[str, Sequence[Cause]] = {
    "weight": (*_OF_WEIGHTS, *_OF_SIGNAL),
    "merge": (_trained, _merged),
    "block": (_trained, _merged),
    "pass": (_joined_alike,),
}
"""What is asked of a site of each kind, in that order."""
