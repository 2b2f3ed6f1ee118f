"""Adaptive Gauss-Legendre integration that copes with kinks and jumps at unknown places.

A composite rule: ten nodes on every panel, and every panel that disagrees with its two halves is
replaced by them. A kink or a jump that no edge hits ends up in panels too narrow to count.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_STENCIL = 0.5 - 0.5 * np.cos(np.pi * np.arange(6) / 5)  # Chebyshev-Lobatto points on [0, 1]

_MAX_ROUNDS = 50  # 2**-50 of a panel is below float64's resolution
_MAX_PANELS = 4096
"""A noisy function asks for ever more panels; 40 000 values are enough for any other."""


def _differentiation_matrix(nodes: Array) -> Array:
    """`(nodes, nodes)` matrix from values at the nodes to slopes of the polynomial through them.

    Berrut & Trefethen 2004, section 9.3.
    """
    gaps = nodes[:, None] - nodes[None, :] + np.eye(len(nodes))
    weights = 1.0 / gaps.prod(axis=1)
    matrix: Array = weights[None, :] / weights[:, None] / gaps - np.eye(len(nodes))
    return matrix - np.diag(matrix.sum(axis=1))


_PANEL_SLOPES = _differentiation_matrix(_NODES)
_STENCIL_SLOPE = _differentiation_matrix(_STENCIL)[0]


def panel_nodes(panels: Array) -> tuple[Array, Array]:
    """Nodes and weights of the rule, both `(panels, nodes)`.

    Args:
        panels: The two ends of each panel, `(panels, 2)`.
    """
    half_widths = 0.5 * (panels[:, 1:] - panels[:, :1])
    return panels.mean(axis=1, keepdims=True) + half_widths * _NODES, half_widths * _WEIGHTS


def panel_slopes(values: Array, panels: Array) -> Array:
    """Slopes `(panels, nodes)` from the values at the nodes of each panel alone.

    They are exact for polynomials of degree nine, and infinite where values overflowed.
    """
    half_widths = 0.5 * (panels[:, 1:] - panels[:, :1])
    overflowed = np.isinf(values).any(axis=1, keepdims=True)
    slopes: Array = np.where(overflowed, np.inf, values @ _PANEL_SLOPES.T / half_widths)
    return slopes


def outward_slopes(function: Callable[[Array], Array], points: Array, reach: float) -> Array:
    """Slopes at the points from six values each, none of which lies beyond zero.

    It serves points so close together that differences between their values drown in rounding.

    >>> outward_slopes(np.abs, np.array([-1e-10, 1e-10]), reach=1e-3).round(6)
    array([-1.,  1.])
    """
    steps = np.where(points < 0, -reach, reach)
    slopes: Array = (
        function(points[..., None] + steps[..., None] * _STENCIL) @ _STENCIL_SLOPE / steps
    )
    return slopes


def edges_between(low: float, high: float, spacing: float) -> Array:
    """Panel edges: a grid of that spacing, zero, and ±2^k and ±1.5 * 2^k from 1/16 on.

    The powers resolve features of size 1 however wide the interval is, and hold the kinks of the
    usual activations: 0.5, 1, 3 and 6.

    >>> edges_between(-0.25, 0.125, spacing=0.125).tolist()
    [-0.25, -0.1875, -0.125, -0.09375, -0.0625, 0.0, 0.0625, 0.09375, 0.125]
    """
    grid = np.linspace(low, high, round((high - low) / spacing) + 1)
    octaves = np.exp2(np.arange(-4.0, max(-3.0, np.log2(max(-low, high)))))
    powers = np.concatenate([octaves, 1.5 * octaves])
    edges: Array = np.unique(np.clip(np.concatenate([grid, -powers, [0.0], powers]), low, high))
    return edges


def integrate(integrals: Callable[[Array], Array], edges: Array, tolerances: Array) -> Array:
    """Integrals over all panels, refined where they are not accurate.

    Args:
        integrals: Maps panels `(panels, 2)` to one or more integrals over each,
            `(panels, columns)`.
        edges: Panel edges, ascending.
        tolerances: Largest difference between a panel and its halves, `(columns,)`, relative to
            the column's sum of magnitudes over all panels.

    Returns:
        The integrals, `(columns,)`. They are not refined if one of them is not finite.
    """
    panels = np.stack([edges[:-1], edges[1:]], axis=1)
    coarse = integrals(panels)
    scale = np.abs(coarse).sum(axis=0)
    total: Array = np.zeros(len(scale))
    num_rounds = _MAX_ROUNDS if np.isfinite(scale).all() else 0
    for _ in range(num_rounds):
        if not 0 < len(panels) <= _MAX_PANELS:
            break
        halves = _halve(panels)
        fine = integrals(halves).reshape(len(panels), 2, -1)
        is_rough = (np.abs(fine.sum(axis=1) - coarse) > tolerances * scale).any(axis=1)
        total += fine[~is_rough].sum(axis=(0, 1))
        panels, coarse = halves[np.repeat(is_rough, 2)], fine[is_rough].reshape(-1, len(scale))
    total += coarse.sum(axis=0)
    return total


def _halve(panels: Array) -> Array:
    middles = panels.mean(axis=1)
    return np.stack([panels[:, 0], middles, middles, panels[:, 1]], axis=1).reshape(-1, 2)
