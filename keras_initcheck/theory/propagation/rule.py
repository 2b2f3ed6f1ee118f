"""What the rule of a layer answers: the signal it gives on, and the factors by which it hands
gradients back.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from keras_initcheck.theory.propagation.signal import UNKNOWN, Signal


class PropagationRule(ABC):
    """One layer, or one step of a layer: a frozen record of the numbers that decide what it does to
    signal and gradient.

    Backpropagation is linear in the gradient, so that its rule is one factor for each input. The
    gradient is taken to have zero mean, and to be independent of the signal and of the weights (He
    et al. 2015, section 2.2).
    """

    def forward(self, *inputs: Signal) -> Signal:
        """The output's signal."""
        is_known = all(signal.is_known for signal in inputs)
        return self._forward(*inputs) if is_known else self._forward_unknown()

    @abstractmethod
    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """For each input, `ln` of the mean square of an element's gradient over that at the output;
        `nan` where it is unknown.
        """

    @abstractmethod
    def _forward(self, *inputs: Signal) -> Signal:
        """The output's signal, from inputs that are all known."""

    def _forward_unknown(self) -> Signal:
        """What is known of the output where an input is not."""
        return UNKNOWN


@dataclass(frozen=True)
class Source(PropagationRule):
    """A tensor that comes from outside: the model's input, or whatever was measured.

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
class Unpredictable(PropagationRule):
    """A layer that has no rule: recurrent layers, lookups of a table by position, custom layers.

    >>> Unpredictable("its gates multiply what they remember").forward(Signal(0.0)).is_known
    False

    Attributes:
        reason: Why, in words.
    """

    reason: str

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """Unknown for every input."""
        return (math.nan,) * len(inputs)

    def _forward(self, *inputs: Signal) -> Signal:
        return UNKNOWN
