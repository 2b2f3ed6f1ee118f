"""Measured moments of variables, and the propagation rules of activations."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

from keras_initcheck.probe.keras_model.activations import following_activation
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.linear import IDENTITY
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable
from keras_initcheck.theory.propagation.softmax import Softmax


class MeasuredWeights:
    """Measured moments of variables by layer and name, and a rule for each activation.

    Layers with the same activation share one rule, whose quadratures are remembered.

    Args:
        weights: The variables of the whole model.
    """

    def __init__(self, weights: Sequence[WeightStats]) -> None:
        self._moments = {
            (weight.layer, weight.name.rsplit("/", 1)[-1]): weight.moments for weight in weights
        }
        self._not_finite = {weight.layer for weight in weights if not weight.moments.is_finite}
        self._activations: dict[Hashable, PropagationRule] = {}

    def moments(self, layer: str, name: str) -> Moments | None:
        """Moments of the variable `name` of the layer at a path; `None` without one of its own."""
        return self._moments.get((layer, name))

    def is_finite(self, layer: str) -> bool:
        """Whether every variable of the layer at a path is finite."""
        return layer not in self._not_finite

    def activation(self, activation: Any, shape: tuple[int, ...]) -> PropagationRule:
        """The rule of a fused callable, an activation layer or a graph operation.

        Args:
            activation: The activation.
            shape: Shape of its output.
        """
        following = following_activation(activation)
        if following.name == "linear":
            return IDENTITY
        if following.name == "softmax":
            return Softmax(num_units=_num_units(activation, shape))
        if following.function is None:
            return Unpredictable(f"{following.name} mixes units")
        rule = Activation(following.function, following.precision)
        return self._activations.setdefault(following.key, rule)


def _num_units(softmax: Any, shape: tuple[int, ...]) -> int:
    """Number of probabilities that add up to one.

    Layers and graph operations have an axis, or several; functions take the last.
    """
    axis = getattr(softmax, "axis", -1)
    return math.prod(shape[each] for each in ((axis,) if isinstance(axis, int) else axis))


def mean_and_square(moments: Moments | None, default: float) -> tuple[float, float]:
    """Mean and mean square of a variable, or of the constant `default` where there is none."""
    return (default, default**2) if moments is None else (moments.mean, moments.second_moment)


def element_ratio(larger: tuple[int, ...], smaller: tuple[int, ...]) -> float:
    """Number of elements of a tensor of shape `larger` for each element of one of `smaller`."""
    return math.prod(larger) / math.prod(smaller)
