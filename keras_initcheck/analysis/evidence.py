"""Evidence: what follows from one profile and is no finding, made once for all who ask."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.chain_runs import ChainRuns
from keras_initcheck.analysis.moment_rows import are_zero
from keras_initcheck.analysis.path_gains import PathGains
from keras_initcheck.analysis.predicted_ratios import LayerWeights, PredictedRatio, PredictedRatios
from keras_initcheck.analysis.prediction_errors import Deviation, deviations
from keras_initcheck.analysis.residual_stacks import Block, stacks
from keras_initcheck.analysis.site_kinds import SUM_TYPES, TRANSPARENT, sources
from keras_initcheck.analysis.structure_analysis import StructureAnalysis, analysis_of
from keras_initcheck.records.measurement import (
    MEAN,
    SECOND_MOMENT,
    SIZE,
    VARIANCE,
    H,
    Measurement,
    X,
    Z,
)
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.structure import Site, Weight

BoolArray = npt.NDArray[np.bool_]

SKIP_DOMINANCE = 10.0
"""A merge whose result has ten times the second moment of an operand lives on the others. A
residual branch whose gain is far beyond any budget (e^-6 is 1/403) is below that, and two equal
operands are not."""
SUM_TOLERANCE = 0.1
"""Share by which the second moment of a sum may differ from those of its operands together: a
branch of random weights is hardly correlated with its stream (about 1/8 for 64 units and one
sample, and less over a batch)."""
LOST_IN_EPSILON = float(np.exp(-6.0))
"""Second moment after a normalization (1 where it works) below which it has not restored the scale:
SGD's budget of a gain."""


