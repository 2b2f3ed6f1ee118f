"""Interface of a propagation rule: the output's signal, and a gradient factor for each input."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from keras_initcheck.theory.propagation.signal import UNKNOWN, Signal


class PropagationRule(ABC):
    """One layer, or one step of a layer: the numbers that decide its effect on signal and gradient.

    Backpropagation is linear in the gradient, so that one factor for each input describes it. The
    gradient is taken to have zero mean, and to be independent of the signal and of the weights (He
    et al. 2015, section 2.2).
    """

    def forward(self, *inputs: Signal) -> Signal:
        """The output's signal."""
        is_known = all(signal.is_known for signal in inputs)
        return self._forward(*inputs) if is_known else self._forward_unknown()

    @abstractmethod
    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln` of the ratio of mean squared gradients, input over output, for each input.

        It is `nan` where it is unknown.
        """

    @abstractmethod
    def _forward(self, *inputs: Signal) -> Signal:
        """The output's signal, from inputs that are all known."""

    def _forward_unknown(self) -> Signal:
        """The output's signal if an input is unknown."""
        return UNKNOWN


@dataclass(frozen=True)
class Source(PropagationRule):
    """A tensor that comes from outside: the model's input, or a measured one.

    >>> Source(Signal(0.5)).forward().log_second_moment
    0.5
    """

    signal: Signal

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """No input, no factor."""
        return ()

    def _forward(self, *inputs: Signal) -> Signal:
        return self.signal


@dataclass(frozen=True)
class Measured(PropagationRule):
    """A tensor that no rule predicts, as it was measured. Its gradient passes unchanged.

    >>> Measured(Signal(0.5)).forward(UNKNOWN).log_second_moment
    0.5
    """

    signal: Signal

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln 1`."""
        return (0.0,)

    def _forward(self, *inputs: Signal) -> Signal:
        return self.signal

    def _forward_unknown(self) -> Signal:
        return self.signal


@dataclass(frozen=True)
class Unpredictable(PropagationRule):
    """A layer without a rule: recurrent layers, lookups of a table by position, custom layers.

    >>> Unpredictable("its gates multiply what they remember").forward(Signal(0.0)).is_known
    False

    Attributes:
        reason: The reason, as a clause for a sentence.
    """

    reason: str

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """Unknown for every input."""
        return (math.nan,) * len(inputs)

    def _forward(self, *inputs: Signal) -> Signal:
        return UNKNOWN
