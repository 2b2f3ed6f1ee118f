"""Forward and backward ratio of each weight layer, measured and predicted from its weights."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.keras_model.activations import (
    UNKNOWN,
    FollowingActivation,
    following_activation,
)
from keras_initcheck.probe.profile.structure_builder import TracedStructure
from keras_initcheck.records.measurement import SECOND_MOMENT, H, X, Z
from keras_initcheck.theory import noise
from keras_initcheck.theory.activation_factors import FactorTable, exact_factors

FloatArray = npt.NDArray[np.float64]


@dataclass
class _SameActivation:
    """Weight layers with the same activation, by their positions among the weight layers."""

    following: FollowingActivation
    positions: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Kernels:
    """The kernels of the weight layers, `(kernels,)` each.

    Attributes:
        weights: Positions among the weights of the structure.
        layers: Positions among the weight layers; a layer that is called twice has its kernels
            twice.
        fan_in: True fans.
        fan_out: True fans.
    """

    weights: npt.NDArray[np.intp]
    layers: npt.NDArray[np.intp]
    fan_in: FloatArray
    fan_out: FloatArray


class LayerRatios:
    """Computes the ratios of all weight layers of a structure at once.

    A head is judged at its pre-activation: no layer receives the result of its activation.

    Args:
        traced: The structure.
    """

    def __init__(self, traced: TracedStructure) -> None:
        self._sites = [site for site in traced.structure.sites if site.kind == "weight"]
        self._indices = np.array([site.index for site in self._sites], np.intp)
        self._outputs = np.array([Z if site.is_head else H for site in self._sites], np.intp)
        self._num_sites = len(traced.structure.sites)
        self._activations = traced.activations
        self._kernels, self._num_units = _kernels(traced, [site.layer for site in self._sites])
        self._linear: list[int] = []
        self._unknown: list[int] = []
        self._changing: list[int] = []
        self._groups: list[_SameActivation] = []
        self._sort_activations()

    def measure(
        self,
        signals: FloatArray,
        gradients: FloatArray | None,
        weights: FloatArray,
        table: FactorTable | None,
    ) -> dict[str, FloatArray]:
        """The five ratios of `Measurement`, `(sites,)` each; `nan` where they are not defined.

        Args:
            signals: `(sites, places, moments)`.
            gradients: The same of the gradients behind the backward ratio, or `None`.
            weights: `(weights, moments)`.
            table: Where activation factors are looked up; `None` to compute each exactly.
        """
        q = signals[self._indices, :, SECOND_MOMENT]
        g = (
            np.full_like(q, np.nan)
            if gradients is None
            else gradients[self._indices, :, SECOND_MOMENT]
        )
        rows = np.arange(len(q))
        forward, backward, activation_noise = self._factors(q, g, table)
        of_kernels = weights[self._kernels.weights, SECOND_MOMENT]
        with np.errstate(all="ignore"):  # a kernel may be zero or hold infinities
            ratios = {
                "forward_ratio": _ratio(q[rows, self._outputs], q[:, X]),
                "backward_ratio": _ratio(g[:, X], g[rows, self._outputs]),
                "predicted_forward_ratio": self._product(self._kernels.fan_in * of_kernels)
                * forward,
                "predicted_backward_ratio": self._product(self._kernels.fan_out * of_kernels)
                * backward,
                "log_ratio_variance": noise.layer_log_variance(self._num_units, activation_noise),
            }
        return {name: self._scatter(values) for name, values in ratios.items()}

    def _sort_activations(self) -> None:
        groups: dict[Hashable, _SameActivation] = {}
        for position, site in enumerate(self._sites):
            if site.is_head or site.activation is None:
                self._linear.append(position)
            elif site.activation == UNKNOWN:
                self._unknown.append(position)
            elif isinstance(self._activations[site.index], keras.layers.PReLU):
                self._changing.append(position)
            else:
                following = following_activation(self._activations[site.index])
                if following.function is not None:
                    group = groups.setdefault(following.key, _SameActivation(following))
                    group.positions.append(position)
        self._groups = list(groups.values())

    def _factors(
        self, q: FloatArray, g: FloatArray, table: FactorTable | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Factors of the activations for Gaussian pre-activations of the measured size.

        Returns:
            `E f² / q`, `E f'²` and `V_a`, `(weight layers,)` each; `nan` where nothing is known.
        """
        found = np.full((3, len(q)), np.nan)
        found[:, self._linear] = np.array([[1.0], [1.0], [0.0]])
        if self._unknown:
            found[0, self._unknown] = _ratio(q[self._unknown, H], q[self._unknown, Z])
            found[1, self._unknown] = _ratio(g[self._unknown, Z], g[self._unknown, H])
            found[2, self._unknown] = noise.RELU_ACTIVATION_NOISE
        for group in (*self._groups, *self._changing_groups()):
            z = q[group.positions, Z]
            is_known = ~np.isnan(z)
            usable = np.where((z > 0) & (z < math.inf), z, 1.0)
            factors = _look_up(group.following, usable, table)
            found[:, group.positions] = np.where(is_known, factors, np.nan)
        return found[0], found[1], found[2]

    def _changing_groups(self) -> list[_SameActivation]:
        """Activations whose parameters are trained: their function is another one at each probe."""
        return [
            _SameActivation(
                following_activation(self._activations[self._sites[position].index]), [position]
            )
            for position in self._changing
        ]

    def _product(self, factors: FloatArray) -> FloatArray:
        """The product over the kernels of each layer.

        Kernels that are applied one after the other, as in a separable convolution, multiply. `nan`
        for a layer without kernels, or with a fan that is not known.
        """
        found = np.ones(len(self._sites))
        np.multiply.at(found, self._kernels.layers, factors)
        return np.where(np.isnan(self._num_units), np.nan, found)

    def _scatter(self, values: FloatArray) -> FloatArray:
        found = np.full(self._num_sites, np.nan)
        found[self._indices] = values
        return found


