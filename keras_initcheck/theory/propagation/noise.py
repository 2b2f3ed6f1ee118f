"""Rules of dropout and other layers that add or multiply noise in training mode.

In inference mode they are the identity.
"""

import math
from dataclasses import dataclass

from keras_initcheck.theory.activation_functions import SELU_ALPHA, SELU_SCALE
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential, finite_or_zero, logarithm

_ALPHA = -SELU_ALPHA * SELU_SCALE  # SELU's limit for large negative arguments


@dataclass(frozen=True)
class Dropout(PropagationRule):
    """`q -> q / (1 - p)` with the mean kept, and back the same factor.

    Srivastava et al. 2014, section 10, has the variance. SpatialDropout and GaussianDropout have
    the same rule: one drops whole channels, the other multiplies by `N(1, p / (1 - p))`.

    >>> dropped = Dropout(rate=0.5).forward(Signal.from_moments(1.0, 1.0))
    >>> round(dropped.mean, 9), round(dropped.second_moment, 9)
    (1.0, 4.0)
    """

    rate: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`-ln(1 - p)`."""
        return (-math.log1p(-self.rate),)

    def _forward(self, *inputs: Signal) -> Signal:
        scale = finite_or_zero(inputs[0].log_second_moment)
        mean, variance = inputs[0].scaled(scale)
        return Signal.from_moments(
            mean, (variance + self.rate * mean * mean) / (1.0 - self.rate), scale
        )


@dataclass(frozen=True)
class GaussianNoise(PropagationRule):
    """`q -> q + σ²`, and back 1.

    >>> round(GaussianNoise(standard_deviation=2.0).forward(Signal(0.0)).second_moment, 9)
    5.0
    """

    standard_deviation: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """0: the noise does not depend on the input."""
        return (0.0,)

    def _forward(self, *inputs: Signal) -> Signal:
        scale = finite_or_zero(
            max(inputs[0].log_second_moment, 2.0 * logarithm(self.standard_deviation))
        )
        mean, variance = inputs[0].scaled(scale)
        return Signal.from_moments(
            mean, variance + self.standard_deviation**2 * exponential(-scale), scale
        )


@dataclass(frozen=True)
class AlphaDropout(PropagationRule):
    """Sets units to SELU's limit `α'` and rescales, so that mean 0 and variance 1 stay.

    Klambauer et al. 2017, section 2. `q -> a² (1 - p) q + 2 a b (1 - p) mean + p (a α' + b)² + (1 -
    p) b²`, and back `a² (1 - p)`.

    >>> kept = AlphaDropout(rate=0.1).forward(Signal(0.0))
    >>> abs(kept.mean) < 1e-12, round(kept.second_moment, 9)
    (True, 1.0)
    """

    rate: float

    @property
    def scale(self) -> float:
        """`a`."""
        return 1.0 / math.sqrt((1.0 - self.rate) * (1.0 + self.rate * _ALPHA**2))

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln(a² (1 - p))`."""
        return (2.0 * math.log(self.scale) + math.log1p(-self.rate),)

    def _forward(self, *inputs: Signal) -> Signal:
        unit = max(finite_or_zero(inputs[0].log_second_moment), 0.0)
        mean, variance = inputs[0].scaled(unit)
        dropped, kept = _ALPHA * exponential(-0.5 * unit), 1.0 - self.rate
        # a (x or α') + b with b = -a p α': the mean is a (1 - p) mean(x)
        spread = self.rate * kept * (mean - dropped) ** 2
        return Signal.from_moments(
            self.scale * kept * mean, self.scale**2 * (kept * variance + spread), unit
        )
