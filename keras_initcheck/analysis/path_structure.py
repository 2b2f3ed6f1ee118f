"""Paths that carry the signal through all sites, as far as a structure alone decides them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.residual_stacks import Block
from keras_initcheck.analysis.site_graph import SiteGraph
from keras_initcheck.analysis.site_kinds import SUM_TYPES, has_weights, is_normalizing
from keras_initcheck.records.structure import Site, SiteKind, Weight

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

NOWHERE = -1
"""Stands for the source of a site that starts a path."""
_COUNTED: tuple[SiteKind, ...] = ("weight", "activation", "other", "merge")
_UNIT_SCALE_TYPES = ("Normalize", "UnitNormalization", "Softmax", "LogSoftmax", "Sparsemax")
"""Operations whose output has a size of its own, whatever the input's is."""
_SCALING = "Rescaling"
"""The layer without weights that is there to change the size."""


class PathStructure:
    """What may carry the signal from site to site, and which sites change its size.

    A path starts at the data, and anew where the size of the signal is set: at embeddings,
    recurrent layers and softmax, and wherever the link to the site before is not known. It leads on
    through the stream of a residual block, and else through the operand that carries most of the
    signal.

    Args:
        sites: All sites, in execution order.
        weights: All weights.
        graph: The sites with their consumers.
        blocks: The residual blocks.

    Attributes:
        operands: Indices of the sites that each linked site receives, site after site.
        starts: Where the operands of each linked site begin.
        owner: For each operand the position of its receiver among the linked sites.
        sets_scale: `(sites,)`, whether the size of an output does not follow from the input's.
        linked: Indices of the sites that receive something of a path.
        follows: `(sites,)`, whether a function outside of layers makes the input of a site.
        is_counted: `(sites,)`, whether a site's own ratio counts: that of a layer with weights, an
            activation, a sum or an operation on one signal. Other merges keep what their operand
            brings, and pooling shrinks by design.
        is_on_data: `(sites,)`, whether no layer with weights comes before.
        is_behind_two: `(sites,)`, whether a second layer with weights is on the way from the data
            to the output of the site, so that somebody needs the gradient below it.
        is_sole: `(sites,)`, whether the gradient at the operand tells what the site makes of its
            own: nobody else receives it, or it is a residual stream.
        allowance: `(sites,)`, logarithm by which a site reduces the number of positions, as pooling
            or attention over all of them does; 0 for others.
        ends: Indices of the sites with weights where a path's gain is judged.
        leads_to_norm: `(sites,)`, whether all that receives an output is normalized before it is
            merged or leaves the model.
        own_kernels: For each layer of the user's own with a single matrix that may multiply its
            input: `(position of the weight, fan-in, fan-out)`, by the index of its first site.
        first_matrix: `(sites,)`, position of the first matrix of a layer of the user's own;
            `NOWHERE` where there is none.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        weights: Sequence[Weight],
        graph: SiteGraph,
        blocks: Sequence[Block],
    ) -> None:
        streams = {block.merge: block.skip for block in blocks}
        sources = [_sources(site, streams) for site in sites]
        self.linked: IntArray = np.array([k for k, each in enumerate(sources) if each], np.intp)
        self.operands: IntArray = np.array([k for each in sources for k in each], np.intp)
        sizes = np.array([len(sources[k]) for k in self.linked.tolist()], np.intp)
        self.starts: IntArray = np.cumsum(sizes) - sizes
        self.owner: IntArray = np.repeat(np.arange(len(sizes)), sizes)
        self.sets_scale: BoolArray = np.array(list(map(_sets_scale, sites)), bool)
        self.is_counted: BoolArray = np.array(list(map(_is_counted, sites, sources)), bool)
        self.follows: BoolArray = np.array(
            [site.follows_previous and not site.inputs_known for site in sites], bool
        )
        self.is_on_data: BoolArray = graph.is_fed_by_data
        self.is_behind_two: BoolArray = _depths(sites, sources) >= 2
        self.is_sole: BoolArray = np.array(
            [
                site.index in streams or all(len(graph.receivers(k)) == 1 for k in each)
                for site, each in zip(sites, sources, strict=True)
            ],
            bool,
        )
        self.allowance: FloatArray = np.array(list(map(_ln_reduction, sites)), np.float64)
        are_ends = [has_weights(site) and bool(sources[site.index]) for site in sites]
        self.ends: IntArray = np.flatnonzero(np.array(are_ends, bool) & ~self.is_on_data)
        self.leads_to_norm: BoolArray = _lead_to_norm(sites, graph)
        matrices = _matrices(sites, weights)
        self.own_kernels: Mapping[int, tuple[int, float, float]] = _own_kernels(
            sites, weights, matrices
        )
        self.first_matrix: IntArray = np.array(
            [matrices.get(site.index, [NOWHERE])[0] for site in sites], np.intp
        )


def _sources(site: Site, streams: Mapping[int, int]) -> tuple[int, ...]:
    """The sites whose outputs may carry the signal that reaches this one; empty if not known.

    Of a residual sum it is the stream. Of a product it is the operand that was made first: a gate
    is made from what it opens and shuts.
    """
    if site.index in streams:
        return (streams[site.index],)
    if site.inputs_known:
        return (min(site.inputs),) if _is_product(site) else site.inputs
    return (site.index - 1,) if site.follows_previous and site.index else ()


def _is_product(site: Site) -> bool:
    return site.kind == "merge" and site.layer_type == "Multiply" and bool(site.inputs)


def _sets_scale(site: Site) -> bool:
    return (
        site.kind in ("embedding", "recurrent", "block")
        or site.layer_type in _UNIT_SCALE_TYPES
        or site.activation == "softmax"
    )


def _is_counted(site: Site, sources: Sequence[int]) -> bool:
    if site.kind == "weight":
        return not site.is_head
    if site.layer_type in (*SUM_TYPES, _SCALING):
        return True
    return site.kind in _COUNTED and len(sources) <= 1 and len(site.inputs) <= 1


def _depths(sites: Sequence[Site], sources: Sequence[Sequence[int]]) -> IntArray:
    """`(sites,)`, the largest number of layers with weights on the way to an output."""
    depths: list[int] = []
    for site, known in zip(sites, sources, strict=True):
        before = known or site.inputs or ((site.index - 1,) if not site.inputs_known else ())
        depths.append(max((depths[k] for k in before if k >= 0), default=0) + has_weights(site))
    return np.array(depths, np.intp)


def _ln_reduction(site: Site) -> float:
    """How much fewer positions leave a site than enter it, as a logarithm.

    A layer without weights may reduce units as well.
    """
    if site.input_shape is None or site.output_shape is None or site.kind == "weight":
        return 0.0
    axes = slice(1, -1) if site.num_parameters else slice(1, None)
    before, after = (math.prod(shape[axes]) for shape in (site.input_shape, site.output_shape))
    return max(0.0, math.log(max(before, 1) / max(after, 1)))


def _lead_to_norm(sites: Sequence[Site], graph: SiteGraph) -> BoolArray:
    found = [False] * len(sites)
    for site in reversed(sites):
        receivers = graph.receivers(site.index)
        found[site.index] = bool(receivers) and all(
            is_normalizing(sites[k]) or (sites[k].kind in (*_COUNTED, "pass") and found[k])
            for k in receivers
        )
    return np.array(found, bool)


def _matrices(sites: Sequence[Site], weights: Sequence[Weight]) -> Mapping[int, list[int]]:
    """Positions of the matrices of each layer of the user's own, by its first site."""
    found: dict[int, list[int]] = {}
    for position, weight in enumerate(weights):
        is_matrix = len(weight.shape) >= 2 and weight.role != "bias"
        if weight.site is not None and is_matrix and sites[weight.site].kind == "other":
            found.setdefault(weight.site, []).append(position)
    return found


def _own_kernels(
    sites: Sequence[Site], weights: Sequence[Weight], matrices: Mapping[int, list[int]]
) -> dict[int, tuple[int, float, float]]:
    """The layers of the user's own whose shapes are those of a matrix product or a convolution."""
    found = {}
    for index, positions in matrices.items():
        site = sites[index]
        if len(positions) == 1 and site.input_shape and site.output_shape:
            fans = _fans(weights[positions[0]].shape, site.input_shape[-1], site.output_shape[-1])
            if fans is not None:
                found[index] = (positions[0], *fans)
    return found


def _fans(shape: Sequence[int], width_in: int, width_out: int) -> tuple[float, float] | None:
    """Fan-in and fan-out of a kernel `(..., in, out)` or of a matrix `(out, in)`."""
    size = math.prod(shape)
    if tuple(shape[-2:]) == (width_in, width_out) or tuple(shape) == (width_out, width_in):
        return size / width_out, size / width_in
    return None
