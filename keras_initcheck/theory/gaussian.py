"""Integrals of a function and its slope over a Gaussian.

`activations` turns them into what they mean for a network.
"""

import functools
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.activation_functions import Function
from keras_initcheck.theory.normal import normal_density
from keras_initcheck.theory.quadrature import (
    Array,
    edges_between,
    integrate,
    outward_slopes,
    panel_nodes,
    panel_slopes,
)

_REACH = 12.0  # standard deviations; the Gaussian beyond holds 4e-33
_FAR_REACH = 38.0  # for exponential growth: the density is just above float64's smallest number
_TAIL_SHARE = 1e-9  # share of an integral in one more standard deviation that is neglected
_NUM_COLUMNS = 7
_NUM_SQUARES = 5  # the first columns, in which nothing cancels
_SLOPE_COLUMN = 4


@dataclass(frozen=True)
class GaussianIntegrals:
    """Integrals over single panels for `z = mean + std u`, where `u` is standard normal.

    Attributes:
        function: `f`, element-wise.
        mean: Mean of `z`.
        std: Standard deviation of `z`.
        precision: Relative precision of the values of `f`.
    """

    function: Function
    mean: float
    std: float
    precision: float

    @property
    def tolerances(self) -> Array:
        """The tolerance of each column, `(7,)`.

        Rounding of `f` must not look like a kink, and slopes magnify it a hundredfold.
        """
        tolerances = np.full(_NUM_COLUMNS, max(1e-10, 10.0 * self.precision))
        tolerances[_SLOPE_COLUMN] = max(1e-10, 1000.0 * self.precision)
        return tolerances

    @functools.cached_property
    def center(self) -> float:
        """`c = f(mean)`.

        Without it, a sigmoid's variance for a tiny signal would drown in its mean.
        """
        return float(self.values(np.array([self.mean]))[0])

    def values(self, points: Array) -> Array:
        """`f` at points of any shape.

        Raises:
            ValueError: `function` is not element-wise.
        """
        values = np.asarray(self.function(points.ravel()), dtype=np.float64)
        if values.shape != (points.size,):
            raise ValueError(
                f"`function` must be element-wise. Received: shape {values.shape} for {points.size}"
                " points. Leave out activations that mix units: a single Gaussian does not"
                " describe them."
            )
        return values.reshape(points.shape)

    def slopes(self, points: Array, values: Array, panels: Array) -> Array:
        """`f'` at the nodes, `(panels, nodes)`."""
        # Rounding costs about precision / reach, truncation reach^5: equal at this reach.
        reach = self.precision ** (1 / 6)
        if self.std < reach:
            return outward_slopes(self.values, points, reach)
        # A panel becomes so narrow only around a kink or a jump, and rounding is all that its
        # slope would show there.
        narrowest = self.precision ** (2 / 3) * np.abs(panels).max(axis=1, keepdims=True)
        is_narrow = np.ptp(panels, axis=1, keepdims=True) < narrowest
        slopes: Array = np.where(is_narrow, 0.0, panel_slopes(values, panels))
        return slopes

    def __call__(self, panels: Array) -> Array:
        """`(f-c)²`, `f²`, `f⁴`, `u² f²`, `f'²`, `u f²` and `f-c` over each panel, `(panels, 7)`.

        Squares are taken after weighting, so that they overflow only if the integral does.
        """
        points, weights = panel_nodes(panels)
        u = (points - self.mean) / self.std
        # The density is split into roots that multiply `f` before it is squared. A product like
        # f² density would be inf * 0 far out, where f² overflows and the density underflows.
        density = normal_density(u) / self.std * weights
        root = np.sqrt(density)
        values = self.values(points)
        squares = (values * root) ** 2
        columns = [
            ((values - self.center) * root) ** 2,
            squares,
            (values * np.sqrt(root)) ** 4,
            u * u * squares,
            (self.slopes(points, values, panels) * root) ** 2,
            u * squares,
            (values - self.center) * density,
        ]
        return np.stack([column.sum(axis=1) for column in columns], axis=1)


def integrate_gaussian(integrals: GaussianIntegrals) -> Array:
    """The seven integrals of `GaussianIntegrals`, over as many standard deviations as count.

    12 are enough for all but functions that grow like `exp`, for which it is 38.
    """
    near = _integrate_reach(integrals, _REACH)
    tails = np.array([[-_REACH - 1.0, -_REACH], [_REACH, _REACH + 1.0]])
    beyond = integrals(integrals.mean + integrals.std * tails).sum(axis=0)
    if (beyond > _TAIL_SHARE * near)[:_NUM_SQUARES].any():
        return _integrate_reach(integrals, _FAR_REACH)
    return near


def _integrate_reach(integrals: GaussianIntegrals, reach: float) -> Array:
    low, high = integrals.mean - reach * integrals.std, integrals.mean + reach * integrals.std
    return integrate(integrals, edges_between(low, high, 0.5 * integrals.std), integrals.tolerances)
