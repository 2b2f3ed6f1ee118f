"""Second moment and gradient of every site, predicted from the model's inputs and weights."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras_initcheck.probe.prediction import network_builder
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights
from keras_initcheck.probe.prediction.network_builder import NetworkBuilder
from keras_initcheck.probe.prediction.site_network import SiteNetwork
from keras_initcheck.probe.tap.recorder import SiteRecord
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory.propagation.rule import Unpredictable

UNOBSERVED = "its output is not observed"
BARE_FUNCTION = "a function that is no layer makes its output"


def with_predictions(
    model: Any,
    sites: tuple[SiteStats, ...],
    records: Sequence[SiteRecord],
    inputs: dict[str, Moments],
    weights: Sequence[WeightStats],
    cotangent_places: Sequence[tuple[int, bool] | None],
) -> tuple[SiteStats, ...]:
    """The sites with the predictions for their output `h`, or with the reason why there is none.

    Args:
        model: The model.
        sites: The sites, with the activation that follows each weight layer.
        records: Their records.
        inputs: Moments of the model's inputs, by name.
        weights: The model's variables.
        cotangent_places: Where the random cotangent starts; see `Recorder.cotangent_place`.
    """
    builder = NetworkBuilder(
        model, inputs, MeasuredWeights(weights), lambda record: sites[record.index].activations.x
    )
    network = builder.build(records)
    try:
        gradients = network.network.log_gradients(_seeds(network, cotangent_places))
    except Exception as error:  # a prediction must never cost the measurement
        failed = network_builder.failure_reason(error)
        return tuple(replace(site, unpredicted=failed) for site in sites)
    reader = _Reader(network, gradients, [site.name for site in sites])
    receivers = _receivers(sites)
    return tuple(reader.read(site, _output(site, receivers[site.index])) for site in sites)


def failures(sites: Sequence[SiteStats]) -> tuple[tuple[str, str], ...]:
    """Predictions that failed by a fault of this package: the first site, and the reason."""
    found: dict[str, str] = {}
    for site in sites:
        if site.unpredicted is not None and site.unpredicted.startswith(network_builder.FAILED):
            found.setdefault(site.unpredicted, site.name)
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


def _receivers(sites: Sequence[SiteStats]) -> list[list[SiteStats]]:
    """For each site, the sites that receive its output."""
    found: list[list[SiteStats]] = [[] for _ in sites]
    for site in sites:
        for index in site.inputs:
            found[index].append(site)
    return found


def _output(site: SiteStats, receivers: Sequence[SiteStats]) -> int | None:
    """The site that makes `h` of a site: itself, or the activation that alone follows its weights.

    `None` where a function that is no site makes it.
    """
    if site.kind != "weight" or site.activation is None:
        return site.index
    if len(receivers) == 1 and receivers[0].kind == "activation":
        follower = receivers[0]
        return follower.index if follower.activations.h is site.activations.h else site.index
    return None if not receivers and site.activation == "unknown" else site.index


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

    def read(self, site: SiteStats, output: int | None) -> SiteStats:
        """The site with its predictions."""
        if output is None or site.activations.h is None:
            return replace(site, unpredicted=BARE_FUNCTION if output is None else UNOBSERVED)
        position = self._network.outputs[output]
        node = self._network.nodes[position]
        is_seen = site.random_gradients is not None and site.random_gradients.h is not None
        gradient, why_no_gradient = self._gradient(position) if is_seen else (None, None)
        return replace(
            site,
            predicted_log10_second_moment=(
                node.signal.log10_second_moment if node.signal.is_known else None
            ),
            predicted_log10_gradient=gradient,
            unpredicted=self._reason(site, node.unknown_since) or why_no_gradient,
        )

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
