"""Units and samples on the batch: saturated, silent, or all alike."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.recurrent import predicted_slope
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import (
    BATCH_SHARE,
    MAX_ABS,
    SECOND_MOMENT,
    SHARE_DEAD,
    VARIANCE,
    H,
    Z,
)
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import FEWEST_SAMPLES, Rule, listed, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

FloatArray = npt.NDArray[np.float64]

SLOPES = {
    "tanh": 1.0,
    "hard_tanh": 1.0,
    "softsign": 1.0,
    "sigmoid": 0.25,
    "hard_sigmoid": 1 / 6,
    "sparse_sigmoid": 0.5,
}
"""The squashing activations with their steepest slopes."""

LENIENT_SHARE = 2 / 3
"""Share of the least healthy slope that is enough in recurrent layers, whose slope is predicted,
and once weights were trained or loaded. Training brings units to their ends by itself: the second
of two tanh layers, healthy at first, had a slope of 0.146 after 1200 steps of Adam at 0.01, and the
network an accuracy of 99% on digits.
"""
RECTIFIERS = ("relu", "relu6")
LARGEST_HEALTHY_SHARE = 0.5
"""A ReLU unit is silent for one sample with probability 1/2, and for all of them as well where they
point the same way.
"""
STANDARD_DEVIATIONS = 4.5
"""Standard deviations of a binomial share: 3e-6 by chance."""
SPREAD_INPUT = 0.01


class SaturatedUnits(Rule):
    """Squashing activations driven to their flat ends."""

    code = "IC205"
    slug = "saturated-units"
    breaks_layers = True
    title = "units saturate, where the slope of their activation is flat"
    what = (
        "Behind tanh, sigmoid, softsign and their hard variants, the mean squared slope is less"
        " than 0.15 of the squared steepest slope, or than 0.1 once weights were trained or"
        " loaded and in recurrent layers. The slope is measured by what the"
        " activation does to a random gradient. The candidate state inside LSTM, GRU and"
        " SimpleRNN is judged before training, by the size that the weights give its"
        " pre-activation."
    )
    why = (
        "A flat unit passes no gradient back: what is below it learns slowly or not at all"
        " (Glorot & Bengio 2010, section 3)."
    )
    example = (
        'Dense(256, activation="tanh", kernel_initializer=RandomNormal(stddev=1.0)) on 256'
        " inputs: z has a standard deviation of 10 and more."
    )
    limits = (
        "One finding for the whole network. Heads, gates and a user's own recurrent cells are"
        " left out."
    )
    fix = (
        'Use smaller weights, such as "glorot_normal" with tanh, or normalize the input of'
        " these layers."
    )
    cure = Cure.RESCALE_AND_RESET_BIASES

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most.

        A warning where a quarter of the squashing layers saturate, else information.
        """
        slopes = self._slopes(evidence)
        least = self._least_healthy(evidence, thresholds, slopes)
        flat = {index: slope for index, slope in slopes.items() if slope < least[index]}
        if flat:
            worst = min(flat, key=flat.__getitem__)
            sites = [evidence.analysis.sites[index] for index in flat]
            site, slope = evidence.analysis.sites[worst], flat[worst]
            yield self.finding(
                "warning" if 4 * len(flat) >= len(slopes) else "info",
                f"In {len(flat)} of {len(slopes)} layers the units saturate:"
                f" {listed(each.name for each in sites)}. `{site.name}` ({site.activation}) passes"
                f" on only {percent(math.sqrt(slope))} of the gradient that unsaturated units"
                " would.",
                site=site,
                measured=slope,
                expected=f"above {number(least[worst])}",
                culprits=tuple(dict.fromkeys(each.layer for each in sites)),
            )

    def _least_healthy(
        self, evidence: Evidence, thresholds: Thresholds, indices: Iterable[int]
    ) -> dict[int, float]:
        lenient = LENIENT_SHARE * thresholds.saturated_slope
        least = lenient if _has_learned(evidence) else thresholds.saturated_slope
        sites = evidence.analysis.sites
        return {k: lenient if sites[k].kind == "recurrent" else least for k in indices}

    def _slopes(self, evidence: Evidence) -> dict[int, float]:
        """The relative slope of every squashing layer, by site; recurrent ones come last."""
        analysis = evidence.analysis
        is_judged = analysis.where(_is_hidden_squashing) & ~analysis.graph.is_gate
        found: dict[int, float] = {}
        if is_judged.any():
            slopes = relative_slopes(evidence)
            indices = (is_judged & ~np.isnan(slopes)).nonzero()[0].tolist()
            found = {index: float(slopes[index]) for index in indices}
        if evidence.profile.step == 0:  # trained weights predict nothing of the cell
            for index in analysis.where(_is_recurrent_squashing).nonzero()[0].tolist():
                site = evidence.site(index)
                slope = predicted_slope(evidence, site, SLOPES[site.activation or ""])
                if slope is not None:
                    found[index] = slope
        return found


def _has_learned(evidence: Evidence) -> bool:
    draws = evidence.measurement.weight_draws
    is_loaded = any(draw is not None and draw.verdict == "loaded or trained" for draw in draws)
    return evidence.profile.step > 0 or is_loaded


def _is_hidden_squashing(site: Site) -> bool:
    return site.kind == "weight" and site.activation in SLOPES and not site.is_head


def _is_recurrent_squashing(site: Site) -> bool:
    return site.kind == "recurrent" and site.activation in SLOPES


