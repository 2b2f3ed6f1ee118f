"""Kernels whose values are no random draw: equal, zero, repeated, or of few directions."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import (
    MEAN,
    SECOND_MOMENT,
    SHARE_NONFINITE,
    SHARE_ZERO,
    SIZE,
    VARIANCE,
)
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

LARGEST_ZERO_SHARE = 0.01
"""Random draws in float32 hold next to no exact zero, identities and fixed filters many."""

RANK_COUNTED_TO = 16
"""Directions up to which `WeightStats.rank` counts."""

LEAST_ROUNDING = 1e-5
"""Rounding of the projections of a small kernel: a hundred times what float32 makes of a sum."""
ROUNDING = 1e-7
"""Growth of that rounding with the root of a kernel's size, where a backend sums one by one."""


def are_constant(evidence: Evidence, share: float) -> BoolArray:
    """`(weights,)`, whether all values of a weight are equal, and not zero."""
    moments = evidence.measurement.weights
    second_moment = moments[:, SECOND_MOMENT]
    is_equal = moments[:, VARIANCE] <= share * second_moment
    is_finite = moments[:, SHARE_NONFINITE] == 0.0
    found: BoolArray = is_finite & (moments[:, SIZE] > 1) & (second_moment > 0.0) & is_equal
    return found


def is_hidden(evidence: Evidence, layer: str) -> bool:
    """Whether the layer is no head in any of its calls."""
    return layer not in evidence.analysis.head_layers


def _called(evidence: Evidence, is_wanted: BoolArray) -> list[tuple[WeightStats, SiteStats]]:
    """The wanted kernels of weight layers that were called, each with its first site.

    Args:
        evidence: The evidence.
        is_wanted: `(weights,)`, whether a weight is wanted.
    """
    kernels = evidence.analysis.called_kernels
    weights = map(evidence.weight, kernels[is_wanted[kernels]].tolist())
    return [(weight, evidence.site(weight.site)) for weight in weights if weight.site is not None]


class ConstantKernel(Rule):
    """A kernel whose values are all the same number."""

    code = "IC105"
    slug = "constant-kernel"
    title = "all weights of a kernel are equal"
    what = "All values of a kernel, or of an embedding, are the same number, other than zero."
    why = (
        "All units of the layer compute the same number from whatever they receive. Only"
        " differences between the weights of later layers can distinguish the units; where those"
        " weights are constant too, the units stay identical forever. A constant embedding makes"
        " all tokens alike: no sample differs from another until its rows have drifted apart."
    )
    example = 'Dense(64, activation="relu", kernel_initializer="ones"), as a first layer.'
    limits = (
        "An error in hidden layers with several units that are trained; information in heads,"
        " in depthwise kernels (the average of each channel may be intended), in frozen layers,"
        " in layers of one unit, and in embeddings that are merged. Recurrent kernels are not"
        " judged."
    )
    fix = 'Use a random initializer, such as "he_normal" with ReLU or "glorot_normal" with tanh.'
    cure = Cure.REDRAW

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel or embedding."""
        is_constant = are_constant(evidence, thresholds.constant_share)
        for weight, site in _called(evidence, is_constant):
            is_fault = (
                is_hidden(evidence, weight.layer)
                and weight.is_trainable
                and _num_mixing_units(weight, site) > 1
            )
            yield self.finding(
                "error" if is_fault else "info",
                f"Every value of `{weight.name}` {weight.shape} is {number(weight.moments.mean)}.",
                site=site,
                measured=weight.moments.variance,
                expected="a variance above zero",
                culprits=(weight.layer,),
            )
        embeddings = evidence.analysis.called_embeddings
        for position in embeddings[is_constant[embeddings]].tolist():
            yield self._report_embedding(evidence, evidence.weight(position))

    def _report_embedding(self, evidence: Evidence, weight: WeightStats) -> Finding:
        is_harmless = (
            evidence.analysis.graph.is_branch[weight.site]
            or not weight.is_trainable
            or weight.shape[0] == 1
        )
        return self.finding(
            "info" if is_harmless else "error",
            f"Every value of `{weight.name}` {weight.shape} is {number(weight.moments.mean)}:"
            " every token gets the same vector.",
            site=evidence.site_of(weight),
            fix='Use a random initializer: "uniform" is Keras\' default.',
            measured=weight.moments.variance,
            expected="a variance above zero",
            culprits=(weight.layer,),
        )


def _num_mixing_units(weight: WeightStats, site: SiteStats) -> float:
    """Number of units that receive the same inputs.

    It is 1 for kernels that keep channels apart, and where the fans are not known.
    """
    if (
        not weight.fan_in
        or "depthwise" in weight.name.rsplit("/", 1)[-1]
        or "Depthwise" in site.layer_type
    ):
        return 1.0
    return weight.moments.num_elements / weight.fan_in


class ZeroKernel(Rule):
    """A kernel whose values are all zero."""

    code = "IC106"
    slug = "zero-kernel"
    title = "all weights of a kernel are zero"
    what = "All values of a kernel are zero."
    why = (
        "Nothing of the input passes, and no gradient reaches the layers before. With ReLU the"
        " layer itself receives none either, and stays dead."
    )
    example = 'Dense(64, activation="relu", kernel_initializer="zeros") between two other layers.'
    limits = (
        "Information where zeros are intended: in heads, and where the output is merged with"
        " another one, directly or after a normalization, scale, dropout or activation (the last"
        " layer of a residual branch). The same is assumed where a subclassed model does"
        " arithmetic on the output outside of layers. Recurrent kernels and embeddings are not"
        " judged."
    )
    fix = 'Use a random initializer, such as "he_normal" with ReLU or "glorot_normal" with tanh.'
    cure = Cure.REDRAW_ZEROS

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel."""
        for weight, site in _called(evidence, evidence.is_zero_weight):
            meant = ""
            if not is_hidden(evidence, weight.layer):
                meant = "a head"
            elif evidence.analysis.graph.is_branch[site.index]:
                meant = "a branch that is merged"
            yield self.finding(
                "info" if meant else "error",
                f"All values of `{weight.name}` are zero"
                + (f", which is intended in {meant}." if meant else " in a hidden layer."),
                site=site,
                fix="Nothing, if the zeros are intended." if meant else self.fix,
                measured=0.0,
                expected="a variance above zero",
                culprits=(weight.layer,),
            )


