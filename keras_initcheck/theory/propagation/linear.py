"""Rules of layers that are linear in one input: weights, tables, scales, padding and copies."""

import math
from dataclasses import dataclass

from keras_initcheck.theory.propagation.padding import NO_BORDER, Border
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential, finite_or_zero, logarithm

SIGNIFICANT_MEAN = 4.5
"""Standard errors of a kernel's mean beyond which it is no accident of the draw: a two-sided level
of 7e-6."""


def significant_mean(mean: float, second_moment: float, num_weights: int) -> float:
    """The mean of a kernel's weights, or 0 if chance explains it for weights of zero mean.

    >>> significant_mean(0.01, 1.0, num_weights=1000), significant_mean(0.2, 1.0, num_weights=1000)
    (0.0, 0.2)
    """
    return mean if abs(mean) > SIGNIFICANT_MEAN * math.sqrt(second_moment / num_weights) else 0.0


@dataclass(frozen=True)
class Weight(PropagationRule):
    """A kernel and its bias: `q -> n E[w²] q + n (n-1) mean(w)² mean(x)² + E[b²]`.

    Back it is `n̂ E[w²]`. He et al. 2015, section 2.2, equations 8 and 13, with weights whose mean
    is not zero. Assumes weights that are independent of the signal and of each other, and, if their
    mean counts, inputs of one output that are uncorrelated with each other.

    >>> he, x = Weight(fan_in=576, fan_out=1152, second_moment=2 / 576), Signal(0.0)
    >>> round(he.forward(x).second_moment, 6), round(math.exp(*he.log_gradient_factors(x)), 6)
    (2.0, 4.0)

    Attributes:
        fan_in: True fan, `Fans.fan_in`.
        fan_out: True fan, `Fans.fan_out`.
        second_moment: `mean(w²)`.
        mean: Mean of the weights; see `significant_mean`.
        bias_mean: Mean of the bias.
        bias_second_moment: Mean of its square.
        border: Share of the fans that padding leaves.
    """

    fan_in: float
    fan_out: float
    second_moment: float
    mean: float = 0.0
    bias_mean: float = 0.0
    bias_second_moment: float = 0.0
    border: Border = NO_BORDER

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln(n̂ E[w²])`."""
        return (logarithm(self.fan_out * self.border.backward * self.second_moment),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        scale = finite_or_zero(max(signal.log_second_moment, logarithm(self.bias_second_moment)))
        fan_in, square = (
            self.fan_in * self.border.forward,
            exponential(signal.log_second_moment - scale),
        )
        product_mean = fan_in * self.mean * signal.scaled(scale)[0]
        product_variance = (
            fan_in * (self.second_moment - (self.mean * signal.relative_mean) ** 2) * square
        )
        bias_variance = max(self.bias_second_moment - self.bias_mean**2, 0.0) * exponential(-scale)
        mean = product_mean + self.bias_mean * exponential(-0.5 * scale)
        return Signal.from_moments(mean, product_variance + bias_variance, scale)


@dataclass(frozen=True)
class Embedding(PropagationRule):
    """Rows looked up in a table: the table's own moments for any input.

    Assumes that all rows are looked up equally often.

    >>> uniform = Embedding(mean=0.0, second_moment=0.05**2 / 3)  # Keras' default
    >>> round(uniform.forward(Signal(9.0)).second_moment, 7)
    0.0008333
    """

    mean: float
    second_moment: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """Indices have no gradient."""
        return (-math.inf,) * len(inputs)

    def _forward(self, *inputs: Signal) -> Signal:
        return Signal.from_moments(self.mean, max(self.second_moment - self.mean**2, 0.0))

    def _forward_unknown(self) -> Signal:
        return self._forward()


@dataclass(frozen=True)
class Affine(PropagationRule):
    """`a x + b` element by element: Rescaling, LayerScale, ReZero; by default the identity.

    A batch normalization in inference mode is one too. `q -> E[a²] q + 2 mean(a) mean(b) mean(x) +
    E[b²]`, and back `E[a²]`, for scales and offsets that are independent of the signal.

    >>> pixels = Signal.from_moments(127.5, 127.5**2 / 3)  # uniform in 0..255
    >>> rescaled = Affine.constant(1 / 255, -1.0).forward(pixels)
    >>> round(rescaled.mean, 6), round(rescaled.second_moment, 6)
    (-0.5, 0.333333)

    Attributes:
        scale_mean: Mean of `a`.
        scale_second_moment: Mean of `a²`.
        offset_mean: Mean of `b`.
        offset_second_moment: Mean of `b²`.
    """

    scale_mean: float = 1.0
    scale_second_moment: float = 1.0
    offset_mean: float = 0.0
    offset_second_moment: float = 0.0

    @classmethod
    def constant(cls, scale: float, offset: float = 0.0) -> "Affine":
        """One scale and one offset for all elements."""
        return cls(scale, scale * scale, offset, offset * offset)

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln E[a²]`."""
        return (logarithm(self.scale_second_moment),)

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        scale = finite_or_zero(max(signal.log_second_moment, logarithm(self.offset_second_moment)))
        input_mean, input_variance = signal.scaled(scale)
        scale_variance = max(self.scale_second_moment - self.scale_mean**2, 0.0)
        offset_variance = max(self.offset_second_moment - self.offset_mean**2, 0.0) * exponential(
            -scale
        )
        mean = self.scale_mean * input_mean + self.offset_mean * exponential(-0.5 * scale)
        variance = self.scale_second_moment * input_variance + scale_variance * input_mean**2
        return Signal.from_moments(mean, variance + offset_variance, scale)


IDENTITY = Affine()
"""Flatten, Reshape, Permute, Masking and other layers that keep every element."""


@dataclass(frozen=True)
class Repeat(PropagationRule):
    """Copies of every element: nearest-neighbor UpSampling (`k²` copies), RepeatVector.

    Gradients of copies add up.

    >>> upsampling = Repeat(copies=4)  # UpSampling2D(2)
    >>> upsampling.forward(Signal(1.0)).log_second_moment
    1.0
    >>> round(math.exp(*upsampling.log_gradient_factors()), 9)
    4.0
    """

    copies: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln copies`, for gradients of the copies that are independent of each other."""
        return (math.log(self.copies),)

    def _forward(self, *inputs: Signal) -> Signal:
        return inputs[0]


@dataclass(frozen=True)
class ZeroPadding(PropagationRule):
    """Zeros around the signal: `mean -> φ mean`, `q -> φ q`, and back 1.

    `φ` is the share of elements that are not padding.

    >>> padded = ZeroPadding(kept=0.5).forward(Signal.from_moments(1.0, 1.0))
    >>> round(padded.mean, 9), round(padded.second_moment, 9)
    (0.5, 1.0)
    """

    kept: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """0: every element keeps its gradient."""
        return (0.0,)

    def _forward(self, *inputs: Signal) -> Signal:
        mean, variance = inputs[0].scaled(finite_or_zero(inputs[0].log_second_moment))
        spread = self.kept * (1.0 - self.kept) * mean * mean
        return Signal.from_moments(
            self.kept * mean,
            self.kept * variance + spread,
            finite_or_zero(inputs[0].log_second_moment),
        )


@dataclass(frozen=True)
class Cropping(PropagationRule):
    """A part of the elements, such as a slice: moments stay, and other elements get no gradient.

    >>> round(math.exp(Cropping(kept=0.25).log_gradient_factors()[0]), 9)
    0.25
    """

    kept: float

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln` of the share that is kept."""
        return (math.log(self.kept),)

    def _forward(self, *inputs: Signal) -> Signal:
        return inputs[0]