class Evidence:
    """Conclusions from one profile, each made once, when it is first asked for.

    Arrays are over all sites, weights, or weight layers in the order of `analysis.fans`. What does
    not depend on the measurement is made once for all profiles of one structure.

    Args:
        profile: What was measured.

    Attributes:
        profile: The same.
        measurement: Its arrays.
        analysis: The analysis of its structure.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.measurement: Measurement = profile.measurement
        self.analysis: StructureAnalysis = analysis_of(profile.structure)
        self._sites: dict[int, SiteStats] = {}
        self._weights: dict[int, WeightStats] = {}
        self._runs: dict[str, ChainRuns] = {}
        self._ratios: dict[str, PredictedRatios] = {}

    def site(self, index: int) -> SiteStats:
        """The site with its statistics."""
        if index not in self._sites:
            self._sites[index] = self.measurement.site(self.analysis.sites[index])
        return self._sites[index]

    def weight(self, position: int) -> WeightStats:
        """The weight at a position, with its statistics."""
        if position not in self._weights:
            weight = self.analysis.weights[position]
            self._weights[position] = self.measurement.weight(weight, position)
        return self._weights[position]

    def site_of(self, weight: Weight) -> SiteStats | None:
        """The site of the first call of the layer that owns a weight; `None` if it has none."""
        return None if weight.site is None else self.site(weight.site)

    def kernels(self, layer: str) -> tuple[WeightStats, ...]:
        """The kernels of the layer at that path, in the order in which the layer applies them."""
        return tuple(map(self.weight, self.analysis.kernels.get(layer, ())))

    def biases(self, layer: str) -> tuple[WeightStats, ...]:
        """The biases of the layer at that path."""
        return tuple(map(self.weight, self.analysis.biases.get(layer, ())))

    def weights_of(self, layer: str) -> tuple[WeightStats, ...]:
        """All weights of the layer at that path."""
        return tuple(map(self.weight, self.analysis.weights_of.get(layer, ())))

    @cached_property
    def layer_weights(self) -> LayerWeights:
        """Statistics of the kernels and biases of all weight layers."""
        return LayerWeights(self.analysis.fans, self.measurement)

    @cached_property
    def is_zero_weight(self) -> BoolArray:
        """`(weights,)`, whether every value is exactly zero."""
        return are_zero(self.measurement.weights)

    def has_zero_kernel(self, layer: str) -> bool:
        """Whether a kernel of the layer is all zero."""
        return any(self.is_zero_weight[each] for each in self.analysis.kernels.get(layer, ()))

    def bias_second_moment(self, site: Site) -> float:
        """Second moment of what the biases of a weight layer add; 0 where there is none."""
        position = self.analysis.fans.position.get(site.index)
        return 0.0 if position is None else float(self.layer_weights.bias[position])

    def pre_activation(self, site: Site) -> float:
        """Second moment of the pre-activation of a site; `nan` where it was not measured."""
        return float(self.measurement.activations[site.index, Z, SECOND_MOMENT])

    def bias_share(self, site: Site) -> float:
        """Second moment of the biases over that of the pre-activation; 0 where it is not known."""
        z = self.pre_activation(site)
        return self.bias_second_moment(site) / z if z > 0.0 else 0.0

    def ratios(self, direction: str) -> PredictedRatios:
        """The predicted ratios of all weight layers."""
        if direction not in self._ratios:
            self._ratios[direction] = PredictedRatios(
                self.analysis.fans, self.layer_weights, self.measurement, direction
            )
        return self._ratios[direction]

    def runs(self, direction: str) -> ChainRuns:
        """The runs of all chains."""
        if direction not in self._runs:
            analysis = self.analysis
            self._runs[direction] = ChainRuns(
                self.ratios(direction), analysis.graph.is_fed_by_data, analysis.is_trainable
            )
        return self._runs[direction]

    def run(self, direction: str, number: int, *, counted: bool = False) -> list[PredictedRatio]:
        """The predicted ratios of one run; `counted` leaves out a layer that does not count."""
        positions = self.runs(direction).positions(number, counted=counted)
        found = [self._ratio(direction, position) for position in positions]
        return [ratio for ratio in found if ratio is not None]

    def ratio(self, site: Site, direction: str) -> PredictedRatio | None:
        """The predicted ratio of one site; `None` where it is not known."""
        position = self.analysis.fans.position.get(site.index)
        return None if position is None else self._ratio(direction, position)

    def _ratio(self, direction: str, position: int) -> PredictedRatio | None:
        site = self.analysis.sites[self.analysis.fans.sites[position]]
        return self.ratios(direction).of(position, site)

    @cached_property
    def is_idle_normalization(self) -> BoolArray:
        """`(sites,)`, whether a batch normalization runs by statistics that nothing has updated.

        They are means of 0 and variances of 1, with which the layer passes on what it gets.
        """
        sites, means, variances = self.analysis.moving_statistics.T
        weights = self.measurement.weights
        is_initial = (
            (weights[means, MEAN] == 0.0)
            & (weights[means, VARIANCE] == 0.0)
            & (weights[variances, MEAN] == 1.0)
            & (weights[variances, VARIANCE] == 0.0)
        )
        found = np.zeros(len(self.analysis.sites), bool)
        found[sites[is_initial]] = True
        return found

    @cached_property
    def is_normalized(self) -> BoolArray:
        """`(sites,)`, whether working normalizations alone receive an output.

        They may receive it directly or after activations, dropout and the like. A normalization
        removes the scale, in both directions: with batch normalization `BN((aW)u) = BN(Wu)`, and
        the gradient that passes it is divided by `a`, so that the product with the layer's own
        factor stays (Ioffe & Szegedy 2015, section 3.3). It fails where the variance is far below
        its epsilon, and where it runs by initial statistics; an output of zero is a gamma of zero.
        """
        graph = self.analysis.graph
        if not self.is_lost.any():
            return graph.meets_normalizations_only
        return graph.meets_normalizations_only & ~graph.meets(self.is_lost)

    @cached_property
    def is_lost(self) -> BoolArray:
        """`(sites,)`, whether a normalization does not restore the scale.

        Its epsilon is larger, or it runs by initial statistics.
        """
        h = self.measurement.activations[:, H, SECOND_MOMENT]
        is_tiny: BoolArray = self.analysis.divides_by_spread & (h > 0.0) & (h < LOST_IN_EPSILON)
        return is_tiny | self.is_idle_normalization

    @cached_property
    def path_gains(self) -> PathGains:
        """The measured gains along all paths."""
        return PathGains(self.analysis, self.measurement, self.is_lost)

    def is_beside_skip(self, site: Site) -> bool:
        """Whether the output is added to something that carries the signal.

        Nothing is lost then if the output is small. That is so in a residual block, whose other
        operand is what the branch was made from, where the sum is much larger, and where a sum
        outside of layers has the size of both together.
        """
        if site.index in self._in_branches:
            return True
        reached = self.analysis.graph.reached(site.index, (*TRANSPARENT, "other"))
        return bool(reached) and all(
            self._dominates(merge, site) or self._is_added(merge, site) for merge in reached
        )

    def is_beside_larger(self, site: Site) -> bool:
        """Whether what is made from the output is added to something that is much larger.

        Between them nothing else receives it. The cells of searched architectures add branches
        that have nothing in common but their input.
        """
        index, graph = site.index, self.analysis.graph
        while len(receivers := graph.receivers(index)) == 1:
            if self._residual_sum(receivers[0]) > 0.0:
                return self._dominates(receivers[0], self.analysis.sites[index])
            index = receivers[0]
        return False

    def _dominates(self, merge: int, site: Site) -> bool:
        """Whether a sum lives on other operands than a site.

        Their sizes decide, since a skip connection may start at the model's input or hold a
        projection of its own.
        """
        return self._residual_sum(merge) > SKIP_DOMINANCE * self.size(site.index)

    def _is_added(self, merge: int, site: Site) -> bool:
        """Whether a sum outside of layers has the size of a branch and its stream together."""
        total, branch = self._residual_sum(merge), self.size(site.index)
        return not self.analysis.sites[merge].inputs_known and any(
            abs(total - branch - stream) <= SUM_TOLERANCE * total for stream in self._streams(site)
        )

    def _streams(self, site: Site) -> Iterator[float]:
        """Second moments of what the chain that ends in a site may have been made from.

        That is the input of its first layer, or of the normalization before that.
        """
        members = [each for each in self.analysis.sites if each.chain == site.chain]
        before = members[0] if site.chain is not None else site
        while True:
            yield float(self.measurement.activations[before.index, X, SECOND_MOMENT])
            sources_of_it = sources(before)
            if len(sources_of_it) != 1:
                return
            yield self.size(sources_of_it[0])
            before = self.analysis.sites[sources_of_it[0]]
            if before.kind not in (*TRANSPARENT, "normalization"):
                return

    def _residual_sum(self, index: int) -> float:
        """Second moment of what may be a residual sum; `nan` if there is none.

        That is the output of a merge or a block, or an input that was made outside of layers.
        """
        site, activations = self.analysis.sites[index], self.measurement.activations
        if site.kind == "block" or (site.kind == "merge" and site.layer_type in SUM_TYPES):
            return float(activations[index, H, SECOND_MOMENT])
        return float("nan") if site.inputs_known else float(activations[index, X, SECOND_MOMENT])

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """The residual blocks whose branch and stream were measured."""
        size = self.measurement.activations[:, H, SIZE]
        return [
            block
            for block in self.analysis.blocks
            if size[block.skip] >= 0 and size[block.branch] >= 0
        ]

    @cached_property
    def stacks(self) -> Sequence[Sequence[Block]]:
        """The residual stacks, of at least three blocks."""
        if len(self.blocks) == len(self.analysis.blocks):
            return self.analysis.stacks
        return stacks(self.blocks, self.analysis.sites)

    def size(self, index: int) -> float:
        """Second moment of the output of a site; `nan` where it was not measured."""
        return float(self.measurement.activations[index, H, SECOND_MOMENT])

    @cached_property
    def _in_branches(self) -> frozenset[int]:
        return frozenset(index for block in self.blocks for index in block.sites)

    @cached_property
    def deviations(self) -> dict[int, Deviation]:
        """Deviations of the measured second moments from the predicted ones, by site."""
        return deviations(self.analysis.sites, self.measurement)

    def optimizers_of(self, sites: Sequence[Site]) -> set[str | None]:
        """Class names of the optimizers that train the sites, or the whole model if none does."""
        return {*self.analysis.optimizers.names(sites)} or {self.profile.optimizer}
