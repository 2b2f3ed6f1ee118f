"""Facts that follow from a structure alone, made once for it and shared by all its probes."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.layer_fans import LayerFans
from keras_initcheck.analysis.path_structure import PathStructure
from keras_initcheck.analysis.residual_stacks import Block, blocks, stacks
from keras_initcheck.analysis.site_graph import SiteGraph
from keras_initcheck.analysis.site_kinds import is_normalizing
from keras_initcheck.records.structure import Site, Structure, Weight

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]

_KEPT_AS = "_analysis"
"""Entry in the `__dict__` of a `Structure`, no field of it, under which its analysis is kept."""


class StructureAnalysis:
    """Graph, chains, fans and look-up tables of one structure.

    Each part is made when it is first asked for.

    Args:
        structure: What is analyzed. The analysis refers to its sites and weights, not to itself.
    """

    def __init__(self, structure: Structure) -> None:
        self.sites: tuple[Site, ...] = structure.sites
        self.weights: tuple[Weight, ...] = structure.weights
        self._masks: dict[Callable[[Site], bool], BoolArray] = {}
        self._masks_of_weights: dict[Callable[[Weight], bool], BoolArray] = {}
        self._numbers: dict[Callable[[Site], float], FloatArray] = {}

    def where(self, is_wanted: Callable[[Site], bool]) -> BoolArray:
        """`(sites,)`, whether a predicate is true, which must be a function of a module.

        The answer is kept for that function.
        """
        if is_wanted not in self._masks:
            self._masks[is_wanted] = np.array(list(map(is_wanted, self.sites)), bool)
        return self._masks[is_wanted]

    def where_weight(self, is_wanted: Callable[[Weight], bool]) -> BoolArray:
        """`(weights,)`, the same of the weights."""
        if is_wanted not in self._masks_of_weights:
            found = np.array(list(map(is_wanted, self.weights)), bool)
            self._masks_of_weights[is_wanted] = found
        return self._masks_of_weights[is_wanted]

    def per_site(self, number: Callable[[Site], float]) -> FloatArray:
        """`(sites,)` values of a function, which must be one of a module: they are kept for it."""
        if number not in self._numbers:
            self._numbers[number] = np.array(list(map(number, self.sites)), np.float64)
        return self._numbers[number]

    @cached_property
    def graph(self) -> SiteGraph:
        """The sites with their consumers."""
        return SiteGraph(self.sites)

    @cached_property
    def is_trainable(self) -> BoolArray:
        """`(sites,)`, whether a layer is trained."""
        return np.array([site.is_trainable for site in self.sites], bool)

    @cached_property
    def is_trained_weight(self) -> BoolArray:
        """`(weights,)`, whether a weight is trained."""
        return np.array([weight.is_trainable for weight in self.weights], bool)

    @cached_property
    def is_bias(self) -> BoolArray:
        """`(weights,)`, whether a weight is a bias."""
        return np.array([weight.role == "bias" for weight in self.weights], bool)

    @cached_property
    def divides_by_spread(self) -> BoolArray:
        """`(sites,)`, whether a normalization has an epsilon in which the scale can be lost."""
        return np.array(
            [
                is_normalizing(site) and site.layer_type != "UnitNormalization"
                for site in self.sites
            ],
            bool,
        )

    @cached_property
    def moving_statistics(self) -> IntArray:
        """`(normalizations, 3)`: site, moving mean and moving variance of those that run by them.

        The latter two are positions among the weights.
        """
        rows = []
        for site in self.sites if any(each.uses_moving_statistics for each in self.sites) else ():
            own = {self.weights[each].name: each for each in self.weights_of.get(site.layer, ())}
            names = [f"{site.layer}/{name}" for name in ("moving_mean", "moving_variance")]
            if site.uses_moving_statistics and own.keys() >= set(names):
                rows.append([site.index, *map(own.__getitem__, names)])
        return np.array(rows, np.intp).reshape(-1, 3)

    @cached_property
    def weights_of(self) -> Mapping[str, tuple[int, ...]]:
        """Positions of the weights of each layer."""
        return _grouped((weight.layer, position) for position, weight in enumerate(self.weights))

    @cached_property
    def head_layers(self) -> frozenset[str]:
        """Paths of the layers that are a head in one of their calls."""
        return frozenset(site.layer for site in self.sites if site.is_head)

    @cached_property
    def kernels(self) -> Mapping[str, tuple[int, ...]]:
        """Positions of the kernels of each layer, in the order in which the layer applies them."""
        return _grouped(
            (weight.layer, position)
            for position, weight in enumerate(self.weights)
            if weight.role == "kernel"
        )

    @cached_property
    def biases(self) -> Mapping[str, tuple[int, ...]]:
        """Positions of the biases of each layer."""
        return _grouped(
            (weight.layer, position)
            for position, weight in enumerate(self.weights)
            if weight.role == "bias"
        )

    @cached_property
    def kernels_of_call(self) -> Mapping[int | None, tuple[int, ...]]:
        """Positions of the kernels of the layer that is first called at each site."""
        return _grouped(
            (weight.site, position)
            for position, weight in enumerate(self.weights)
            if weight.role == "kernel"
        )

    @cached_property
    def called_kernels(self) -> IntArray:
        """Positions of the kernels of weight layers that were called."""
        return self._positions(
            lambda weight: (
                weight.role == "kernel"
                and weight.site is not None
                and self.sites[weight.site].kind == "weight"
            )
        )

    @cached_property
    def called_embeddings(self) -> IntArray:
        """Positions of the matrices of embeddings that were called."""
        return self._positions(
            lambda weight: weight.role == "embedding" and weight.site is not None
        )

    @cached_property
    def fans(self) -> LayerFans:
        """Fans and kernels of the weight layers as arrays."""
        return LayerFans(self.sites, self.weights, self.kernels, self.biases)

    @cached_property
    def paths(self) -> PathStructure:
        """The paths that carry the signal through all sites."""
        return PathStructure(self.sites, self.weights, self.graph, self.blocks)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The residual blocks."""
        return tuple(blocks(self.sites))

    @cached_property
    def stacks(self) -> list[list[Block]]:
        """The residual stacks."""
        return stacks(self.blocks, self.sites)

    @cached_property
    def attention(self) -> tuple[tuple[str, int, int], ...]:
        """`(path, query, key)`: each attention layer with the sites of its projections."""
        indices = {site.name: site.index for site in self.sites if site.kind == "weight"}
        found = []
        for name, query in indices.items():
            parent, _, leaf = name.rpartition("/")
            key = indices.get(f"{parent}/key")
            if leaf == "query" and key is not None:
                found.append((parent, query, key))
        return tuple(found)

    @cached_property
    def optimizers(self) -> "TrainedBy":
        """The optimizers that train the weights, where several do."""
        return TrainedBy(self)

    def _positions(self, is_wanted: Callable[[Weight], bool]) -> IntArray:
        numbered = enumerate(self.weights)
        return np.array([each for each, weight in numbered if is_wanted(weight)], np.intp)