def _kernels(traced: TracedStructure, layers: list[str]) -> tuple[_Kernels, FloatArray]:
    """The kernels of the layers, and the number of units of the last one of each layer."""
    by_layer: dict[str, list[int]] = defaultdict(list)
    for position, weight in enumerate(traced.structure.weights):
        if weight.role == "kernel":
            by_layer[weight.layer].append(position)
    num_units = np.full(len(layers), np.nan)
    found: list[tuple[int, int, float, float]] = []
    for number, layer in enumerate(layers):
        kernels = [traced.structure.weights[position] for position in by_layer[layer]]
        if not kernels or any(kernel.fan_in is None for kernel in kernels):
            continue
        num_units[number] = math.prod(kernels[-1].shape) / (kernels[-1].fan_in or 1.0)
        for position, kernel in zip(by_layer[layer], kernels, strict=True):
            found.append((position, number, kernel.fan_in or 0.0, kernel.fan_out or 0.0))
    columns = np.array(found, np.float64).reshape(-1, 4).T
    weights, owners = columns[:2].astype(np.intp)
    return _Kernels(weights, owners, columns[2], columns[3]), num_units


def _look_up(
    following: FollowingActivation, second_moments: FloatArray, table: FactorTable | None
) -> FloatArray:
    """`(3, layers)` factors of one activation; `nan` if it has no function to integrate."""
    function: Callable[..., Any] | None = following.function
    if function is None:
        return np.full((3, len(second_moments)), np.nan)
    if table is not None:
        return np.stack(table.arrays(following.key, function, second_moments, following.precision))
    exact = [exact_factors(function, q, following.precision) for q in second_moments.tolist()]
    return np.array([[each.forward, each.backward, each.noise] for each in exact]).T.reshape(3, -1)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The ratio; `nan` where one of the two was not measured or the denominator is zero."""
    with np.errstate(all="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)
