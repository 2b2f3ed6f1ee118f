"""Fans, kernels and order of the weight layers, as arrays to combine with measurements."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.records.structure import Site, Weight

FORWARD, BACKWARD = "forward", "backward"


class Groups:
    """Positions of weights in groups, one group for each weight layer, some of them empty.

    Args:
        groups: Positions of the weights of each weight layer.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        sizes = np.array([len(group) for group in groups], np.intp)
        self.is_full: npt.NDArray[np.bool_] = sizes > 0
        """`(weight layers,)`, whether a group has members."""
        self._members = np.array([each for group in groups for each in group], np.intp)
        self._starts = (np.cumsum(sizes) - sizes)[self.is_full]

    def reduce(self, ufunc: np.ufunc, values: npt.NDArray[Any], empty: float) -> npt.NDArray[Any]:
        """`(weight layers,)`, the values of each group's members joined by `ufunc`.

        Args:
            ufunc: Such as `np.add`.
            values: `(weights,)`.
            empty: Result of an empty group.
        """
        result = np.full(self.is_full.shape, empty, values.dtype)
        if self._starts.size:
            result[self.is_full] = ufunc.reduceat(values[self._members], self._starts)
        return result


class LayerFans:
    """The weight layers of a structure, one entry for each call, in execution order.

    Args:
        sites: All sites.
        weights: All weights.
        kernels: Positions of the kernels of each layer.
        biases: Positions of the biases of each layer.

    Attributes:
        sites: `(weight layers,)` indices of their sites.
        position: Position of each site among them, by its index.
        kernels: Their kernels.
        biases: Their biases.
        are_known: `(weight layers,)`, whether a layer has kernels and all their fans are known.
        fan: `(weight layers,)` by direction: forward the true fan-in; backward `n̂ = k² d` as in He
            et al., without the stride of a convolution. Kernels that are applied one after the
            other multiply. `nan` where not known.
        stride: `(weight layers,)` by direction: what `fan` has more than the layer's own. A stride
            spreads the gradient over more positions, each of which adds to the weight gradient, so
            that nothing is lost; forward it is 1.
        order: Positions of the hidden layers, chain after chain.
        chain: Number of the chain of each of these.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        weights: Sequence[Weight],
        kernels: Mapping[str, Sequence[int]],
        biases: Mapping[str, Sequence[int]],
    ) -> None:
        own = [site for site in sites if site.kind == "weight"]
        groups = [kernels.get(site.layer, ()) for site in own]
        self.sites: npt.NDArray[np.intp] = np.array([site.index for site in own], np.intp)
        self.position: dict[int, int] = {site.index: position for position, site in enumerate(own)}
        self.kernels: Groups = Groups(groups)
        self.biases: Groups = Groups([biases.get(site.layer, ()) for site in own])
        found = [
            _fans(site, [weights[each] for each in group])
            for site, group in zip(own, groups, strict=True)
        ]
        fan_in, fan_out, stride = np.array(found, np.float64).reshape(-1, 3).T
        self.are_known: npt.NDArray[np.bool_] = ~np.isnan(fan_in)
        self.stride: dict[str, npt.NDArray[np.float64]] = {
            FORWARD: np.ones_like(stride),
            BACKWARD: stride,
        }
        self.fan: dict[str, npt.NDArray[np.float64]] = {FORWARD: fan_in, BACKWARD: fan_out * stride}
        hidden = sorted(
            (site.chain, position) for position, site in enumerate(own) if site.chain is not None
        )
        self.order: npt.NDArray[np.intp] = np.array([position for _, position in hidden], np.intp)
        self.chain: npt.NDArray[np.intp] = np.array([chain for chain, _ in hidden], np.intp)


def _fans(site: Site, kernels: Sequence[Weight]) -> tuple[float, float, float]:
    """Fan-in, fan-out and stride of a layer; `nan` where they are not known."""
    fans_in = [kernel.fan_in for kernel in kernels if kernel.fan_in is not None]
    fans_out = [kernel.fan_out for kernel in kernels if kernel.fan_out is not None]
    if not kernels or not len(fans_in) == len(fans_out) == len(kernels):
        return math.nan, math.nan, math.nan
    fan_in, fan_out = math.prod(fans_in), math.prod(fans_out)
    return fan_in, fan_out, max(1.0, _stride(site, kernels[-1], fan_in, fan_out))


def _stride(site: Site, kernel: Weight, fan_in: float, fan_out: float) -> float:
    """Input positions per output position of a convolution; 1 for other layers.

    That is `s²`, and `1/s²` of a transposed convolution. Every connection counts once from either
    end: `positions_in channels_in fan_out = positions_out channels_out fan_in`. The quotient of the
    shapes would count the border of an unpadded convolution as well.
    """
    if "Conv" not in site.layer_type or not site.input_shape or not site.output_shape:
        return 1.0
    axis = -1 if site.output_shape[-1] == _num_filters(site.layer_type, kernel.shape) else 1
    connections = site.input_shape[axis] * fan_out
    return site.output_shape[axis] * fan_in / connections if connections else 1.0


def _num_filters(layer_type: str, shape: tuple[int, ...]) -> int:
    if "Depthwise" in layer_type:
        return shape[-1] * shape[-2]
    return shape[-2] if "Transpose" in layer_type else shape[-1]