class DuplicateKernels(Rule):
    """Layers that drew the same random numbers."""

    code = "IC107"
    slug = "duplicate-kernels"
    title = "different layers drew the same random numbers"
    what = (
        "Kernels of different layers hold the same random numbers, in any shape and but for a"
        " common factor: two projections of their values on fixed directions agree to rounding."
    )
    why = (
        "Every initialization rule assumes independent weights; identical ones correlate the"
        " layers, and parallel layers learn the same. With one draw for all layers, SGD took 1.1"
        " times the steps for 10 and 20 ReLU layers on digits, and 1.5 times for 30; Adam hardly"
        " more than usual (tests/benchmarks/steps_to_learn.py --seeds 3)."
    )
    example = (
        "init = HeNormal(seed=1); [Dense(64, kernel_initializer=init) for _ in range(4)]: a"
        " seeded initializer repeats itself."
    )
    limits = (
        "Left out are kernels that are constant, zero or hold many exact zeros (identity, fixed"
        " filters), and kernels that are not trained (the slow copy of a momentum encoder). Only"
        " kernels with equally many values are compared. Repeated probes of a running training"
        " take no fingerprints, and cannot judge this."
    )
    fix = (
        'Give each layer an initializer of its own: a string such as "he_normal", or an'
        " instance with another seed. For reproducibility call keras.utils.set_random_seed."
    )
    cure = Cure.REDRAW_ALL_BUT_FIRST

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each group of equal draws."""
        called = evidence.analysis.called_kernels
        positions = called[_are_random(evidence, thresholds.constant_share)[called]]
        for group in _equal_draws(evidence, positions):
            layers = tuple(dict.fromkeys(evidence.analysis.weights[each].layer for each in group))
            if len(layers) > 1:
                yield self._report(layers, [evidence.weight(each) for each in group], evidence)

    def _report(
        self, layers: tuple[str, ...], weights: Sequence[WeightStats], evidence: Evidence
    ) -> Finding:
        shapes = {weight.shape for weight in weights}
        names = listed(f"{weight.layer} {weight.shape}" for weight in weights)
        what = (
            f"{len(layers)} layers have the same kernel {weights[0].shape}, value for value:"
            f" {listed(layers)}."
            if len(shapes) == 1 and _are_close([weight.norm for weight in weights])
            else f"{len(layers)} layers drew the same random numbers, in kernels of another shape"
            f" or size: {names}."
        )
        return self.finding(
            "warning",
            f"{what} Usually they share one instance of an initializer, or a seed.",
            site=evidence.site_of(weights[1]),
            expected="independent random values",
            culprits=layers,
        )


def _equal_draws(evidence: Evidence, positions: IntArray) -> list[list[int]]:
    """Groups of two or more kernels with the same values, but for their shape and a factor.

    A kernel of `n` independent values has a mean and a projection on fixed signs that, in units of
    its root mean square over `sqrt(n)`, are independent and of standard deviation one. Both agree
    by chance for one pair in 1e7 at a million values, and for fewer in smaller kernels.
    """
    moments = evidence.measurement.weights[positions]
    sizes = moments[:, SIZE]
    unit = np.sqrt(moments[:, SECOND_MOMENT] / sizes)
    coordinates = np.stack(
        [sizes, evidence.measurement.weight_fingerprint[positions] / unit, moments[:, MEAN] / unit],
        axis=1,
    )
    groups: list[list[int]] = []
    for position in np.lexsort(coordinates.T[::-1]).tolist():
        tolerance = LEAST_ROUNDING + ROUNDING * math.sqrt(sizes[position])
        distance = np.abs(coordinates[position] - coordinates[groups[-1][0]]) if groups else None
        if distance is not None and (distance <= tolerance).all():
            groups[-1].append(position)
        else:
            groups.append([position])
    # In the order of the layers.
    return [sorted(positions[group].tolist()) for group in groups if len(group) > 1]


def _are_close(numbers: Sequence[float]) -> bool:
    return max(numbers) - min(numbers) <= LEAST_ROUNDING * max(numbers)


class CollapsedRank(Rule):
    """A kernel whose units are combinations of a few."""

    code = "IC108"
    slug = "collapsed-rank"
    title = "a kernel has few directions: its units are combinations of one another"
    what = (
        "All singular values of a kernel are below a hundredth of the largest one, except for"
        " as many as a quarter of its smaller side, or 4 if that side is above 16. Independent"
        " draws have full rank and singular values of one size: in a square kernel the median"
        " one is 0.40 of the largest (Marchenko & Pastur 1967). They are counted from the"
        " product of the kernel with 16 random vectors."
    )
    why = (
        "The layer passes on no more than that many numbers of its input, however many units it"
        " has. What it drops is lost to all later layers, and the gradient to earlier ones has"
        " as few directions."
    )
    example = (
        "kernel.assign(np.outer(u, v)); a first filter that is broadcast to all others; a"
        " pretrained filter tiled over many channels."
    )
    limits = (
        "Hidden kernels that are trained, with at least four units on both sides; information"
        " in heads and frozen layers. A bottleneck or an adapter of low rank consists of kernels"
        " that have full rank themselves. Constant and zero kernels have rules of their own."
        " Repeated probes of a running training do not count directions, and cannot judge this."
    )
    fix = "Draw all values independently, or use orthogonal initialization."
    cure = Cure.REDRAW

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel."""
        is_counted = ~np.isnan(evidence.measurement.weight_rank)
        if not is_counted.any():  # as in every repeated probe
            return
        has_own_rule = evidence.is_zero_weight | are_constant(evidence, thresholds.constant_share)
        for weight, site in _called(evidence, is_counted & ~has_own_rule):
            rank, num_units = weight.rank or 0, weight.shape[-1]
            side = min(weight.moments.num_elements // num_units, num_units)
            bound = min(side, RANK_COUNTED_TO) // 4
            if rank <= bound:
                yield self._report(evidence, weight, site, bound, side)

    def _report(
        self, evidence: Evidence, weight: WeightStats, site: SiteStats, bound: int, side: int
    ) -> Finding:
        is_fault = is_hidden(evidence, weight.layer) and weight.is_trainable
        is_one = weight.rank == 1
        directions = "a single direction" if is_one else f"only {weight.rank} directions"
        return self.finding(
            "warning" if is_fault else "info",
            f"`{weight.name}` {weight.shape} has {directions}: its {weight.shape[-1]} units"
            f" are {'multiples of it' if is_one else 'combinations of them'}.",
            site=site,
            measured=float(weight.rank or 0),
            expected=f"more than {bound}; {side} is full rank",
            culprits=(weight.layer,),
        )


def _are_random(evidence: Evidence, constant_share: float) -> BoolArray:
    """`(weights,)`, whether a weight holds a random draw that is trained and was projected."""
    moments = evidence.measurement.weights
    fingerprint = evidence.measurement.weight_fingerprint
    found: BoolArray = (
        (moments[:, SHARE_NONFINITE] == 0.0)
        & ~(moments[:, SHARE_ZERO] >= LARGEST_ZERO_SHARE)
        & (moments[:, SIZE] > 1)
        & ~are_constant(evidence, constant_share)
        & evidence.analysis.is_trained_weight
        & (fingerprint != 0.0)
        & ~np.isnan(fingerprint)
    )
    return found
