"""Causes for which a layer's signal may have another size than predicted, as the profile shows.

The prediction assumes weights that are independent of the signal and of each other, a Gaussian
pre-activation, and positions that are unrelated. Each cause here violates one of these. They are
checked in order, the certain ones first; none may apply.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import FORWARD
from keras_initcheck.records.measurement import SIZE, VARIANCE
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.structure import SiteKind
from keras_initcheck.rules.measured import BIAS_SHARE
from keras_initcheck.rules.rule import UNCENTERED_SHARE, percent
from keras_initcheck.rules.thresholds import DEFAULTS
from keras_initcheck.rules.unit_rules import (
    LARGEST_HEALTHY_SHARE,
    RECTIFIERS,
    relative_slopes,
)
from keras_initcheck.rules.wording import number

OUTLYING = 10.0
"""Largest magnitude over the root mean square that calls for a word. A billion normal numbers stay
within 6.5.
"""
ALIKE = 0.1
"""Share of the variance that is between samples below which they are called alike; of unrelated
samples it is 1.
"""


@dataclass(frozen=True)
class Explanation:
    """A cause in one plain sentence, and what to do about it."""

    sentence: str
    fix: str


NO_CAUSE = Explanation(
    "Its cause is not known.",
    "Nothing, as long as the gains are in order; look at this layer's input, and report a healthy"
    " network that shows this.",
)


def explain(evidence: Evidence, site: SiteStats) -> Explanation:
    """The first cause that the profile shows at a site, or that none is known."""
    causes = CAUSES_BY_KIND.get(site.kind, ())
    return next(
        (found for cause in causes if (found := cause(evidence, site)) is not None), NO_CAUSE
    )


def _joined_alike(evidence: Evidence, site: SiteStats) -> Explanation | None:
    if "Pooling" not in site.layer_type:
        return None
    return Explanation(
        f"`{site.name}` joins positions that are alike, whereas the prediction assumes unrelated"
        " ones.",
        "Nothing: the data is like that.",
    )


def _merged(evidence: Evidence, site: SiteStats) -> Explanation | None:
    return Explanation(
        f"`{site.name}` joins signals that have something in common, whereas the prediction assumes"
        " unrelated ones.",
        "Nothing, as long as the gains are in order.",
    )


def _trained(evidence: Evidence, site: SiteStats) -> Explanation | None:
    if evidence.profile.step == 0:
        return None
    return Explanation(
        "The weights have been trained, and are no longer independent of the signal.",
        "Nothing: training does that.",
    )


def _repeated(evidence: Evidence, site: SiteStats) -> Explanation | None:
    """The same values as an earlier kernel: the layer receives a signal of its own weights."""
    own = {(kernel.shape, kernel.fingerprint) for kernel in evidence.kernels(site.layer)}
    for other in evidence.analysis.sites[: site.index]:
        if other.kind == "weight" and other.layer != site.layer:
            theirs = evidence.kernels(other.layer)
            if own & {(kernel.shape, kernel.fingerprint) for kernel in theirs}:
                return Explanation(
                    f"Its weights equal those of `{other.layer}`, and are not independent of its"
                    " input.",
                    "Give each layer its own seed.",
                )
    return None


def _shifted(evidence: Evidence, site: SiteStats) -> Explanation | None:
    found = evidence.ratio(site, FORWARD)
    if found is None or found.is_centered:
        return None
    return Explanation(
        "The weights have a mean, which adds up over inputs that go up and down together.",
        "Draw weights with mean zero.",
    )


def _biased(evidence: Evidence, site: SiteStats) -> Explanation | None:
    share = evidence.bias_share(site)
    if share <= BIAS_SHARE:
        return None
    return Explanation(
        f"Its bias makes {percent(min(share, 1.0))} of the signal.", "Initialize biases with zeros."
    )


def _seems_trained(evidence: Evidence, site: SiteStats) -> Explanation | None:
    """Fresh biases are constants, zero as a rule."""
    biases = evidence.measurement.weights[evidence.analysis.is_bias]
    is_initial = (biases[:, VARIANCE] == 0.0) & (biases[:, SIZE] > 1)
    if not biases.size or is_initial.any():
        return None
    return Explanation(
        "No bias has its initial value: the weights seem trained, and are then no longer"
        " independent of the signal.",
        "Nothing: training does that.",
    )


def _outlying(evidence: Evidence, site: SiteStats) -> Explanation | None:
    x = site.activations.x
    if x is None or x.max_abs <= OUTLYING * math.sqrt(x.second_moment):
        return None
    times = f"{number(x.max_abs / math.sqrt(x.second_moment))} times the root mean square"
    if evidence.analysis.graph.is_fed_by_data[site.index]:
        return Explanation(
            f"The data is not normalized: its largest value is {times}.",
            "Scale each feature separately, clip it, or take its logarithm.",
        )
    return Explanation(
        f"A few values make most of the signal: the largest is {times}.",
        "Scale each feature of the data separately.",
    )


def _uncentered(evidence: Evidence, site: SiteStats) -> Explanation | None:
    x = site.activations.x
    if (
        x is None
        or x.mean**2 <= UNCENTERED_SHARE * x.second_moment
        or not evidence.analysis.graph.is_fed_by_data[site.index]
    ):
        return None
    return Explanation(
        "The data is not centered: its mean is larger than its standard deviation.",
        "Subtract the mean of each feature.",
    )


def _saturated(evidence: Evidence, site: SiteStats) -> Explanation | None:
    slope = float(relative_slopes(evidence)[site.index])
    if not slope < DEFAULTS.saturated_slope:  # `nan` where it is not known
        return None
    return Explanation(
        f"Its units saturate: {percent(math.sqrt(slope))} of the gradient passes.",
        "Use smaller weights, or normalize the input.",
    )


def _dead(evidence: Evidence, site: SiteStats) -> Explanation | None:
    h = site.activations.h
    if h is None or site.activation not in RECTIFIERS or not h.share_dead > LARGEST_HEALTHY_SHARE:
        return None
    return Explanation(
        f"{percent(h.share_dead)} of its units are zero for every sample.",
        "Use He weights, and biases of zero.",
    )


def _padded(evidence: Evidence, site: SiteStats) -> Explanation | None:
    if not _has_same_padding(evidence, site):
        return None
    return Explanation(
        "Its padding replaces a part of the signal that is larger or smaller than the average,"
        " whereas the prediction assumes positions of equal size.",
        "Nothing: images with a plain border do that.",
    )


def _has_same_padding(evidence: Evidence, site: SiteStats) -> bool:
    """Whether a convolution with a wider kernel than one keeps the number of positions."""
    before, after, kernels = site.input_shape, site.output_shape, evidence.kernels(site.layer)
    if "Conv" not in site.layer_type or before is None or after is None or not kernels:
        return False
    return before[1:-1] == after[1:-1] and any(size > 1 for size in kernels[0].shape[:-2])


def _alike(evidence: Evidence, site: SiteStats) -> Explanation | None:
    x = site.activations.x
    if x is None or not x.batch_share < ALIKE:
        return None
    return Explanation(
        f"Its samples are alike, with only {percent(x.batch_share)} of the variance between them:"
        " they count as few samples, and chance has a large effect.",
        "Shuffle the data, or pass a batch of different samples.",
    )


Cause = Callable[[Evidence, SiteStats], Explanation | None]
_OF_WEIGHTS = (_trained, _repeated, _shifted, _biased, _seems_trained)
_OF_SIGNAL = (_outlying, _uncentered, _saturated, _dead, _padded, _alike)
CAUSES_BY_KIND: Mapping[SiteKind, Sequence[Cause]] = {
    "weight": (*_OF_WEIGHTS, *_OF_SIGNAL),
    "merge": (_trained, _merged),
    "block": (_trained, _merged),
    "pass": (_joined_alike,),
}
"""Causes to check at a site of each kind, in that order."""
