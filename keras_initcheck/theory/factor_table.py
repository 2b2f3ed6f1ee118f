"""Activation factors for many layers and many probes: each quadrature is done once."""

import math
from collections.abc import Hashable

from keras_initcheck.theory.activations import FLOAT64_PRECISION, Function, moments

_NODES_PER_OCTAVE = 16
"""Factors change by less than the second moment does (`|d ln factor / d ln q| <= 1`) and smoothly, so that a straight line between
nodes of `ln q` that are 0.043 apart errs by less than 2e-4."""


class FactorTable:
    """The factors `(E f²/q, E f'²)` of activations at any second moment, interpolated between exact nodes.

    >>> table = FactorTable()
    >>> [round(factor, 4) for factor in table.factors("relu", lambda z: z * (z > 0), 3.7)]
    [0.5, 0.5]
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[Hashable, int], tuple[float, float]] = {}

    def factors(self, key: Hashable, function: Function, second_moment: float, precision: float = FLOAT64_PRECISION) -> tuple[float, float]:
        """Both factors of an element-wise function of `z ~ N(0, q)`.

        Args:
            key: Identifies the function with its parameters.
            function: The function.
            second_moment: `q`, positive and finite.
            precision: As in `activations.moments`.

        Returns:
            The forward and the backward factor.
        """
        position = math.log2(second_moment) * _NODES_PER_OCTAVE
        below = math.floor(position)
        weight = position - below
        low, high = self._node(key, below, function, precision), self._node(key, below + 1, function, precision)
        return (1 - weight) * low[0] + weight * high[0], (1 - weight) * low[1] + weight * high[1]

    def _node(self, key: Hashable, index: int, function: Function, precision: float) -> tuple[float, float]:
        if (key, index) not in self._nodes:
            found = moments(function, 2.0 ** (index / _NODES_PER_OCTAVE), precision=precision)
            self._nodes[key, index] = found.forward_factor, found.backward_factor
        return self._nodes[key, index]
