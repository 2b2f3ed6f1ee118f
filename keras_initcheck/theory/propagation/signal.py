"""Predicted moments of one tensor, on a scale that neither overflows nor underflows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LARGEST_LOG = math.log(1.7e308)


@dataclass(frozen=True)
class Signal:
    """Mean and second moment of a tensor's elements over samples, positions and units.

    The second moment is kept as a logarithm and the rest relative to it, so that a network that
    multiplies by 1e4 in each of its hundred layers has a prediction too.
    `relative_mean² + variance_share = 1`; both are kept, since either may be so close to one that
    the other would drown in rounding.

    >>> signal = Signal.from_moments(mean=3.0, variance=16.0)
    >>> round(signal.second_moment, 9), signal.relative_mean, signal.variance_share
    (25.0, 0.6, 0.64)

    Attributes:
        log_second_moment: `ln q`, natural; `-inf` for a tensor of zeros, `nan` where the signal is
            unknown.
        relative_mean: `mean / sqrt(q)`, -1..1.
        variance_share: `variance / q`, 0..1.
    """

    log_second_moment: float
    relative_mean: float = 0.0
    variance_share: float = 1.0

    @classmethod
    def from_moments(cls, mean: float, variance: float, log_scale: float = 0.0) -> "Signal":
        """The signal of a mean in units of `e^(log_scale / 2)` and a variance of `e^log_scale`.

        >>> huge = Signal.from_moments(mean=0.0, variance=1.0, log_scale=2000.0)
        >>> round(huge.log10_second_moment, 2)
        868.59

        Raises:
            ValueError: The variance is negative.
        """
        if variance < 0.0:
            raise ValueError(
                f"`variance` must not be negative. Received: variance={variance}. Pass `E[x²] -"
                " mean²`."
            )
        second_moment = mean * mean + variance
        if second_moment == 0.0:
            return ZERO
        return cls(
            log_scale + math.log(second_moment),
            mean / math.sqrt(second_moment),
            variance / second_moment,
        )

    @property
    def is_known(self) -> bool:
        """True if the signal is predicted."""
        return not math.isnan(self.log_second_moment)

    @property
    def second_moment(self) -> float:
        """`q`; `inf` or 0 where a float cannot hold it."""
        return exponential(self.log_second_moment)

    @property
    def log10_second_moment(self) -> float:
        """`log10 q`."""
        return self.log_second_moment / math.log(10.0)

    @property
    def mean(self) -> float:
        """The mean; `±inf` where a float cannot hold it."""
        return (
            self.relative_mean * exponential(0.5 * self.log_second_moment)
            if self.relative_mean
            else 0.0
        )

    @property
    def log_variance(self) -> float:
        """`ln` of the variance; `-inf` for a constant."""
        return self.log_second_moment + logarithm(self.variance_share)

    def scaled(self, log_scale: float) -> tuple[float, float]:
        """Mean and variance in units of `e^(log_scale / 2)` and `e^log_scale`.

        Signals can be added in units of the largest of them: see `common_scale`.
        """
        root = exponential(0.5 * (self.log_second_moment - log_scale))
        return self.relative_mean * root, self.variance_share * root * root


ZERO = Signal(-math.inf)
"""A tensor of zeros."""

UNKNOWN = Signal(math.nan, math.nan, math.nan)
"""A tensor without a prediction.

Only a layer that sets a scale of its own, such as a normalization, makes the signal known again.
"""


def common_scale(signals: Iterable[Signal]) -> float:
    """The largest `ln q`, in whose units none of the signals overflows; 0 if all are zero."""
    return finite_or_zero(max(signal.log_second_moment for signal in signals))


def finite_or_zero(logarithm: float) -> float:
    """A scale to compute in; it does not matter for a tensor of zeros."""
    return logarithm if math.isfinite(logarithm) else 0.0


def exponential(x: float) -> float:
    """`e^x`, `inf` where it overflows."""
    return math.inf if x > _LARGEST_LOG else math.exp(x)


def logarithm(x: float) -> float:
    """`ln x` of a number that is not negative, `-inf` of zero."""
    return math.log(x) if x != 0.0 else -math.inf


def log_sum(logarithms: Iterable[float]) -> float:
    """`ln(sum e^x)`; `-inf` without a term, and `nan` as soon as one term is.

    `scipy.special.logsumexp` is made for arrays and takes fifty times as long for a few numbers.

    >>> round(log_sum([1000.0, 1000.0]), 6)
    1000.693147
    """
    terms = list(logarithms)
    if any(map(math.isnan, terms)):
        return math.nan
    largest = max(terms, default=-math.inf)
    if math.isinf(largest):
        return largest
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))
