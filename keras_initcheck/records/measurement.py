"""Numbers of one probe, as arrays over the sites and weights of a `Structure`.

Arrays are float64: a second moment of 1e60 is representable although the activations were float32.
`nan` stands where a number was not measured or is not defined; a row of moments that was not
measured is `nan` throughout. Rules and logs compute with the arrays; `SiteStats` and `WeightStats`
are views that are made where somebody asks for one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.records.draw import Draw
from keras_initcheck.records.record import Record
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import MOMENTS, PLACES, Moments, Places
from keras_initcheck.records.structure import Site, Weight

FloatArray = npt.NDArray[np.float64]

SITE_NUMBERS = (
    "forward_ratio",
    "backward_ratio",
    "predicted_forward_ratio",
    "predicted_backward_ratio",
    "log_ratio_variance",
    "log10_forward_gain",
    "log10_backward_gain",
    "predicted_log10_second_moment",
    "predicted_log10_gradient",
)
"""Names of the `(sites,)` arrays of a `Measurement`, which are those of `SiteStats`."""
X, Z, H = range(len(PLACES))
"""Positions of the places in `(sites, places, moments)`."""
(
    MEAN,
    VARIANCE,
    SECOND_MOMENT,
    MAX_ABS,
    SHARE_ZERO,
    SHARE_NONFINITE,
    BATCH_SHARE,
    SIZE,
    SHARE_DEAD,
) = range(len(MOMENTS))
"""Positions of the statistics in a row of moments; `SIZE` is `num_elements`."""


@dataclass(frozen=True, eq=False)
class Measurement(Record):
    """Everything that a probe measured, array by array. Read the arrays, never write to them.

    Attributes:
        activations: `(sites, places, moments)`, statistics of the signal.
        loss_gradients: The same of the loss's gradient; `None` without labels.
        random_gradients: The same of the gradient of a random cotangent; `None` if there was none.
        forward_ratio: `(sites,)`, as `SiteStats.forward_ratio`; so are all others up to
            `predicted_log10_gradient`.
        unpredicted: `(sites,)` reasons, as `SiteStats.unpredicted`; empty if there are none.
        weights: `(weights, moments)`, statistics of the weights.
        weight_gradients: `(weights, moments)`, statistics of the loss's gradient.
        weight_norm: `(weights,)`, Euclidean norms.
        weight_gradient_norm: `(weights,)`, Euclidean norms of the gradients.
        weight_fingerprint: `(weights,)`, as `WeightStats.fingerprint`.
        weight_rank: `(weights,)`, as `WeightStats.rank`.
        inputs: `(inputs, moments)`, statistics of the model's inputs.
        loss: Value of the loss on the batch, or `None` without labels.
        weight_draws: `(weights,)` verdicts, as `WeightStats.draw`; empty if there are none.
    """

    activations: FloatArray
    loss_gradients: FloatArray | None
    random_gradients: FloatArray | None
    forward_ratio: FloatArray
    backward_ratio: FloatArray
    predicted_forward_ratio: FloatArray
    predicted_backward_ratio: FloatArray
    log_ratio_variance: FloatArray
    log10_forward_gain: FloatArray
    log10_backward_gain: FloatArray
    predicted_log10_second_moment: FloatArray
    predicted_log10_gradient: FloatArray
    unpredicted: tuple[str | None, ...]
    weights: FloatArray
    weight_gradients: FloatArray
    weight_norm: FloatArray
    weight_gradient_norm: FloatArray
    weight_fingerprint: FloatArray
    weight_rank: FloatArray
    inputs: FloatArray
    loss: float | None = None
    weight_draws: tuple[Draw | None, ...] = ()

    @property
    def gradients(self) -> FloatArray | None:
        """Gradients behind the backward ratio: the random cotangent's if there is one."""
        return self.loss_gradients if self.random_gradients is None else self.random_gradients

    @classmethod
    def of(
        cls,
        sites: Sequence[SiteStats],
        weights: Sequence[WeightStats] = (),
        inputs: Sequence[Moments] = (),
        loss: float | None = None,
    ) -> "Measurement":
        """The arrays behind records."""
        has_loss = any(site.loss_gradients is not None for site in sites)
        has_random = any(site.random_gradients is not None for site in sites)
        is_explained = any(site.unpredicted is not None for site in sites)
        is_audited = any(weight.draw is not None for weight in weights)
        numbers: dict[str, Any] = {
            name: _numbers(getattr(site, name) for site in sites) for name in SITE_NUMBERS
        }
        return cls(
            activations=_places(site.activations for site in sites),
            loss_gradients=_places(s.loss_gradients for s in sites) if has_loss else None,
            random_gradients=_places(s.random_gradients for s in sites) if has_random else None,
            unpredicted=tuple(site.unpredicted for site in sites) if is_explained else (),
            weights=_rows(weight.moments for weight in weights),
            weight_gradients=_rows(weight.gradient for weight in weights),
            weight_norm=_numbers(weight.norm for weight in weights),
            weight_gradient_norm=_numbers(weight.gradient_norm for weight in weights),
            weight_fingerprint=_numbers(weight.fingerprint for weight in weights),
            weight_rank=_numbers(weight.rank for weight in weights),
            inputs=_rows(inputs),
            loss=loss,
            weight_draws=tuple(weight.draw for weight in weights) if is_audited else (),
            **numbers,
        )

    def site(self, site: Site) -> SiteStats:
        """The view of one site."""
        index = site.index
        numbers: dict[str, Any] = {
            name: _number(getattr(self, name)[index]) for name in SITE_NUMBERS
        }
        return SiteStats(
            **_facts(site),
            activations=_places_of(self.activations[index]),
            loss_gradients=_optional_places(self.loss_gradients, index),
            random_gradients=_optional_places(self.random_gradients, index),
            unpredicted=self.unpredicted[index] if self.unpredicted else None,
            **numbers,
        )

    def weight(self, weight: Weight, position: int) -> WeightStats:
        """The view of the weight at a position."""
        moments = to_moments(self.weights[position])
        assert moments is not None, "the values of a weight are always measured"
        rank = _number(self.weight_rank[position])
        return WeightStats(
            **_facts(weight),
            moments=moments,
            norm=float(self.weight_norm[position]),
            fingerprint=float(self.weight_fingerprint[position]),
            gradient=to_moments(self.weight_gradients[position]),
            gradient_norm=_number(self.weight_gradient_norm[position]),
            rank=None if rank is None else int(rank),
            draw=self.weight_draws[position] if self.weight_draws else None,
        )


