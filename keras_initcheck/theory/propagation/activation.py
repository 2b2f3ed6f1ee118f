"""The rule of element-wise activations, by quadrature at the propagated mean and second moment."""

import functools
import math
import weakref
from dataclasses import dataclass

import numpy as np

from keras_initcheck.theory.activations import (
    FLOAT64_PRECISION,
    ActivationMoments,
    Function,
    activation_moments,
)
from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import ZERO, Signal, logarithm

_FARTHEST_LOG = 46.0
"""`ln q` of 1e±20. Beyond it activations are powers of their argument, for which `ln E f²` is a
straight line against `ln q`."""

_NUM_REMEMBERED = 1024
"""Quadratures, at a few milliseconds each. The backward pass needs those of the forward pass again,
and behind normalizations many layers see the same signal."""

_SMALLEST_SHARE = 1e-12
"""Variance share below which `q - mean²` drowns in rounding. The activation is linear over so small
a deviation, and the variance behind it in proportion."""


@dataclass(frozen=True)
class Activation(PropagationRule):
    """`mean -> E f`, `q -> E f²`, and back `E f'²`, for a Gaussian of the propagated moments.

    He et al. 2015, section 2.2, and Poole et al. 2016, section 2, with any mean. Signals that are
    not Gaussian, such as the output of another activation or of a pooling, are taken for Gaussians
    of their mean and variance.

    >>> relu = Activation(lambda z: z * (z > 0))
    >>> round(relu.forward(Signal(0.0)).second_moment, 9), round(relu.forward(Signal(0.0)).mean, 6)
    (0.5, 0.398942)
    >>> round(relu.forward(Signal(2000.0)).log_second_moment, 6)  # 2000 - ln 2
    1999.306853

    Attributes:
        function: Maps an array `(points,)` to one of the same shape.
        precision: Its relative precision, as in `activation_moments`.
    """

    function: Function
    precision: float = FLOAT64_PRECISION

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """`ln E f'²`."""
        (signal,) = inputs
        if not signal.is_known:
            return (math.nan,)
        near = _within_reach(signal)
        log_factor = logarithm(_moments(self, near).derivative_second_moment)
        beyond = signal.log_second_moment - near.log_second_moment
        return (
            (
                log_factor + self._log_slope(near, log_factor) * beyond
                if 0.0 < abs(beyond) < math.inf
                else log_factor
            ),
        )

    def _forward(self, *inputs: Signal) -> Signal:
        (signal,) = inputs
        if signal == ZERO or signal.variance_share == 0.0:
            return Signal.from_moments(float(self.function(np.array([signal.mean]))[0]), 0.0)
        near = _within_reach(signal)
        found = _moments(self, near)
        variance = found.variance * min(signal.variance_share / _SMALLEST_SHARE, 1.0)
        beyond = signal.log_second_moment - near.log_second_moment
        if found.second_moment == 0.0:
            return ZERO
        scale = logarithm(found.second_moment)
        return Signal.from_moments(
            found.mean / math.sqrt(found.second_moment),
            variance / found.second_moment,
            scale + (found.chi_q * beyond if beyond else 0.0),
        )

    def _log_slope(self, signal: Signal, log_factor: float) -> float:
        """`d ln E f'² / d ln q`, from a signal ten times closer to one."""
        step = math.copysign(math.log(10.0), -signal.log_second_moment)
        closer = Signal(
            signal.log_second_moment + step, signal.relative_mean, signal.variance_share
        )
        return (logarithm(_moments(self, closer).derivative_second_moment) - log_factor) / step


def _moments(rule: Activation, signal: Signal) -> ActivationMoments:
    return _integrate(_reference(rule.function), rule.precision, signal)


@functools.lru_cache(maxsize=_NUM_REMEMBERED)
def _integrate(
    reference: "weakref.ref[Function] | Function", precision: float, signal: Signal
) -> ActivationMoments:
    function = reference() if isinstance(reference, weakref.ref) else reference
    assert function is not None, "the rule holds its function"
    mean = signal.mean
    second_moment = mean * mean + max(signal.variance_share, _SMALLEST_SHARE) * signal.second_moment
    return activation_moments(function, second_moment, mean, precision=precision)


def _reference(function: Function) -> "weakref.ref[Function] | Function":
    """A weak reference: a user's function may hold a model, which must not live on in a cache."""
    try:
        return weakref.ref(function)
    except TypeError:  # a function of NumPy's own, which holds nothing
        return function


def _within_reach(signal: Signal) -> Signal:
    log_second_moment = max(min(signal.log_second_moment, _FARTHEST_LOG), -_FARTHEST_LOG)
    return Signal(log_second_moment, signal.relative_mean, signal.variance_share)
