"""Activation factors for many layers and many probes: each quadrature is done once."""

import math
from collections.abc import Hashable
from dataclasses import astuple, dataclass

from keras_initcheck.theory.activations import FLOAT64_PRECISION, Function, moments

_NODES_PER_OCTAVE = 16
"""Factors change by less than the second moment does (`|d ln factor / d ln q| <= 1`) and smoothly,
so that a straight line between nodes of `ln q` that are 0.043 apart errs by less than 2e-4."""


@dataclass(frozen=True)
class Factors:
    """What an activation does to the second moment of a Gaussian signal.

    Attributes:
        forward: `E f² / q`.
        backward: `E f'²`.
        noise: `V_a`, see `ActivationMoments.activation_noise`.
    """

    forward: float
    backward: float
    noise: float


NONE = Factors(1.0, 1.0, 0.0)
"""Of a layer that no activation follows."""


class FactorTable:
    """The factors of activations at any second moment, interpolated between exact nodes.

    >>> factors = FactorTable().factors("relu", lambda z: z * (z > 0), 3.7)
    >>> round(factors.forward, 4), round(factors.backward, 4), round(factors.noise, 4)
    (0.5, 0.5, 3.0)
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[Hashable, int], Factors] = {}

    def factors(
        self,
        key: Hashable,
        function: Function,
        second_moment: float,
        precision: float = FLOAT64_PRECISION,
    ) -> Factors:
        """The factors of an element-wise function of `z ~ N(0, q)`.

        Args:
            key: Identifies the function with its parameters.
            function: The function.
            second_moment: `q`, positive and finite.
            precision: As in `activations.moments`.
        """
        position = math.log2(second_moment) * _NODES_PER_OCTAVE
        below = math.floor(position)
        weight = position - below
        low, high = (
            self._node(key, below, function, precision),
            self._node(key, below + 1, function, precision),
        )
        return Factors(
            *(
                (1 - weight) * a + weight * b
                for a, b in zip(astuple(low), astuple(high), strict=True)
            )
        )

    def _node(self, key: Hashable, index: int, function: Function, precision: float) -> Factors:
        if (key, index) not in self._nodes:
            self._nodes[key, index] = exact_factors(
                function, 2.0 ** (index / _NODES_PER_OCTAVE), precision
            )
        return self._nodes[key, index]


def exact_factors(
    function: Function, second_moment: float, precision: float = FLOAT64_PRECISION
) -> Factors:
    """The factors at one second moment, by quadrature."""
    found = moments(function, second_moment, precision=precision)
    return Factors(found.forward_factor, found.backward_factor, found.activation_noise)
