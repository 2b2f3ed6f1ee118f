"""The forward and the backward ratio of each weight layer, measured on the batch and predicted from
its weights.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from keras_initcheck.probe.keras_model.activations import UNKNOWN, describe
from keras_initcheck.probe.tap.recorder import SiteRecord
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.theory import noise, variance_ratios
from keras_initcheck.theory.activation_factors import NONE, Factors, FactorTable, exact_factors


def joined_activations(
    sites: tuple[SiteStats, ...], records: Sequence[SiteRecord]
) -> tuple[SiteStats, ...]:
    """The sites with `h` of each weight layer taken after the activation that follows it as a layer
    of its own.

    An activation that a subclassed model applies as a bare function is no site. Where the next
    layer's input is an element-wise function of the output, it is called `"unknown"` and its
    measured effect serves.
    """
    return tuple(_joined(site, sites, records) for site in sites)


def _joined(
    site: SiteStats, sites: tuple[SiteStats, ...], records: Sequence[SiteRecord]
) -> SiteStats:
    if site.kind != "weight" or site.activation is not None:
        return site
    consumers = [other for other in sites if site.index in other.inputs]
    if (
        len(consumers) == 1
        and consumers[0].kind == "activation"
        and consumers[0].inputs == (site.index,)
    ):
        records[site.index].activation = records[consumers[0].index].layer
        return _with_output(site, describe(records[site.index].activation).name, consumers[0], "h")
    following = sites[site.index + 1] if site.index + 1 < len(sites) else None
    if not consumers and following is not None and following.follows_previous:
        return _with_output(site, UNKNOWN, following, "x")
    return site


def _with_output(site: SiteStats, activation: str, source: SiteStats, place: str) -> SiteStats:
    def moved(target: Places | None, origin: Places | None) -> Places | None:
        return (
            None if target is None or origin is None else replace(target, h=getattr(origin, place))
        )

    return replace(
        site,
        activation=activation,
        activations=moved(site.activations, source.activations) or site.activations,
        loss_gradients=moved(site.loss_gradients, source.loss_gradients),
        random_gradients=moved(site.random_gradients, source.random_gradients),
    )


class Predictor:
    """Fills in the ratios of weight layers.

    Args:
        weights: The variables of the whole model.
        table: Where factors are looked up; `None` to compute each exactly.
    """

    def __init__(self, weights: Sequence[WeightStats], table: FactorTable | None = None) -> None:
        self._table = table
        self._kernels: dict[str, list[WeightStats]] = {}
        for weight in weights:
            if weight.role == "kernel":
                self._kernels.setdefault(weight.layer, []).append(weight)

    def with_ratios(self, site: SiteStats, record: SiteRecord) -> SiteStats:
        """The site with its four ratios. A head is judged at its pre-activation: no layer sees what
        its activation makes of it.
        """
        if site.kind != "weight":
            return site
        out = "z" if site.is_head else "h"
        factors = self._factors(site, record)
        kernels = self._kernels.get(site.layer, [])
        measured = replace(
            site,
            forward_ratio=_ratio(getattr(site.activations, out), site.activations.x),
            backward_ratio=_ratio(site.gradients.x, getattr(site.gradients, out)),
        )
        if factors is None or not kernels or any(kernel.fan_in is None for kernel in kernels):
            return measured
        return replace(
            measured,
            predicted_forward_ratio=_predicted_forward(kernels, factors.forward),
            predicted_backward_ratio=_predicted_backward(kernels, factors.backward),
            log_ratio_variance=_log_ratio_variance(kernels[-1], factors.noise),
        )

    def _factors(self, site: SiteStats, record: SiteRecord) -> Factors | None:
        """What the activation does to the second moment of a Gaussian pre-activation of the
        measured size.
        """
        if site.is_head or site.activation is None:
            return NONE
        if site.activation == UNKNOWN:
            forward, backward = (
                _ratio(site.activations.h, site.activations.z),
                _ratio(site.gradients.z, site.gradients.h),
            )
            return (
                None
                if forward is None or backward is None
                else Factors(forward, backward, noise.RELU_ACTIVATION_NOISE)
            )
        following, z = describe(record.activation), site.activations.z
        if following.function is None or z is None:
            return None
        second_moment = z.second_moment if 0 < z.second_moment < math.inf else 1.0
        if self._table is not None:
            return self._table.factors(
                following.key, following.function, second_moment, following.precision
            )
        return exact_factors(following.function, second_moment, following.precision)


def _log_ratio_variance(kernel: WeightStats, activation_noise: float) -> float:
    """Of `q(h)/q(x)`: both the weights and the activation average over the layer's own units."""
    num_units = kernel.moments.num_elements / (kernel.fan_in or 1.0)
    return noise.layer_log_variance(num_units, activation_noise=activation_noise)


def _predicted_forward(kernels: Sequence[WeightStats], factor: float) -> float:
    """Kernels that are applied one after the other, as in a separable convolution, multiply."""
    terms = [
        variance_ratios.forward_ratio(kernel.fan_in or 0.0, kernel.moments.second_moment, 1.0)
        for kernel in kernels
    ]
    return math.prod(terms) * factor


def _predicted_backward(kernels: Sequence[WeightStats], factor: float) -> float:
    terms = [
        variance_ratios.backward_ratio(kernel.fan_out or 0.0, kernel.moments.second_moment, 1.0)
        for kernel in kernels
    ]
    return math.prod(terms) * factor


def _ratio(numerator: Moments | None, denominator: Moments | None) -> float | None:
    if numerator is None or denominator is None:
        return None
    if denominator.second_moment == 0:
        return math.nan
    return numerator.second_moment / denominator.second_moment
