"""Statistics of one tensor: moments, the three places of a site, histograms."""

import math
from dataclasses import dataclass, fields

from keras_initcheck.records.record import Record


@dataclass(frozen=True, eq=False)
class Moments(Record):
    """Statistics of one tensor over batch, positions and units.

    The mean, the variance and the second moment are those of its finite elements.

    Attributes:
        mean: Mean; `nan` where it was not taken.
        variance: Variance around that mean; `nan` where it was not taken.
        second_moment: `q = E[a²]`, the quantity that telescopes through a network.
        max_abs: Largest magnitude; `nan` where it was not taken.
        share_zero: Share of elements that are exactly zero, 0..1.
        share_nonfinite: Share of elements that are NaN or infinite, 0..1.
        batch_share: Mean variance over the batch of each unit, divided by `variance`: 1 where
            samples are unrelated, 0 where the network maps all of them to one point. `nan` for a
            batch of one or where `variance` is zero.
        num_elements: Number of elements, non-finite ones included.
        share_dead: Share of units (channels) that are zero for every sample and position, 0..1;
            `nan` where it was not taken.
    """

    mean: float
    variance: float
    second_moment: float
    max_abs: float
    share_zero: float
    share_nonfinite: float
    batch_share: float
    num_elements: int
    share_dead: float = math.nan

    @property
    def is_finite(self) -> bool:
        """Whether every element was finite."""
        return self.share_nonfinite == 0.0

    @property
    def is_zero(self) -> bool:
        """Whether every element is exactly zero.

        The largest magnitude decides, as a second moment may underflow; where it was not taken,
        the share of zeros does.
        """
        if math.isnan(self.max_abs):
            return self.is_finite and self.share_zero == 1.0 and self.second_moment == 0.0
        return self.is_finite and self.max_abs == 0.0

    @property
    def log10_second_moment(self) -> float:
        """`log10(q)`; `-inf` for an all-zero tensor."""
        return math.log10(self.second_moment) if self.second_moment > 0 else -math.inf


MOMENTS = tuple(field.name for field in fields(Moments))
"""Columns of a row of moments in an array, `(..., len(MOMENTS))`, in this order."""


@dataclass(frozen=True, eq=False)
class Places(Record):
    """The same statistic at the three places of a site.

    Attributes:
        x: At its input. Weight layers alone have it.
        z: At its pre-activation. Weight layers alone have it.
        h: At its output, after the activation that follows the layer, whether fused or a layer of
            its own.
    """

    x: Moments | None = None
    z: Moments | None = None
    h: Moments | None = None


PLACES = tuple(field.name for field in fields(Places))
"""Order of the places in an array, `(sites, len(PLACES), len(MOMENTS))`."""


@dataclass(frozen=True, eq=False)
class Histogram(Record):
    """Counts of a tensor's finite values in equal bins from `minimum` to `maximum`."""

    minimum: float
    maximum: float
    counts: tuple[float, ...]
