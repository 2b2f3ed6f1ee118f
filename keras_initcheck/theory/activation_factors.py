"""Activation factors at many second moments and over many probes: each quadrature is done once."""

import sys
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_initcheck.theory.activations import FLOAT64_PRECISION, Function, activation_moments
from keras_initcheck.theory.quadrature import Array

_NODES_PER_OCTAVE = 16
"""Factors change by less than the second moment does (`|d ln factor / d ln q| <= 1`) and smoothly,
so that a straight line between nodes of `ln q` that are 0.043 apart errs by less than 2e-4."""


@dataclass(frozen=True)
class Factors:
    """Effect of an activation on the second moments of a Gaussian signal and of its gradient.

    Attributes:
        forward: `E f² / q`.
        backward: `E f'²`.
        noise: `V_a`, see `ActivationMoments.activation_noise`.
    """

    forward: float
    backward: float
    noise: float


NONE = Factors(1.0, 1.0, 0.0)
"""Factors of a layer that no activation follows."""


class FactorTable:
    """Factors of activations at any second moment, interpolated between exact nodes.

    >>> factors = FactorTable().factors("relu", lambda z: z * (z > 0), 3.7)
    >>> round(factors.forward, 4), round(factors.backward, 4), round(factors.noise, 4)
    (0.5, 0.5, 3.0)
    """

    def __init__(self) -> None:
        self._nodes: dict[Hashable, _Nodes] = {}

    def arrays(
        self,
        key: Hashable,
        function: Function,
        second_moments: Array,
        precision: float = FLOAT64_PRECISION,
    ) -> tuple[Array, Array, Array]:
        """The factors of an element-wise function of `z ~ N(0, q)` for each `q`.

        The first call for a `key` costs one quadrature, about 2 ms, for each node that it needs;
        where the nodes exist it is array arithmetic alone.

        >>> forward, backward, noise = FactorTable().arrays("tanh", np.tanh, np.array([0.1, 10.0]))
        >>> forward.round(3), backward.round(3)
        (array([0.842, 0.076]), array([0.849, 0.166]))

        Args:
            key: Identifies the function with its parameters.
            function: The function.
            second_moments: `(sites,)` values of `q`, positive and finite.
            precision: As in `activation_moments`.

        Returns:
            `E f² / q`, `E f'²` and `V_a` of `Factors`, `(sites,)` each.

        Raises:
            ValueError: A second moment is not positive and finite.
        """
        if not np.all((second_moments > 0.0) & (second_moments < np.inf)):
            raise ValueError(
                "`second_moments` must be positive and finite. Received:"
                f" second_moments={second_moments}. Leave out sites whose signal vanished or"
                " overflowed."
            )
        positions = np.log2(second_moments) * _NODES_PER_OCTAVE
        below = np.floor(positions).astype(np.intp)
        weights = positions - below
        nodes = self._nodes.setdefault(key, _Nodes())
        low, high = nodes.values(function, np.stack([below, below + 1]), precision)
        with np.errstate(invalid="ignore"):  # a node may be infinite, as those of `exp` are
            forward, backward, noise = (1.0 - weights) * low.T + weights * high.T
        return forward, backward, noise

    def factors(
        self,
        key: Hashable,
        function: Function,
        second_moment: float,
        precision: float = FLOAT64_PRECISION,
    ) -> Factors:
        """The factors at one second moment; otherwise as `arrays`."""
        columns = self.arrays(key, function, np.array([second_moment]), precision)
        return Factors(*(float(column[0]) for column in columns))


class _Nodes:
    """Exact factors of one function at `q = 2^(i / 16)`, in an array that grows with the range.

    An array and not a dictionary, so that the nodes of all sites are gathered by one subscript.
    """

    def __init__(self) -> None:
        self._first = 0  # the index `i` of the first row
        self._table = np.empty((0, 3))
        self._is_known = np.empty(0, dtype=bool)

    def values(self, function: Function, indices: NDArray[np.intp], precision: float) -> Array:
        """Factors `(*shape, 3)` at node indices of any shape; missing ones are computed."""
        if indices.size:
            self._cover(int(indices.min()), int(indices.max()))
        rows = indices - self._first
        if not self._is_known[rows].all():
            for row in np.unique(rows[~self._is_known[rows]]).tolist():
                self._table[row] = _exact_row(function, row + self._first, precision)
                self._is_known[row] = True
        values: Array = self._table[rows]
        return values

    def _cover(self, first: int, last: int) -> None:
        """Makes room for the nodes from `first` to `last`."""
        if not len(self._table):
            self._first = first
        before = max(self._first - first, 0)
        after = max(last + 1 - self._first - len(self._table), 0)
        if before or after:
            self._table = np.pad(self._table, ((before, after), (0, 0)))
            self._is_known = np.pad(self._is_known, (before, after))
            self._first -= before


def _exact_row(function: Function, index: int, precision: float) -> tuple[float, float, float]:
    # The node above the largest float64 is infinite; the largest one serves in its place.
    exponent = index / _NODES_PER_OCTAVE
    second_moment = 2.0**exponent if exponent < sys.float_info.max_exp else sys.float_info.max
    found = exact_factors(function, second_moment, precision)
    return found.forward, found.backward, found.noise


def exact_factors(
    function: Function, second_moment: float, precision: float = FLOAT64_PRECISION
) -> Factors:
    """The factors at one second moment, by quadrature."""
    found = activation_moments(function, second_moment, precision=precision)
    return Factors(found.forward_factor, found.backward_factor, found.activation_noise)
