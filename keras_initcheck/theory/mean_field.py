"""Mean field theory of deep networks with independent weights: where second moment and correlation
go, and how fast.

Poole et al. 2016 and Schoenholz et al. 2017. Layers are `z' = W f(z) + b` of unlimited width, with
`Var w = σ_w² / n` and `Var b = σ_b²`; `q = E z²`, and `c` is the correlation of `z` between two
inputs.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from keras_initcheck.theory.activations import Function, moments
from keras_initcheck.theory.normal import normal_density
from keras_initcheck.theory.quadrature import Array, edges_between, integrate, panel_nodes

_REACH = 9.0  # standard deviations: the Gaussian beyond holds 2e-19
_OUTER_EDGES = np.array([-_REACH, -4.0, -2.0, -0.75, 0.0, 0.75, 2.0, 4.0, _REACH])
_TOLERANCE = 1e-11  # of an integral, relative
_MARGINAL = 1e-9  # |ln(q'/q)| or |c' - c| that is quadrature's error: every q (ReLU at σ_w² = 2) is a fixed point
_FARTHEST_LOG = 150.0  # |ln q| from which on a second moment is said to vanish or to explode
_ROOT_TOLERANCE = 1e-12  # of a fixed point: quadrature is no better
_DIFFERENCE = (
    1e-4  # step in `c`: truncation, about its square, against rounding, about `_TOLERANCE` over it
)


@dataclass(frozen=True)
class DepthScales:
    """Layers over which what differs from the fixed point falls by `e`. `inf` where it does not
    fall exponentially.

    Attributes:
        second_moment: `ξ_q`, of `q`.
        correlation: `ξ_c`, of `c`: networks are trainable up to about six of them (Schoenholz et
            al. 2017, section 6).
        gradient: `ξ_∇ = 1 / |ln χ1|`, of the gradient's mean square.
    """

    second_moment: float
    correlation: float
    gradient: float


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
        return (
            self.weight_variance * moments(self.function, second_moment).second_moment
            + self.bias_variance
        )

    def chi1(self, second_moment: float) -> float:
        """`χ1 = σ_w² E f'(sqrt(q) u)²`: a gradient's mean square from layer to layer (Schoenholz et
        al. 2017, section 5).
        """
        return self.weight_variance * moments(self.function, second_moment).derivative_second_moment

    def variance_slope(self, second_moment: float) -> float:
        """`dq'/dq`, which is `χ1 + σ_w² E[f f'']` (Schoenholz et al. 2017, section 3), without
        `f''` by Stein's lemma.
        """
        found = moments(self.function, second_moment)
        return self.weight_variance * found.chi_q * found.second_moment / second_moment

    def correlation_map(self, correlation: float, second_moment: float) -> float:
        """`c' = (σ_w² E[f(z_1) f(z_2)] + σ_b²) / q'` for `z` of second moment `q` and correlation
        `c` (Poole et al. 2016, section 2).

        >>> relu = MeanField(lambda z: z * (z > 0), weight_variance=2.0)
        >>> round(relu.correlation_map(0.0, 1.0), 6)  # 1/pi
        0.31831
        """
        product = expect_product(self.function, second_moment, correlation)
        return (self.weight_variance * product + self.bias_variance) / self.variance_map(
            second_moment
        )

    def correlation_slope(self, correlation: float, second_moment: float) -> float:
        """`dc'/dc`, which is `σ_w² E[f'(z_1) f'(z_2)] q / q'`; `χ1` at `c = 1` and `q = q*` (Poole
        et al. 2016, section 2).
        """
        if correlation > 1.0 - _DIFFERENCE:
            return self.chi1(second_moment) * second_moment / self.variance_map(second_moment)
        above = self.correlation_map(correlation + _DIFFERENCE, second_moment)
        below = self.correlation_map(correlation - _DIFFERENCE, second_moment)
        return (above - below) / (2.0 * _DIFFERENCE)

    def fixed_point(self, start: float = 1.0) -> float:
        """`q*`, to which the variance map leads from `start`: 0 and `inf` if it vanishes or
        explodes, `start` if every `q` is fixed.

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
        """`c*`, to which the correlation of two different inputs goes at `q*`: 1 in the ordered
        phase, less in the chaotic one.

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
            if 1.0 - high < 1e-6:
                return 1.0
        return float(brentq(growth, 0.0, high, xtol=_ROOT_TOLERANCE))

    def depth_scales(self) -> DepthScales:
        """`ξ_q`, `ξ_c` and `ξ_∇` (Schoenholz et al. 2017, sections 3 and 5).

        >>> scales = MeanField(np.tanh, weight_variance=1.3, bias_variance=0.05).depth_scales()
        >>> round(scales.correlation, 1)
        7.8

        Raises:
            ValueError: The second moment vanishes or explodes.
        """
        q = self.fixed_point()
        if not 0.0 < q < math.inf:
            raise ValueError(
                "The second moment must have a fixed point. Received:"
                f" weight_variance={self.weight_variance}, bias_variance={self.bias_variance}, for"
                f" which it goes to {q}. Change the weights' variance."
            )
        slope = self.correlation_slope(self.correlation_fixed_point(q), q)
        return DepthScales(
            _depth_scale(self.variance_slope(q)), _depth_scale(slope), _depth_scale(self.chi1(q))
        )


def edge_of_chaos(function: Function, bias_variance: float) -> tuple[float, float]:
    """`σ_w²` at which `χ1 = 1` at the fixed point, and that fixed point `q*` (Schoenholz et al.
    2017, section 2).

    For a given `q`, `σ_w² = 1 / E f'²` makes `χ1` one, and `σ_b² = q - σ_w² E f²` makes `q` fixed:
    a search for `q` alone.

    >>> [round(number, 3) for number in edge_of_chaos(np.tanh, 0.05)]
    [1.761, 0.57]

    Raises:
        ValueError: No `q` from 1e-6 to 1e4 has that bias variance: ReLU only has zero.
    """

    def excess(log_q: float) -> float:
        q = math.exp(log_q)
        found = moments(function, q)
        return q - found.second_moment / found.derivative_second_moment - bias_variance

    grid = np.linspace(math.log(1e-6), math.log(1e4), 47).tolist()
    values = [excess(log_q) for log_q in grid]
    crossings = [i for i in range(len(grid) - 1) if values[i] <= 0.0 < values[i + 1]]
    if not crossings:
        raise ValueError(
            f"`bias_variance` must have an edge of chaos. Received: bias_variance={bias_variance}."
            " Activations that are linear on both sides of zero have one at 0 only, where"
            " `weight_variance` is 1 / E f'²."
        )
    q = math.exp(brentq(excess, grid[crossings[0]], grid[crossings[0] + 1]))
    return 1.0 / moments(function, q).derivative_second_moment, q


def expect_product(function: Function, second_moment: float, correlation: float) -> float:
    """`E[f(z_1) f(z_2)]` for standard bivariate Gaussians scaled to `q`, of correlation `c`.

    With `z_1, z_2 = a u ± b v`, so that no density becomes a ridge as `c` tends to one: adaptive
    over the axis that weighs more, on which kinks may lie anywhere, and ten nodes on each of eight
    panels over the other.

    Good to nine digits where `f` has kinks, to five where it jumps.

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


def _depth_scale(factor: float) -> float:
    return math.inf if abs(math.log(factor)) < _MARGINAL else 1.0 / abs(math.log(factor))
