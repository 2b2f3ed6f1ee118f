"""Rules of pooling layers, whose cells are taken to be independent.

Global pooling is pooling with one window that has all positions.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.propagation.maximum import (
    LargestGaussian,
    largest_gaussian,
    rectified_moments,
    unrectified_mean,
)
from keras_initcheck.theory.propagation.padding import Overlap
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import ZERO, Signal


@dataclass(frozen=True)
class AveragePooling(PropagationRule):
    """The mean is kept, `v -> v / m`, and back `1 / (m s²)`.

    The latter is `1/k⁴` for `k x k` windows side by side. Gradients of windows that overlap are
    taken to be independent.

    >>> after_relu = Signal.from_moments(0.398942, 0.340845)
    >>> round(AveragePooling(cells=4, stride=4).forward(after_relu).second_moment, 3)
    0.244

    Attributes:
        cells: `m`, mean number of cells in a window, padding not included.
        stride: `s²`, input positions for each output position.
    """

    cells: float
    stride: float

    @classmethod
    def over(cls, overlap: Overlap) -> "AveragePooling":
        """Pooling with that window."""
        return cls(overlap.cells, overlap.stride)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`-ln(m s²)`."""
        return (-math.log(self.cells * self.stride),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal == ZERO:
            return signal
        return Signal.from_moments(
            signal.relative_mean, signal.variance_share / self.cells, signal.log_second_moment
        )


@dataclass(frozen=True)
class MaxPooling(PropagationRule):
    """The largest of `m` independent cells that are Gaussian, or rectified Gaussians.

    By quadrature. The second moment is an upper bound for cells that are correlated. Back `1 / s²`:
    one cell of each window gets the gradient.

    >>> independent = MaxPooling(cells=4, stride=4).forward(Signal(0.0))
    >>> round(independent.mean, 5), round(independent.second_moment, 5)
    (1.02938, 1.55133)
    >>> after_relu = Signal.from_moments(0.3989422804, 0.5 - 0.3989422804**2)
    >>> of_relu = MaxPooling(cells=4, stride=4, is_rectified=True)
    >>> round(of_relu.forward(after_relu).second_moment, 5)
    1.54379

    Attributes:
        cells: `m`, mean number of cells in a window, padding not included.
        stride: `s²`, input positions for each output position.
        is_rectified: True if cells have passed a ReLU. Their Gaussian is found from their mean and
            second moment.
    """

    cells: float
    stride: float
    is_rectified: bool = False

    @classmethod
    def over(cls, overlap: Overlap) -> "MaxPooling":
        """Pooling with that window."""
        return cls(overlap.cells, overlap.stride)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`-ln s²`."""
        return (-math.log(self.stride),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal.variance_share == 0.0 or signal == ZERO:
            return signal
        largest = largest_gaussian([0.0], [1.0], [self.cells])
        if self.is_rectified and signal.relative_mean > 0.0:
            return self._rectified(signal, largest)
        return Signal.from_moments(
            signal.relative_mean + math.sqrt(signal.variance_share) * largest.mean,
            signal.variance_share * largest.variance,
            signal.log_second_moment,
        )

    def _rectified(self, signal: Signal, largest: LargestGaussian) -> Signal:
        """The largest of rectified cells is the rectified largest of their Gaussians."""
        mean = unrectified_mean(signal.relative_mean)
        before = float(rectified_moments(np.array([mean]), 1.0)[1][0])
        rectified = np.maximum(mean + largest.points, 0.0)
        pooled_mean = largest.expect(rectified)
        variance = max(largest.expect(rectified**2) - pooled_mean**2, 0.0)
        return Signal.from_moments(
            pooled_mean, variance, signal.log_second_moment - math.log(before)
        )
