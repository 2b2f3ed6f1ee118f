"""Deviations of the measured signal from what inputs and weights predict of it.

Numbers only: which of them are beyond chance, and why, is for the rules.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_initcheck.analysis.predicted_curves import removes_scatter, signal_variance
from keras_initcheck.analysis.site_kinds import sources
from keras_initcheck.records.measurement import (
    SECOND_MOMENT,
    SHARE_NONFINITE,
    H,
    Measurement,
)
from keras_initcheck.records.structure import Site
from keras_initcheck.theory.noise import largest_deviation


@dataclass(frozen=True)
class Deviation:
    """How far the second moment of one site's output is from its prediction, in natural logarithms.

    Attributes:
        site: Index of the site.
        log_ratio: `ln(measured / predicted)`.
        variance: Its variance in healthy networks: the `log_ratio_variance` of the weight layers on
            the way, added up since the last normalization, and along the way with the most of it
            where ways meet.
    """

    site: int
    log_ratio: float
    variance: float

    def excess_over_band(self, num_sites: int) -> float:
        """Distance from the band that holds all of so many sites in 99% of healthy networks.

        Negative inside.

        >>> round(Deviation(0, math.log(4.0), 0.0842).excess_over_band(10), 2)
        0.3
        """
        distance = abs(self.log_ratio + self.variance / 2.0)
        return distance - largest_deviation(num_sites) * math.sqrt(self.variance)


def deviations(sites: Sequence[Site], measurement: Measurement) -> dict[int, Deviation]:
    """The deviation of every site for which there is one, by index.

    That is where the second moment is both measured and predicted, and neither zero nor infinite.
    """
    predicted = measurement.predicted_log10_second_moment
    if np.isnan(predicted).all():  # as in every repeated probe
        return {}
    variances = signal_variance(
        list(map(sources, sites)),
        measurement.log_ratio_variance,
        [removes_scatter(site.kind, site.layer_type) for site in sites],
    ).tolist()
    h = measurement.activations[:, H]
    is_usable = np.isfinite(predicted) & (h[:, SHARE_NONFINITE] == 0.0)
    is_usable &= (h[:, SECOND_MOMENT] > 0.0) & (h[:, SECOND_MOMENT] < math.inf)
    return {
        index: Deviation(
            index,
            (math.log10(h[index, SECOND_MOMENT]) - float(predicted[index])) * math.log(10.0),
            variances[index],
        )
        for index in np.flatnonzero(is_usable).tolist()
    }


def parts_of(
    deviation: Deviation,
    found: Mapping[int, Deviation],
    sites: Sequence[Site],
    measurement: Measurement,
) -> list[tuple[int, float]]:
    """The share of each site on the way in a deviation, in natural logarithms, last site first.

    The way goes back to the last site whose prediction is not known. Where ways meet, the way of
    the largest operand is followed: it makes most of the sum.

    Args:
        deviation: The deviation to part.
        found: All deviations.
        sites: All sites.
        measurement: What was measured.

    Returns:
        `(index of a site, its part)` pairs.
    """
    second_moment = measurement.activations[:, H, SECOND_MOMENT]
    parts: list[tuple[int, float]] = []
    current: Deviation | None = deviation
    while current is not None:
        operands = [index for index in sources(sites[current.site]) if index in found]
        before = found[max(operands, key=second_moment.__getitem__)] if operands else None
        parts.append((current.site, current.log_ratio - (before.log_ratio if before else 0.0)))
        current = before
    return parts
