"""Rules of pooling layers. Global pooling is pooling with as many cells as there are positions."""

import math
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.propagation.maximum import (
    Largest,
    largest_of,
    rectified_moments,
    unrectified_mean,
)
from keras_initcheck.theory.propagation.padding import Overlap
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import ZERO, Signal


@dataclass(frozen=True)
class AveragePooling(PropagationRule):
    """The mean is kept, `v -> v (1 + (m - 1) ρ) / m`; back `1 / (m s²)`, which is `1/k⁴` of `k x k`
    windows that do not overlap.

    Where windows overlap, their gradients are taken to be independent.

    >>> pooled = AveragePooling(cells=4, stride=4).forward(Signal.from_moments(0.398942, 0.340845))  # after ReLU
    >>> round(pooled.second_moment, 3)
    0.244

    Attributes:
        cells: `m`, mean number of cells in a window, padding not included.
        stride: `s²`, input positions for each output position.
        correlation: `ρ` between cells of a window, of what differs from the mean.
    """

    cells: float
    stride: float
    correlation: float = 0.0

    @classmethod
    def over(cls, overlap: Overlap, correlation: float = 0.0) -> "AveragePooling":
        """Pooling with that window."""
        return cls(overlap.cells, overlap.stride, correlation)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`-ln(m s²)`."""
        return (-math.log(self.cells * self.stride),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal == ZERO:
            return signal
        kept = max(1.0 + (self.cells - 1.0) * self.correlation, 0.0) / self.cells
        return Signal.from_moments(
            signal.relative_mean, signal.variance_share * kept, signal.log_second_moment
        )


@dataclass(frozen=True)
class MaxPooling(PropagationRule):
    """The largest of `m` cells that are Gaussian, or ReLU's part of Gaussians, with the same
    correlation `ρ` between any two.

    By quadrature. With `ρ = 0` the second moment is an upper bound for cells that are correlated
    the more the closer they are; with `ρ = 1` it is unchanged. Back `1 / s²`: one cell of each
    window gets the gradient.

    >>> independent = MaxPooling(cells=4, stride=4).forward(Signal(0.0))
    >>> round(independent.mean, 5), round(independent.second_moment, 5)
    (1.02938, 1.55133)
    >>> after_relu = Signal.from_moments(0.3989422804, 0.5 - 0.3989422804**2)
    >>> round(MaxPooling(cells=4, stride=4, is_rectified=True).forward(after_relu).second_moment, 5)
    1.54379

    Attributes:
        cells: `m`, mean number of cells in a window, padding not included.
        stride: `s²`, input positions for each output position.
        correlation: `ρ` between the Gaussians of any two cells of a window.
        is_rectified: Whether cells have passed a ReLU; their Gaussian is found from their mean and
            second moment.
    """

    cells: float
    stride: float
    correlation: float = 0.0
    is_rectified: bool = False

    @classmethod
    def over(
        cls, overlap: Overlap, correlation: float = 0.0, is_rectified: bool = False
    ) -> "MaxPooling":
        """Pooling with that window."""
        return cls(overlap.cells, overlap.stride, correlation, is_rectified)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`-ln s²`."""
        return (-math.log(self.stride),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal.variance_share == 0.0 or signal == ZERO:
            return signal
        largest = largest_of([0.0], [1.0], [self.cells])
        if self.is_rectified and signal.relative_mean > 0.0:
            return self._rectified(signal, largest)
        variance = self.correlation + (1.0 - self.correlation) * largest.variance
        shift = math.sqrt(signal.variance_share * (1.0 - self.correlation)) * largest.mean
        return Signal.from_moments(
            signal.relative_mean + shift, signal.variance_share * variance, signal.log_second_moment
        )

    def _rectified(self, signal: Signal, largest: Largest) -> Signal:
        """What all cells share is Gaussian given what they do not, whose largest is on the
        quadrature's points.
        """
        mean = unrectified_mean(signal.relative_mean)
        before = float(rectified_moments(np.array([mean]), 1.0)[1][0])
        first, second = rectified_moments(
            mean + math.sqrt(1.0 - self.correlation) * largest.points, math.sqrt(self.correlation)
        )
        pooled_mean = largest.expect(first)
        variance = max(largest.expect(second) - pooled_mean**2, 0.0)
        return Signal.from_moments(
            pooled_mean, variance, signal.log_second_moment - math.log(before)
        )
