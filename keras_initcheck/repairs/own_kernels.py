"""The matrices of a user's own layers that a repair may change.

What such a layer computes is not known. Its fault and its cure are sure where its only matrix
explains the ratio that was measured: then a factor on the matrix is a factor on that ratio.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.site_kinds import TRANSPARENT, has_weights
from keras_initcheck.records.structure import Site
from keras_initcheck.repairs.kernels import LARGEST_FACTOR, LayerKernels
from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.theory.fans import FORWARD

_RECTIFIED = 0.5
_RECTIFIED_SHARE = 0.25
"""A rectifier's factor, and how far a measured one may be from it: what correlated inputs make."""


def own_layers(evidence: Evidence, options: ModelRepairOptions) -> Iterator[LayerKernels]:
    """The layers of the user's own that may change.

    Each is called once. Its matrix is trained, centered, not zero, among those that the user named,
    and right up to a factor of `LARGEST_FACTOR`.
    """
    sites, paths = evidence.analysis.sites, evidence.analysis.paths
    calls = Counter(site.layer for site in sites)
    for index, (position, fan_in, fan_out) in paths.own_kernels.items():
        ln_ratio = _ln_ratio(evidence, index)
        matrix = replace(evidence.weight(position), fan_in=fan_in, fan_out=fan_out)
        is_free = matrix.is_trainable and options.selects(matrix)
        if ln_ratio is not None and is_free and calls[sites[index].layer] == 1:
            ratio = math.exp(ln_ratio)
            layer = LayerKernels(evidence.site(index), (matrix,), measured_ratio=ratio)
            if layer.is_centered:
                yield layer


def _ln_ratio(evidence: Evidence, index: int) -> float | None:
    """`ln` of the ratio from the input of a layer to that of the next one with weights.

    `None` where the matrix does not explain it or is too far from what keeps the signal.
    """
    if evidence.path_gains.explained_ratio(FORWARD, index) is None:
        return None
    ln_ratio = evidence.path_gains.own_ln_ratio(FORWARD, index) + _ln_rectified(evidence, index)
    return ln_ratio if abs(ln_ratio) <= 2.0 * math.log(LARGEST_FACTOR) else None


def _ln_rectified(evidence: Evidence, index: int) -> float:
    """`ln` of what the rectifiers between a layer and the next one with weights make of its output.

    They are told by their factor, which is no matter of the size that they receive. Other functions
    count as 1: at another size their factor is another.
    """
    sites, graph, total = evidence.analysis.sites, evidence.analysis.graph, 0.0
    receivers = graph.receivers(index)
    while len(receivers) == 1 and _hands_on(sites[receivers[0]]) and evidence.size(index) > 0.0:
        factor = evidence.size(receivers[0]) / evidence.size(index)
        if abs(factor / _RECTIFIED - 1.0) < _RECTIFIED_SHARE:
            total += math.log(factor)
        index, receivers = receivers[0], graph.receivers(receivers[0])
    return total


def _hands_on(site: Site) -> bool:
    is_function = site.kind in TRANSPARENT or (site.kind == "other" and not has_weights(site))
    return is_function and len(site.inputs) == 1
