"""Rules of layers with several inputs, which are taken to be independent of each other.

`repeats` holds the number of copies that broadcasting makes of each operand; gradients of the
copies add up.
"""

import math
from dataclasses import dataclass

from keras_initcheck.theory.propagation.maximum import LargestGaussian, largest_gaussian
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, common_scale, logarithm


def _log_repeats(repeats: tuple[float, ...], num_inputs: int) -> tuple[float, ...]:
    return tuple(map(math.log, repeats)) if repeats else (0.0,) * num_inputs


@dataclass(frozen=True)
class Sum(PropagationRule):
    """`sum c_i x_i`: Add, Subtract, Average, a scaled residual branch.

    `q = sum c_i² v_i + (sum c_i mean_i)²`, and back `c_i²` to operand `i`.

    >>> both = Sum().forward(Signal.from_moments(1.0, 1.0), Signal.from_moments(2.0, 1.0))
    >>> round(both.mean, 9), round(both.second_moment, 9)
    (3.0, 11.0)

    Attributes:
        coefficients: `c_i`, one for each operand; 1 if not given.
        repeats: Number of copies of each operand; 1 if not given.
    """

    coefficients: tuple[float, ...] = ()
    repeats: tuple[float, ...] = ()

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln c_i²`."""
        copies = _log_repeats(self.repeats, len(inputs))
        return tuple(
            2.0 * logarithm(abs(c)) + copy
            for c, copy in zip(self._coefficients(len(inputs)), copies, strict=True)
        )

    def _coefficients(self, num_inputs: int) -> tuple[float, ...]:
        return self.coefficients or (1.0,) * num_inputs

    def _forward(self, *inputs: Signal) -> Signal:
        scale = common_scale(inputs)
        means, variances = zip(*(signal.scaled(scale) for signal in inputs), strict=True)
        coefficients = self._coefficients(len(inputs))
        mean = sum(c * mean for c, mean in zip(coefficients, means, strict=True))
        variance = sum(c**2 * variance for c, variance in zip(coefficients, variances, strict=True))
        return Signal.from_moments(mean, variance, scale)


@dataclass(frozen=True)
class Multiply(PropagationRule):
    """The product of independent operands: `mean = prod mean_i`, `q = prod q_i`.

    Back, an operand gets the product of the others' `q`.

    >>> gated = Multiply().forward(Signal.from_moments(1.0, 1.0), Signal.from_moments(0.5, 0.25))
    >>> round(gated.mean, 9), round(gated.second_moment, 9)
    (0.5, 1.0)

    Attributes:
        repeats: Number of copies of each operand; 1 if not given.
    """

    repeats: tuple[float, ...] = ()

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`sum_(j≠i) ln q_j`."""
        logarithms = [signal.log_second_moment for signal in inputs]
        copies = _log_repeats(self.repeats, len(inputs))
        return tuple(
            sum(logarithms[:i] + logarithms[i + 1 :]) + copy for i, copy in enumerate(copies)
        )

    def _forward(self, *inputs: Signal) -> Signal:
        # The variance share of a product is 1 - prod(1 - share), summed here without cancellation.
        share, kept = 0.0, 1.0
        for signal in inputs:
            share, kept = share + kept * signal.variance_share, kept * signal.relative_mean**2
        relative_mean = math.prod(signal.relative_mean for signal in inputs)
        return Signal(sum(signal.log_second_moment for signal in inputs), relative_mean, share)


@dataclass(frozen=True)
class Concatenate(PropagationRule):
    """Means of `mean` and `q`, weighted by size; gradients go back as they are.

    >>> joined = Concatenate(sizes=(1, 3)).forward(Signal.from_moments(4.0, 0.0), Signal(0.0))
    >>> round(joined.mean, 9), round(joined.second_moment, 9)
    (1.0, 4.75)

    Attributes:
        sizes: Number of elements of each operand.
    """

    sizes: tuple[float, ...]

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """0: every element keeps its gradient."""
        return (0.0,) * len(inputs)

    def _forward(self, *inputs: Signal) -> Signal:
        scale = common_scale(inputs)
        shares = [size / sum(self.sizes) for size in self.sizes]
        parts = [signal.scaled(scale) for signal in inputs]
        mean = sum(share * part for share, (part, _) in zip(shares, parts, strict=True))
        variance = sum(
            share * (spread + (part - mean) ** 2)
            for share, (part, spread) in zip(shares, parts, strict=True)
        )
        return Signal.from_moments(mean, variance, scale)


@dataclass(frozen=True)
class Maximum(PropagationRule):
    """The largest of independent Gaussian operands, element by element, by quadrature.

    Back, an operand gets the gradient of the elements in which it is the largest: the factor is
    their share. Clark 1961 has two operands in closed form.

    >>> of_two = Maximum().forward(Signal(0.0), Signal(0.0))
    >>> round(of_two.mean, 6), round(of_two.second_moment, 6)  # 1/sqrt(pi) and 1
    (0.56419, 1.0)

    Attributes:
        is_minimum: True for the smallest, which is minus the largest of their negatives.
        repeats: Number of copies of each operand; 1 if not given.
    """

    is_minimum: bool = False
    repeats: tuple[float, ...] = ()

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln` of the probability that the operand is the largest."""
        if not all(signal.is_known for signal in inputs):
            return (math.nan,) * len(inputs)
        shares = self._largest(inputs).winning_probabilities()
        copies = _log_repeats(self.repeats, len(inputs))
        return tuple(logarithm(share) + copy for share, copy in zip(shares, copies, strict=True))

    @property
    def _sign(self) -> float:
        return -1.0 if self.is_minimum else 1.0

    def _largest(self, inputs: tuple[Signal, ...]) -> LargestGaussian:
        scale = common_scale(inputs)
        parts = [signal.scaled(scale) for signal in inputs]
        return largest_gaussian(
            [self._sign * mean for mean, _ in parts], [variance for _, variance in parts]
        )

    def _forward(self, *inputs: Signal) -> Signal:
        largest = self._largest(inputs)
        return Signal.from_moments(
            self._sign * largest.mean, largest.variance, common_scale(inputs)
        )
