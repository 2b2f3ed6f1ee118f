"""Where the measured signal leaves what inputs and weights predict of it, by more than chance.
Numbers only; why is said elsewhere.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.theory.noise import largest_deviation

_SCALED_BY_CONSTANTS = "Normalization"
"""Keras' layer of kind "normalization" that keeps whatever scatter its input has."""


@dataclass(frozen=True)
class Departure:
    """How far the second moment of one site's output is from its prediction, in natural logarithms.

    Attributes:
        site: The site.
        log_ratio: `ln(measured / predicted)`.
        variance: Its variance in healthy networks: the `log_ratio_variance` of the weight layers on
            the way, added up since the last normalisation, and along the way with the most of it
            where ways meet.
    """

    site: SiteStats
    log_ratio: float
    variance: float

    def excess_over_band(self, num_sites: int) -> float:
        """How far it is outside of the band that holds all of so many sites in 99% of healthy
        networks; negative inside.

        >>> round(Departure(SiteStats(0, "a", "a", "Dense", "weight"), math.log(4.0), 0.0842).excess_over_band(10), 2)
        0.3
        """
        return abs(self.log_ratio + self.variance / 2.0) - largest_deviation(num_sites) * math.sqrt(
            self.variance
        )


def departures(profile: Profile) -> dict[int, Departure]:
    """By index, every site whose second moment is both measured and predicted, and neither zero nor
    infinite.
    """
    variances: dict[int, float] = {}
    found: dict[int, Departure] = {}
    for site in profile.sites:
        variances[site.index] = _variance(site, variances)
        h, predicted = site.activations.h, site.predicted_log10_second_moment
        if (
            h is not None
            and h.is_finite
            and 0.0 < h.second_moment < math.inf
            and predicted is not None
            and math.isfinite(predicted)
        ):
            log_ratio = (h.log10_second_moment - predicted) * math.log(10.0)
            found[site.index] = Departure(site, log_ratio, variances[site.index])
    return found


def steps_before(
    found: Mapping[int, Departure], departure: Departure, profile: Profile
) -> list[tuple[SiteStats, float]]:
    """What each site on the way added to the departure, from that site back to the last one whose
    prediction is not known.

    Where ways meet, the way of the largest operand is followed: it makes most of the sum.
    """
    steps: list[tuple[SiteStats, float]] = []
    current: Departure | None = departure
    while current is not None:
        before = max(
            (found[index] for index in _sources(current.site) if index in found),
            key=lambda each: profile.sites[each.site.index].activations.h.second_moment,  # type: ignore[union-attr]  # measured: in `found`
            default=None,
        )
        steps.append(
            (current.site, current.log_ratio - (before.log_ratio if before is not None else 0.0))
        )
        current = before
    return steps


def _variance(site: SiteStats, variances: Mapping[int, float]) -> float:
    if site.kind == "embedding" or (
        site.kind == "normalization" and site.layer_type != _SCALED_BY_CONSTANTS
    ):
        return 0.0
    arriving = max((variances.get(index, 0.0) for index in _sources(site)), default=0.0)
    return arriving + (site.log_ratio_variance or 0.0)


def _sources(site: SiteStats) -> Iterator[int]:
    """The sites that the input comes from; where that is not known, execution order serves."""
    yield from site.inputs if site.inputs_known else range(max(site.index - 1, 0), site.index)
