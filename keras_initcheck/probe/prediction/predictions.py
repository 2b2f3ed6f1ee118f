"""Second moment and gradient of every site, predicted from the model's inputs and weights."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_initcheck.probe.prediction import network_builder
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights
from keras_initcheck.probe.prediction.network_builder import NetworkBuilder
from keras_initcheck.probe.prediction.site_network import SiteNetwork
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory.propagation.rule import Unpredictable

UNOBSERVED = "its output is not observed"
BARE_FUNCTION = "a function that is no layer makes its output"


@dataclass(frozen=True)
class SitePrediction:
    """Prediction for the output `h` of a site.

    Attributes:
        log10_second_moment: log10 of the signal's second moment; `None` if it is not known.
        log10_gradient: log10 of the mean square of the random cotangent's gradient.
        unpredicted: Why one of the two is not known, in words; `None` if both are.
    """

    log10_second_moment: float | None = None
    log10_gradient: float | None = None
    unpredicted: str | None = None

    @property
    def is_our_failure(self) -> bool:
        """Whether a fault of this package stands behind the missing prediction."""
        reason = self.unpredicted
        return reason is not None and reason.startswith(network_builder.FAILED)


def predict(
    model: Any,
    sites: Sequence[SiteStats],
    makers: Sequence[int | None],
    records: Sequence[SiteRecord],
    inputs: dict[str, Moments],
    weights: Sequence[WeightStats],
    cotangent_places: Sequence[tuple[int, bool] | None],
) -> list[SitePrediction]:
    """Predictions for all sites, from the model's inputs and all weights on the way.

    Args:
        model: The model.
        sites: The sites.
        makers: For each site the index of the one that makes its `h`; `None` if no site does.
        records: Their records.
        inputs: Moments of the model's inputs, by name.
        weights: The model's variables.
        cotangent_places: Where the random cotangent starts; see `TensorOwners.cotangent_place`.
    """
    builder = NetworkBuilder(
        model,
        inputs,
        MeasuredWeights(weights),
        lambda record: sites[record.index].activations.x,
        lambda index: sites[index].activations.h,
    )
    network = builder.build(records)
    try:
        gradients = network.network.log_gradients(_seeds(network, cotangent_places))
    except Exception as error:  # a prediction must never cost the measurement
        failed = SitePrediction(unpredicted=network_builder.failure_reason(error))
        return [failed for _ in sites]
    reader = _Reader(network, gradients, [site.name for site in sites])
    return [reader.read(site, maker) for site, maker in zip(sites, makers, strict=True)]


def failures(
    sites: Sequence[SiteStats], predictions: Sequence[SitePrediction]
) -> tuple[tuple[str, str], ...]:
    """Predictions that failed by a fault of this package: the first site, and the reason."""
    found: dict[str, str] = {}
    for site, prediction in zip(sites, predictions, strict=True):
        if prediction.is_our_failure:
            found.setdefault(str(prediction.unpredicted), site.name)
    return tuple(
        (name, f"{why}; please report it, since this is a fault of keras_initcheck")
        for why, name in found.items()
    )


def _seeds(network: SiteNetwork, places: Sequence[tuple[int, bool] | None]) -> dict[int, float]:
    starts = Counter(
        network.pre_activation(site) if is_pre_activation else network.outputs[site]
        for site, is_pre_activation in (place for place in places if place is not None)
    )
    return {position: math.log(count) for position, count in starts.items()}


class _Reader:
    """Reads predictions off nodes.

    Args:
        network: The network.
        log_gradients: `ln` of the mean square of the gradient at each node.
        names: The names of the sites.
    """

    def __init__(
        self, network: SiteNetwork, log_gradients: Sequence[float], names: Sequence[str]
    ) -> None:
        self._network = network
        self._log_gradients = log_gradients
        self._names = names
        self._users: list[list[int]] = [[] for _ in network.nodes]
        for position, node in enumerate(network.nodes):
            for index in node.inputs:
                self._users[index].append(position)

    def read(self, site: SiteStats, maker: int | None) -> SitePrediction:
        """The prediction for a site whose `h` another site, or itself, makes."""
        if maker is None or site.activations.h is None:
            return SitePrediction(unpredicted=BARE_FUNCTION if maker is None else UNOBSERVED)
        position = self._network.outputs[maker]
        node = self._network.nodes[position]
        is_seen = site.random_gradients is not None and site.random_gradients.h is not None
        gradient, why_no_gradient = self._gradient(position) if is_seen else (None, None)
        second_moment = node.signal.log10_second_moment if node.signal.is_known else None
        reason = self._reason(site, node.unknown_since) or why_no_gradient
        return SitePrediction(second_moment, gradient, reason)

    def _gradient(self, position: int) -> tuple[float | None, str | None]:
        """log10 of the gradient's mean square, or the reason why it is not known."""
        log_gradient = self._log_gradients[position]
        if position < self._network.last_gap:
            return None, "on the gradient's way back, tensors are made outside of layers"
        if math.isnan(log_gradient) or (log_gradient == -math.inf and not self._users[position]):
            return None, f"on the gradient's way back: {self._obstacle(position)}"
        return log_gradient / math.log(10.0), None

    def _obstacle(self, position: int) -> str:
        """The first node ahead through which no gradient is predicted."""
        while True:
            users = self._users[position]
            for user in users:
                if isinstance(self._network.nodes[user].rule, Unpredictable):
                    return self._why_unknown(user)
            unknown = (user for user in users if math.isnan(self._log_gradients[user]))
            following = next(unknown, None)
            if following is None:
                break
            position = following
        if not users:
            return "no known layer uses it"
        return f"{self._name(users[0])} receives a signal that is not known"

    def _reason(self, site: SiteStats, position: int | None) -> str | None:
        if position is None:
            return None
        return self._why_unknown(position, is_own=self._network.sites[position] == site.index)

    def _why_unknown(self, position: int, is_own: bool = False) -> str:
        """Why a node is unpredictable, behind its site's name unless that is known."""
        rule = self._network.nodes[position].rule
        reason = f"{type(rule).__name__} returned no number"
        if isinstance(rule, Unpredictable):
            reason = rule.reason
        return reason if is_own else f"{self._name(position)}: {reason}"

    def _name(self, position: int) -> str:
        index = self._network.sites[position]
        return self._names[index] if index >= 0 else "the model's input"
