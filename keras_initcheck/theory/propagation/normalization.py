"""Rules of normalizations that measure their scale on the signal itself.

Two effects of order `1/N` in the size of a group are left out, which cancel for Gaussian groups:
the gradient loses the share `2/N` along the directions that are removed, and groups that happen to
be small are divided by less, `E[1/v] > 1 / E[v]`.
"""

import math
from dataclasses import dataclass

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential, log_sum, logarithm


def _kept_by_epsilon(log_scale: float, epsilon: float) -> float:
    """`v / (v + ε)`."""
    return 1.0 / (1.0 + exponential(logarithm(epsilon) - log_scale))


@dataclass(frozen=True)
class Standardization(PropagationRule):
    """Removes mean and variance of groups: batch, layer and group normalization.

    A batch normalization is meant in training mode. `mean -> mean(β)`, `q -> E[γ²] v / (v + ε) +
    E[β²]`, and back `E[γ²] / (v + ε)` (Ioffe & Szegedy 2015, section 3; Ba et al. 2016, section 3).
    Assumes large groups of about the same variance. The scale is set anew, so that the output of an
    unknown signal is known: there `ε` is neglected.

    >>> normalized = Standardization(epsilon=1e-3).forward(Signal.from_moments(5.0, 4.0))
    >>> normalized.mean, round(normalized.second_moment, 6)
    (0.0, 0.99975)
    >>> factors = Standardization(epsilon=0.0).log_gradient_factors(Signal.from_moments(5.0, 4.0))
    >>> round(math.exp(*factors), 9)
    0.25

    Attributes:
        epsilon: `ε`, added to the variance.
        gamma_second_moment: Mean of `γ²`.
        beta_mean: Mean of `β`.
        beta_second_moment: Mean of `β²`.
        within_share: `v` of a group over the variance of all elements, 0..1. For a batch
            normalization the group is a unit over the batch: far below one in deep networks, whose
            samples become alike.
    """

    epsilon: float
    gamma_second_moment: float = 1.0
    beta_mean: float = 0.0
    beta_second_moment: float = 0.0
    within_share: float = 1.0

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln(E[γ²] / (v + ε))`."""
        return (
            logarithm(self.gamma_second_moment)
            - log_sum([self._log_variance(inputs[0]), logarithm(self.epsilon)]),
        )

    def _log_variance(self, signal: Signal) -> float:
        return signal.log_variance + logarithm(self.within_share)

    def _forward(self, *inputs: Signal) -> Signal:
        log_variance = self._log_variance(inputs[0])
        return self._output(
            _kept_by_epsilon(log_variance, self.epsilon) if log_variance > -math.inf else 0.0
        )

    def _forward_unknown(self) -> Signal:
        return self._output(1.0)

    def _output(self, kept: float) -> Signal:
        spread = max(self.beta_second_moment - self.beta_mean**2, 0.0)
        return Signal.from_moments(self.beta_mean, self.gamma_second_moment * kept + spread)


@dataclass(frozen=True)
class RootMeanSquareNormalization(PropagationRule):
    """Divides groups by their root mean square: `q -> E[γ²] q / (q + ε)`.

    Back it is `E[γ²] / (q + ε)` (Zhang & Sennrich 2019, section 3). UnitNormalization over `N`
    elements is this rule with `E[γ²] = 1/N`: see `unit`.

    >>> signal = Signal.from_moments(3.0, 16.0)
    >>> normalized = RootMeanSquareNormalization(epsilon=0.0).forward(signal)
    >>> round(normalized.mean, 9), round(normalized.second_moment, 9)
    (0.6, 1.0)

    Attributes:
        epsilon: `ε`, added to the mean square.
        gamma_mean: Mean of `γ`.
        gamma_second_moment: Mean of `γ²`.
    """

    epsilon: float
    gamma_mean: float = 1.0
    gamma_second_moment: float = 1.0

    @classmethod
    def unit(cls, group_size: float) -> "RootMeanSquareNormalization":
        """Division by the Euclidean norm of `group_size` elements.

        >>> round(RootMeanSquareNormalization.unit(64).forward(Signal(8.0)).second_moment * 64, 9)
        1.0
        """
        return cls(0.0, 1.0 / math.sqrt(group_size), 1.0 / group_size)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln(E[γ²] / (q + ε))`."""
        return (
            logarithm(self.gamma_second_moment)
            - log_sum([inputs[0].log_second_moment, logarithm(self.epsilon)]),
        )

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal.log_second_moment == -math.inf:
            return signal
        kept = _kept_by_epsilon(signal.log_second_moment, self.epsilon)
        return self._output(signal.relative_mean, kept)

    def _forward_unknown(self) -> Signal:
        return self._output(0.0, 1.0)

    def _output(self, relative_mean: float, kept: float) -> Signal:
        """An unknown mean is taken for zero."""
        mean = self.gamma_mean * relative_mean * math.sqrt(kept)
        return Signal.from_moments(mean, max(self.gamma_second_moment * kept - mean * mean, 0.0))
