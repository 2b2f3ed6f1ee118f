"""Predicted ratios of layers in factors, `½ n Var[w]` (He et al. 2015, section 2.2)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.layer_fans import FORWARD, LayerFans
from keras_initcheck.records.measurement import MEAN, SECOND_MOMENT, Measurement, X
from keras_initcheck.records.number_format import format_in_prose
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION, Site

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LARGE_BIAS = 0.5
"""Second moment of the bias, over the second moment that the weights make of the input, from which
the weights alone predict little of the signal."""
MEAN_OF_A_VARIANCE = 0.1
"""Share of `E[w²]` that the squared mean may have for `E[w²]` to be called the variance."""
MEAN_KEPT_BY_RESCALING = 0.01
"""Share of `E[w²]` that the squared mean may have for a kernel to be rescaled, which keeps it."""
LEAST_FACTOR, LARGEST_FACTOR = 1 / 40, 1.5
"""Factors that activations have in either direction: from 1/36, the squared slope of a hard
sigmoid, to a little more than 1. Other functions scale by themselves, whatever the weights are."""
_SAME_FACTOR = 2e-3  # quadrature is better, three digits are shown


@dataclass(frozen=True)
class PredictedRatio:
    """The factor by which the weights of one layer multiply the second moment, in one direction.

    Attributes:
        site: The call of the layer.
        direction: `"forward"` or `"backward"`.
        fan: Number of weights that multiply the variance; see `LayerFans.fan`.
        variance: Mean of `w²`; those of kernels that are applied one after the other multiply.
        ratio: `fan * variance` times the factor of the activation that follows.
        is_centered: Whether the mean of the weights is negligible.
        is_led_by_bias: Whether the bias makes a good part of the pre-activation, so that the ratio
            predicts little of the signal: the bias may add to what the weights make, or take the
            mean of it out again as `-E[h] Σ w` does behind a sigmoid.
    """

    site: Site
    direction: str
    fan: float
    variance: float
    ratio: float
    is_centered: bool = True
    is_led_by_bias: bool = False

    @property
    def activation_factor(self) -> float:
        """The factor of the activation: 1/2 for ReLU, 1 where none follows."""
        return self.ratio / (self.fan * self.variance)

    @property
    def log_ratio(self) -> float:
        """`ln(ratio)`: 0 where the layer keeps the scale."""
        return math.log(self.ratio)

    @property
    def log_unexplained(self) -> float:
        """`ln` of the factor of a function outside of layers that no activation has; else 0."""
        factor = self.activation_factor
        is_activation = LEAST_FACTOR <= factor <= LARGEST_FACTOR
        if self.site.activation != UNKNOWN_ACTIVATION or is_activation:
            return 0.0
        return math.log(factor)

    @property
    def formula(self) -> str:
        """The factors as symbols, such as `½ n Var[w]`."""
        measure, fan = ("E[f²]/E[z²]", "n") if self.direction == FORWARD else ("E[f'²]", "n̂")
        variance = "Var[w]" if self.is_centered else "E[w²]"
        return " ".join([*self._activation_as(measure), fan, variance])

    def __str__(self) -> str:
        """The factors as numbers, such as `½ · 576 · 0.00116 = 0.333`."""
        factors = [f"{self.fan:.4g}", format_in_prose(self.variance)]
        activation = self._activation_as(format_in_prose(self.activation_factor))
        return f"{' · '.join([*activation, *factors])} = {format_in_prose(self.ratio)}"

    def _activation_as(self, text: str) -> list[str]:
        if math.isclose(self.activation_factor, 1.0, rel_tol=_SAME_FACTOR):
            return []
        return ["½" if math.isclose(self.activation_factor, 0.5, rel_tol=_SAME_FACTOR) else text]


class LayerWeights:
    """Statistics of the kernels and biases of all weight layers.

    Args:
        fans: The weight layers.
        measurement: What was measured.

    Attributes:
        variance: `(weight layers,)`, `E[w²]`; those of several kernels are multiplied.
        is_centered: `(weight layers,)`, whether the mean of every kernel is negligible.
        bias: `(weight layers,)`, second moment of what the biases add; 0 where there is none.
    """

    def __init__(self, fans: LayerFans, measurement: Measurement) -> None:
        second_moment = measurement.weights[:, SECOND_MOMENT]
        is_centered = measurement.weights[:, MEAN] ** 2 <= MEAN_OF_A_VARIANCE * second_moment
        self.variance: FloatArray = fans.kernels.reduce(np.multiply, second_moment, math.nan)
        self.is_centered: BoolArray = fans.kernels.reduce(np.logical_and, is_centered, True)
        self.bias: FloatArray = fans.biases.reduce(np.add, second_moment, 0.0)


class PredictedRatios:
    """The predicted ratios of all weight layers in one direction.

    Args:
        fans: The weight layers.
        weights: Their weights.
        measurement: What was measured.
        direction: `"forward"` or `"backward"`.

    Attributes:
        ratio: `(weight layers,)`, without the stride of a convolution.
        is_known: `(weight layers,)`, whether a ratio is known, and neither zero nor infinite, so
            that it is the factor of a scale.
        log_ratio: `(weight layers,)`, `ln(ratio)`; 0 where it is not known.
        is_led_by_bias: `(weight layers,)`, as of `PredictedRatio`.
    """

    def __init__(
        self, fans: LayerFans, weights: LayerWeights, measurement: Measurement, direction: str
    ) -> None:
        self.fans: LayerFans = fans
        self.weights: LayerWeights = weights
        self.direction: str = direction
        predicted = (
            measurement.predicted_forward_ratio
            if direction == FORWARD
            else measurement.predicted_backward_ratio
        )
        self.ratio: FloatArray = predicted[fans.sites] * fans.stride[direction]
        scale = fans.fan[direction] * weights.variance
        self.is_known: BoolArray = (
            (self.ratio > 0.0) & (self.ratio < math.inf) & (scale > 0.0) & (scale < math.inf)
        )
        self.log_ratio: FloatArray = np.log(np.where(self.is_known, self.ratio, 1.0))
        x = measurement.activations[fans.sites, X, SECOND_MOMENT]
        self.is_led_by_bias: BoolArray = (
            (x != 0.0) & (weights.bias > LARGE_BIAS * scale * x) & (direction == FORWARD)
        )

    def of(self, position: int, site: Site) -> PredictedRatio | None:
        """The ratio of one weight layer; `None` where it is not known.

        Args:
            position: Its position among the weight layers.
            site: Its site.
        """
        if not self.is_known[position]:
            return None
        return PredictedRatio(
            site,
            self.direction,
            fan=float(self.fans.fan[self.direction][position]),
            variance=float(self.weights.variance[position]),
            ratio=float(self.ratio[position]),
            is_centered=bool(self.weights.is_centered[position]),
            is_led_by_bias=bool(self.is_led_by_bias[position]),
        )


def is_centered(kernel: WeightStats, largest_share: float) -> bool:
    """Whether the squared mean of a kernel has no larger share of its second moment than that."""
    return kernel.moments.mean**2 <= largest_share * kernel.moments.second_moment