def _steepest_slope(site: Site) -> float:
    return SLOPES.get(site.activation or "", math.nan)


def relative_slopes(evidence: Evidence) -> FloatArray:
    """`(sites,)`, measured mean squared slope over the squared steepest slope, 0..1.

    `nan` where the activation does not squash, or where the slope was not measured.
    """
    gradients = evidence.measurement.gradients
    if gradients is None:
        return np.full(len(evidence.analysis.sites), np.nan)
    z, h = gradients[:, Z, SECOND_MOMENT], gradients[:, H, SECOND_MOMENT]
    steepest = evidence.analysis.per_site(_steepest_slope) ** 2
    slopes: FloatArray = z / np.where(h != 0.0, h, np.nan) / steepest
    return slopes


class DeadUnits(Rule):
    """Many units of a ReLU layer that are always zero."""

    code = "IC208"
    slug = "dead-units"
    breaks_layers = True
    title = "most units of a ReLU layer are zero for every sample"
    what = (
        "More than three quarters of the units of a ReLU layer are zero for every sample and"
        " position of the batch."
    )
    why = (
        "A unit that is zero for every sample receives no gradient; the layer is as narrow as"
        " what is left."
    )
    example = (
        'Dense(256, activation="relu", bias_initializer=Constant(-3)) on standard normal inputs.'
    )
    limits = (
        "Half of the units may be zero in a healthy deep network, whose samples have become"
        " alike. Batches of fewer than four samples are not judged. A layer all of whose units"
        " are zero is reported by dead-layer."
    )
    fix = (
        "Initialize biases with zeros and kernels with he_normal; after divergence lower the"
        " learning rate."
    )
    cure = Cure.RESCALE_OR_REDRAW

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such layer."""
        if evidence.profile.batch_size < FEWEST_SAMPLES:
            return
        h = evidence.measurement.activations[:, H]
        chance = STANDARD_DEVIATIONS * np.sqrt(0.25 / evidence.analysis.per_site(_num_units))
        bounds = np.maximum(thresholds.dead_share, LARGEST_HEALTHY_SHARE + chance)
        is_dead = evidence.analysis.where(_is_hidden_rectifier) & (h[:, MAX_ABS] != 0.0)
        for index in (is_dead & (h[:, SHARE_DEAD] > bounds)).nonzero()[0].tolist():
            site, share = evidence.analysis.sites[index], float(h[index, SHARE_DEAD])
            yield self.finding(
                "warning",
                f"{percent(share)} of the units of `{site.name}` are zero for every sample.",
                site=site,
                measured=share,
                expected=f"below {number(float(bounds[index]))}",
                culprits=(site.layer,),
            )


def _is_hidden_rectifier(site: Site) -> bool:
    return site.kind == "weight" and site.activation in RECTIFIERS and not site.is_head


def _num_units(site: Site) -> float:
    return max((site.output_shape or (1,))[-1], 1)


class CollapsedSamples(Rule):
    """A network that maps every sample to the same point."""

    code = "IC206"
    slug = "collapsed-samples"
    title = "the signal no longer distinguishes the samples"
    what = (
        "Behind the last hidden layer less than 1e-4 of the signal's variance is between"
        " samples, although the inputs are different. What is left is the same for every sample,"
        " as with deep sigmoid networks."
    )
    why = (
        "The head receives a constant: nothing but its bias can be learned until the layers"
        " below have moved a long way."
    )
    example = "Five sigmoid layers of 100 units with weights N(0, 0.01²): 1e-13."
    limits = (
        "Needs four samples, inputs that differ, and an exact probe (the first one of a"
        " training). Healthy ReLU networks keep 4e-3 at 100 layers and 5e-4 at 300."
    )
    fix = (
        "Use larger weights below sigmoids, an activation with mean zero such as tanh, batch"
        " normalization, or fewer layers."
    )
    cure = Cure.RESCALE_AND_RESET_BIASES
    explained_by = ("zero-kernel", "dead-layer")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most: the first layer where the samples have collapsed."""
        profile = evidence.profile
        if profile.batch_size < FEWEST_SAMPLES or not any(
            moments.batch_share > SPREAD_INPUT for _, moments in profile.inputs
        ):
            return
        h = evidence.measurement.activations[:, H]
        # Repeated probes, which take no share of dead units, cannot tell: in their float32 sums
        # such a share drowns in rounding.
        is_collapsed = (
            ~np.isnan(h[:, SHARE_DEAD])
            & (h[:, VARIANCE] > 0.0)
            & (h[:, BATCH_SHARE] < thresholds.collapsed_batch_share)
        )
        hidden = evidence.analysis.where(_is_hidden).nonzero()[0]
        if not hidden.size or not is_collapsed[hidden[-1]]:
            return
        spread = (~is_collapsed[hidden]).nonzero()[0]
        start = evidence.analysis.sites[hidden[spread[-1] + 1 if spread.size else 0]]
        last, share = evidence.analysis.sites[hidden[-1]], float(h[hidden[-1], BATCH_SHARE])
        yield self.finding(
            "error" if share < thresholds.collapsed_batch_share**2 else "warning",
            f"From `{start.name}` on, all samples look alike. Only {percent(share)} of the variance"
            f" of `{last.name}` is between samples.",
            site=start,
            measured=share,
            expected=f"above {number(thresholds.collapsed_batch_share)}",
            culprits=(start.layer,),
        )


def _is_hidden(site: Site) -> bool:
    return site.kind == "weight" and not site.is_head