def to_moments(row: FloatArray) -> Moments | None:
    """The moments in a row `(moments,)`; `None` if they were not measured."""
    numbers = row.tolist()
    if math.isnan(numbers[SIZE]):
        return None
    numbers[SIZE] = int(numbers[SIZE])
    return Moments(*numbers)


def to_row(moments: Moments | None) -> list[float]:
    """The row of moments, `nan` throughout if there are none."""
    if moments is None:
        return [math.nan] * len(MOMENTS)
    return [getattr(moments, name) for name in MOMENTS]


def _rows(moments: Iterable[Moments | None]) -> FloatArray:
    return np.array([to_row(each) for each in moments], np.float64).reshape(-1, len(MOMENTS))


def _places(places: Iterable[Places | None]) -> FloatArray:
    rows = [
        [to_row(getattr(each, place, None)) for place in PLACES] for each in places
    ]  # `None`, too, has no moments at any place
    return np.array(rows, np.float64).reshape(-1, len(PLACES), len(MOMENTS))


def _places_of(rows: FloatArray) -> Places:
    return Places(*(to_moments(row) for row in rows))


def _optional_places(rows: FloatArray | None, index: int) -> Places | None:
    return None if rows is None else _places_of(rows[index])


def _numbers(values: Iterable[float | None]) -> FloatArray:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _number(value: np.float64) -> float | None:
    return None if math.isnan(value) else float(value)


def _facts(record: Site | Weight) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
