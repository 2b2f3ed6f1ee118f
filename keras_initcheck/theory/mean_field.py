"""Mean field theory of deep networks with independent weights.

It predicts the limits of second moment and correlation, and how fast layers lead there (Poole et
al. 2016; Schoenholz et al. 2017). Layers are `z' = W f(z) + b` of unlimited width, with
`Var w = σ_w² / n` and `Var b = σ_b²`; `q = E z²`, and `c` is the correlation of `z` between two
inputs.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from keras_initcheck.theory.activations import Function, activation_moments
from keras_initcheck.theory.normal import normal_density
from keras_initcheck.theory.quadrature import Array, edges_between, integrate, panel_nodes

_REACH = 9.0  # standard deviations: the Gaussian beyond holds 2e-19
_OUTER_EDGES = np.array([-_REACH, -4.0, -2.0, -0.75, 0.0, 0.75, 2.0, 4.0, _REACH])
_TOLERANCE = 1e-11  # of an integral, relative
_MARGINAL = 1e-9
"""`|ln(q'/q)|` or `|c' - c|` that is quadrature's error. Every `q` of ReLU at `σ_w² = 2` is a fixed
point by it."""
_FARTHEST_LOG = 150.0  # |ln q| beyond which a second moment vanishes or explodes
_ROOT_TOLERANCE = 1e-12  # of a fixed point: quadrature is no better
_DIFFERENCE = 1e-4
"""Step in `c`: truncation, about its square, against rounding, about `_TOLERANCE` over it."""
_CLOSEST_TO_ONE = 1e-6  # `1 - c` at which the search for a fixed point below one ends


@dataclass(frozen=True)
class MeanField:
    """The maps of one kind of layer.

    >>> tanh = MeanField(np.tanh, weight_variance=1.7610, bias_variance=0.05)
    >>> q = tanh.fixed_point()
    >>> round(q, 3), round(tanh.chi1(q), 3)  # on the edge of chaos
    (0.57, 1.0)

    Attributes:
        function: `f`, element by element, such that `E f²` grows with `q`.
        weight_variance: `σ_w² = n Var w`.
        bias_variance: `σ_b²`.
    """

    function: Function
    weight_variance: float
    bias_variance: float = 0.0

    def variance_map(self, second_moment: float) -> float:
        """`q' = σ_w² E f(sqrt(q) u)² + σ_b²` (Poole et al. 2016, section 2)."""
        found = activation_moments(self.function, second_moment)
        return self.weight_variance * found.second_moment + self.bias_variance

    def chi1(self, second_moment: float) -> float:
        """`χ1 = σ_w² E f'(sqrt(q) u)²`: ratio of a gradient's mean square from layer to layer.

        Schoenholz et al. 2017, section 5.
        """
        found = activation_moments(self.function, second_moment)
        return self.weight_variance * found.derivative_second_moment

    def variance_slope(self, second_moment: float) -> float:
        """`dq'/dq = χ1 + σ_w² E[f f'']`, without `f''` by Stein's lemma.

        Schoenholz et al. 2017, section 3.
        """
        found = activation_moments(self.function, second_moment)
        return self.weight_variance * found.chi_q * found.second_moment / second_moment

    def correlation_map(self, correlation: float, second_moment: float) -> float:
        """`c' = (σ_w² E[f(z_1) f(z_2)] + σ_b²) / q'` for `z` of second moment `q`, correlation `c`.

        Poole et al. 2016, section 2.

        >>> relu = MeanField(lambda z: z * (z > 0), weight_variance=2.0)
        >>> round(relu.correlation_map(0.0, 1.0), 6)  # 1/pi
        0.31831
        """
        product = expect_product(self.function, second_moment, correlation)
        return (self.weight_variance * product + self.bias_variance) / self.variance_map(
            second_moment
        )

    def correlation_slope(self, correlation: float, second_moment: float) -> float:
        """`dc'/dc = σ_w² E[f'(z_1) f'(z_2)] q / q'`, which is `χ1` at `c = 1` and `q = q*`.

        Poole et al. 2016, section 2.
        """
        if correlation > 1.0 - _DIFFERENCE:
            return self.chi1(second_moment) * second_moment / self.variance_map(second_moment)
        above = self.correlation_map(correlation + _DIFFERENCE, second_moment)
        below = self.correlation_map(correlation - _DIFFERENCE, second_moment)
        return (above - below) / (2.0 * _DIFFERENCE)

    def fixed_point(self, start: float = 1.0) -> float:
        """`q*`, to which the variance map leads from `start`.

        It is 0 or `inf` if the second moment vanishes or explodes, and `start` if every `q` is
        fixed.

        >>> MeanField(np.tanh, weight_variance=0.9).fixed_point()
        0.0
        """

        def log_growth(log_q: float) -> float:
            return math.log(self.variance_map(math.exp(log_q))) - log_q

        low, growth = math.log(start), log_growth(math.log(start))
        if abs(growth) < _MARGINAL:
            return start
        step = math.copysign(0.25, growth)
        while log_growth(low + step) * growth > 0.0:
            low, step = low + step, 1.5 * step
            if abs(low + step) > _FARTHEST_LOG:
                return math.inf if growth > 0.0 else 0.0
        return math.exp(brentq(log_growth, low, low + step, xtol=_ROOT_TOLERANCE))

    def correlation_fixed_point(self, second_moment: float) -> float:
        """`c*`, to which the correlation of two different inputs goes at `q*`.

        It is 1 in the ordered phase and less in the chaotic one.

        >>> chaotic = MeanField(np.tanh, weight_variance=4.0, bias_variance=0.05)
        >>> round(chaotic.correlation_fixed_point(chaotic.fixed_point()), 4)
        0.1651
        """
        if self.chi1(second_moment) <= 1.0 + _MARGINAL:
            return 1.0

        def growth(correlation: float) -> float:
            return self.correlation_map(correlation, second_moment) - correlation

        if growth(0.0) < _MARGINAL:
            return 0.0
        high = 0.5
        while growth(high) > 0.0:  # towards 1, from where the chaotic phase repels
            high = 0.5 * (1.0 + high)
            if 1.0 - high < _CLOSEST_TO_ONE:
                return 1.0
        return float(brentq(growth, 0.0, high, xtol=_ROOT_TOLERANCE))


def expect_product(function: Function, second_moment: float, correlation: float) -> float:
    """`E[f(z_1) f(z_2)]` for standard bivariate Gaussians scaled to `q`, of correlation `c`.

    Substituting `z_1, z_2 = a u ± b v` keeps the density from becoming a ridge as `c` tends to one.
    The quadrature is adaptive over the axis that weighs more, on which kinks may lie anywhere, and
    has ten nodes on each of eight panels over the other. Good to nine digits where `f` has kinks,
    to five where it jumps.

    >>> round(expect_product(lambda z: z * (z > 0), 1.0, 0.0), 6)  # 1/(2 pi)
    0.159155
    """
    std = math.sqrt(second_moment)
    sum_weight, difference_weight = (
        std * math.sqrt(0.5 * (1.0 + correlation)),
        std * math.sqrt(0.5 * (1.0 - correlation)),
    )
    is_sum_inner = correlation >= 0.0
    outer_nodes, outer_weights = panel_nodes(
        np.stack([_OUTER_EDGES[:-1], _OUTER_EDGES[1:]], axis=1)
    )
    outer, weights = (
        outer_nodes.ravel(),
        outer_weights.ravel() * normal_density(outer_nodes.ravel()),
    )

    def over_panels(panels: Array) -> Array:
        nodes, node_weights = panel_nodes(panels)
        inner = nodes[:, :, None]
        u, v = (inner, outer) if is_sum_inner else (outer, inner)
        values = function(sum_weight * u + difference_weight * v) * function(
            sum_weight * u - difference_weight * v
        )
        integrals: Array = np.einsum("pn,pno->po", node_weights * normal_density(nodes), values)
        return integrals

    edges = edges_between(-_REACH, _REACH, 0.5)
    inner_integrals = integrate(over_panels, edges, np.full(len(outer), _TOLERANCE))
    return float(inner_integrals @ weights)
