"""The network of a pass, made from its sites, to predict signal and gradient through."""

from collections.abc import Callable, Mapping, Sequence

from keras_initcheck.probe.keras_model.messages import error_summary
from keras_initcheck.probe.keras_types import Layer
from keras_initcheck.probe.prediction.attention_layers import AttentionLayers
from keras_initcheck.probe.prediction.layer_catalogue import rules_of
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights
from keras_initcheck.probe.prediction.merge_layers import operands
from keras_initcheck.probe.prediction.neighbors import complete_rule
from keras_initcheck.probe.prediction.site_network import SiteNetwork
from keras_initcheck.probe.tap.site_record import MODEL_INPUT, Operand, SiteRecord
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory.propagation.normalization import (
    RootMeanSquareNormalization,
    Standardization,
)
from keras_initcheck.theory.propagation.rule import Measured, Source, Unpredictable
from keras_initcheck.theory.propagation.signal import Signal

FAILED = "its prediction failed"
"""Start of the reason for a site whose prediction raised by a fault of this package."""

OUTSIDE = "its input was made outside of layers"


class NetworkBuilder:
    """Makes the network of a pass.

    Args:
        model: The model, whose attention layers are looked for.
        inputs: Measured moments of the model's inputs, by name.
        weights: Measured moments of its variables.
        measured_input: Returns the measured input of a site, or `None`.
        measured_output: Returns the measured output of the site at an index, or `None`.
    """

    def __init__(
        self,
        model: Layer,
        inputs: Mapping[str, Moments],
        weights: MeasuredWeights,
        measured_input: Callable[[SiteRecord], Moments | None],
        measured_output: Callable[[int], Moments | None] = lambda index: None,
    ) -> None:
        self._inputs = inputs
        self._weights = weights
        self._measured_input = measured_input
        self._measured_output = measured_output
        self._network = SiteNetwork()
        self._attentions = AttentionLayers(model, self._network)
        self._sources: dict[str, int] = {}
        self._latest: dict[int, SiteRecord] = {}

    def build(self, records: Sequence[SiteRecord]) -> SiteNetwork:
        """The network of those sites.

        A rule that cannot be made, for whatever cause, makes its own site unpredictable and no
        other.
        """
        for record in records:
            try:
                output = self._add_site(record)
            except Exception as error:  # a prediction must never cost the measurement
                output = self._network.add(record.index, Unpredictable(failure_reason(error)))
                self._network.last_gap = output
            self._network.outputs[record.index] = output
            self._latest[id(record.layer)] = record
        return self._network

    def _add_site(self, record: SiteRecord) -> int:
        """Adds the steps of a site, one after the other, and returns the last one's position."""
        rules, inputs = rules_of(record, self._weights), self._add_inputs(record)
        if isinstance(rules[0], Standardization | RootMeanSquareNormalization):
            inputs = tuple(self._known(record, position) for position in inputs)
        for rule in rules:
            complete = complete_rule(rule, record.layer, inputs, self._network.nodes)
            inputs = (self._network.add(record.index, complete, inputs),)
        return inputs[0]

    def _known(self, record: SiteRecord, position: int) -> int:
        """The node of what a normalization receives, as measured where it is not predicted.

        Its epsilon is lost in most signals, and is all that counts in tiny ones.
        """
        index = self._network.sites[position]
        if self._network.nodes[position].signal.is_known or index == MODEL_INPUT:
            return position
        measured = self._measured_output(index)
        if measured is None or not measured.is_finite:
            return position
        return self._network.add(record.index, Measured(_signal(measured)), (position,))

    def _add_inputs(self, record: SiteRecord) -> tuple[int, ...]:
        if self._attentions.is_inside(record):
            return (self._attentions.add_input(record, lambda layer: self._latest.get(id(layer))),)
        found = tuple(self._operand_node(record, operand) for operand in operands(record))
        return found or (self._add_gap(record),)

    def _operand_node(self, record: SiteRecord, operand: Operand) -> int:
        if operand.site is None:
            return self._add_gap(record)
        if operand.site != MODEL_INPUT:
            return self._network.outputs[operand.site]
        if operand.name not in self._sources:
            source = Source(_signal(self._inputs[operand.name]))
            self._sources[operand.name] = self._network.add(MODEL_INPUT, source)
        return self._sources[operand.name]

    def _add_gap(self, record: SiteRecord) -> int:
        """Adds a node for a tensor that no site has made.

        Before the first site, it can only be the model's input in another number format.
        """
        measured = self._measured_input(record)
        if record.index == 0 and measured is not None:
            return self._network.add(record.index, Source(_signal(measured)))
        self._network.last_gap = self._network.add(record.index, Unpredictable(OUTSIDE))
        return self._network.last_gap


def failure_reason(error: Exception) -> str:
    """The reason for a site whose prediction raised an unexpected error."""
    return f"{FAILED} ({error_summary(error)})"


def _signal(moments: Moments) -> Signal:
    return Signal.from_moments(moments.mean, moments.variance)