class TrainedBy:
    """Class names of the optimizers that train each layer, where several train the model.

    Args:
        analysis: The analysis of the model's structure.
    """

    def __init__(self, analysis: StructureAnalysis) -> None:
        trained = [weight for weight in analysis.weights if weight.optimizer is not None]
        self._all = {str(weight.optimizer) for weight in trained}
        self._of_layer = _grouped((weight.layer, str(weight.optimizer)) for weight in trained)
        self._of_site = _grouped((weight.site, str(weight.optimizer)) for weight in trained)

    def names(self, sites: Iterable[Site]) -> set[str]:
        """The optimizers that train one of the sites, or those of the whole model if none does.

        Empty where a single optimizer trains the model.
        """
        found: set[str] = set()
        for site in sites if self._all else ():
            found.update(self._of_layer.get(site.layer, ()), self._of_site.get(site.index, ()))
        return found or self._all


def analysis_of(structure: Structure) -> StructureAnalysis:
    """The analysis of a structure, which is made at the first call and kept with the structure.

    It lives as long as the structure, whose equality and fields it is no part of.
    """
    kept = vars(structure)
    if _KEPT_AS not in kept:
        kept[_KEPT_AS] = StructureAnalysis(structure)
    found: StructureAnalysis = kept[_KEPT_AS]
    return found


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> Mapping[Key, tuple[Value, ...]]:
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}
