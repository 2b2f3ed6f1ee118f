"""From the sites of a pass to the nodes of a network that can be propagated through."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.keras_model.messages import reason
from keras_initcheck.probe.keras_model.private_api import flatten_layers, sublayers
from keras_initcheck.probe.prediction.layer_catalogue import rules_of
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights
from keras_initcheck.probe.prediction.merge_layers import operands
from keras_initcheck.probe.tap.recorder import MODEL_INPUT, Operand, SiteRecord
from keras_initcheck.records.profile import Moments
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.attention import Attention
from keras_initcheck.theory.propagation.graph import Node
from keras_initcheck.theory.propagation.linear import Affine, Weight
from keras_initcheck.theory.propagation.merge import Multiply
from keras_initcheck.theory.propagation.noise import Dropout
from keras_initcheck.theory.propagation.normalization import Standardization
from keras_initcheck.theory.propagation.pooling import MaxPooling
from keras_initcheck.theory.propagation.rule import PropagationRule, Source, Unpredictable
from keras_initcheck.theory.propagation.signal import Signal

FAILED = "its prediction failed"
"""Start of the reason where making a rule, or propagating, raised what nobody expected."""

OUTSIDE = "its input was made outside of layers"
INSIDE_ATTENTION = "a part of its attention's rule"


@dataclass
class Network:
    """Nodes in execution order, and where the sites are among them.

    Attributes:
        nodes: The nodes.
        signals: The signal at each.
        sites: For each node, the index of the site it belongs to; `MODEL_INPUT` for the model's
            inputs.
        outputs: For each site, its last node.
        last_gap: Position of the last node whose input was made by nobody known: any node before it
            may be what it was made of.
    """

    nodes: list[Node] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)
    outputs: dict[int, int] = field(default_factory=dict)
    last_gap: int = -1

    def add(self, site: int, rule: PropagationRule, inputs: tuple[int, ...] = ()) -> int:
        """Adds a node and gives its position."""
        self.signals.append(rule.forward(*(self.signals[each] for each in inputs)))
        self.nodes.append(Node(rule, inputs))
        self.sites.append(site)
        return len(self.nodes) - 1

    def pre_activation(self, site: int) -> int:
        """The node whose output the site's last step, its activation, receives."""
        return self.nodes[self.outputs[site]].inputs[0]


class NetworkBuilder:
    """Makes the network of a pass.

    Args:
        model: The model, whose attention layers are looked for.
        inputs: Measured moments of the model's inputs, by name.
        known: Its variables.
        measured_input: Gives the measured input of a site, or `None`.
    """

    def __init__(
        self,
        model: Any,
        inputs: Mapping[str, Moments],
        known: MeasuredWeights,
        measured_input: Callable[[SiteRecord], Moments | None],
    ) -> None:
        self._inputs = inputs
        self._known = known
        self._measured_input = measured_input
        self._network = Network()
        self._sources: dict[str, int] = {}
        attentions = [
            layer
            for layer in flatten_layers(model)
            if isinstance(layer, keras.layers.MultiHeadAttention)
        ]
        self._attention_of = {
            id(inner): layer for layer in attentions for inner in sublayers(layer)
        }
        self._latest: dict[int, SiteRecord] = {}

    def build(self, records: Sequence[SiteRecord]) -> Network:
        """The network of those sites. A rule that cannot be made, for whatever cause, makes its
        site unpredictable and no other.
        """
        for record in records:
            try:
                output = self._chain(
                    record, rules_of(record, self._known), self._input_nodes(record)
                )
            except Exception as error:  # a prediction must never cost the measurement
                output = self._network.add(record.index, Unpredictable(failure(error)))
                self._network.last_gap = output
            self._network.outputs[record.index] = output
            self._latest[id(record.layer)] = record
        return self._network

    def _chain(
        self, record: SiteRecord, rules: Sequence[PropagationRule], inputs: tuple[int, ...]
    ) -> int:
        for rule in rules:
            inputs = (
                self._network.add(
                    record.index, self._with_neighbours(rule, record.layer, inputs), inputs
                ),
            )
        return inputs[0]

    def _input_nodes(self, record: SiteRecord) -> tuple[int, ...]:
        attention = self._attention_of.get(id(record.layer))
        if attention is not None and not record.inputs_known:
            is_output = record.layer is attention.output_dense
            return (
                (
                    self._attention(record, attention)
                    if is_output
                    else self._network.add(record.index, Unpredictable(INSIDE_ATTENTION))
                ),
            )
        return tuple(self._operand_node(record, operand) for operand in operands(record)) or (
            self._gap(record),
        )

    def _operand_node(self, record: SiteRecord, operand: Operand) -> int:
        if operand.site is None:
            return self._gap(record)
        if operand.site != MODEL_INPUT:
            return self._network.outputs[operand.site]
        if operand.name not in self._sources:
            self._sources[operand.name] = self._network.add(
                MODEL_INPUT, Source(_signal(self._inputs[operand.name]))
            )
        return self._sources[operand.name]

    def _gap(self, record: SiteRecord) -> int:
        """What nobody known made. Before the first site, it can only be the model's input in
        another number format.
        """
        measured = self._measured_input(record)
        if record.index == 0 and measured is not None:
            return self._network.add(record.index, Source(_signal(measured)))
        self._network.last_gap = self._network.add(record.index, Unpredictable(OUTSIDE))
        return self._network.last_gap

    def _attention(self, record: SiteRecord, layer: Any) -> int:
        """What mixes the values that one call of an attention layer has projected, up to its output
        projection.
        """
        projected = [
            self._latest.get(id(each))
            for each in (layer.query_dense, layer.key_dense, layer.value_dense)
        ]
        if any(each is None or len(each.output_shape or ()) != 4 for each in projected):
            return self._network.add(
                record.index, Unpredictable("its attention goes over more than one axis")
            )
        query, key, value = (each for each in projected if each is not None)
        num_queries, num_keys = ((each.output_shape or ())[1] for each in (query, key))
        seen = 0.5 if record.in_causal_attention else 1.0
        rule = Attention(
            num_keys=max(round(seen * num_keys), 1),
            num_queries=max(round(seen * num_queries), 1),
            key_size=(key.output_shape or ())[-1],
            value_size=(value.output_shape or ())[-1],
        )
        mixed = self._network.add(
            record.index,
            rule,
            tuple(self._network.outputs[each.index] for each in (query, key, value)),
        )
        rate = float(layer.dropout or 0.0)
        return (
            self._network.add(record.index, Dropout(rate), (mixed,))
            if rate and record.is_training
            else mixed
        )

    def _with_neighbours(
        self, rule: PropagationRule, layer: Any, inputs: tuple[int, ...]
    ) -> PropagationRule:
        """The rule, told what its inputs are made of."""
        if isinstance(rule, MaxPooling):
            return replace(rule, is_rectified=_is_relu(self._network.nodes[inputs[0]].rule))
        if isinstance(rule, Multiply) and len(
            {self._without_activations(each) for each in inputs}
        ) < len(inputs):
            return Unpredictable("it multiplies a tensor with a function of itself")
        if isinstance(rule, Standardization) and isinstance(layer, keras.layers.BatchNormalization):
            return replace(rule, within_share=self._spread_over_batch(inputs[0]))
        return rule

    def _spread_over_batch(self, position: int) -> float:
        """Share of a tensor's variance that is not between its units.

        Weights of zero mean make of a mean that all inputs have, such as ReLU's, a mean of each
        unit's own, which a batch normalisation removes: `1 - mean² / q` is left. Samples are taken
        for independent of each other, so that it is an upper bound in deep nets.
        """
        node = self._network.nodes[position]
        if not isinstance(node.rule, Weight) or node.rule.mean:
            return 1.0
        source = self._network.signals[node.inputs[0]]
        return source.variance_share if source.is_known and source.variance_share > 0.0 else 1.0

    def _without_activations(self, position: int) -> int:
        """Where an element-wise function of one tensor starts."""
        node = self._network.nodes[position]
        while isinstance(node.rule, Activation | Affine) and len(node.inputs) == 1:
            position = node.inputs[0]
            node = self._network.nodes[position]
        return position


def failure(error: Exception) -> str:
    """The reason for a site whose prediction raised what nobody expected. The suite of tests lets
    it raise instead.
    """
    return f"{FAILED} ({reason(error)})"


def _signal(moments: Moments) -> Signal:
    return Signal.from_moments(moments.mean, moments.variance)


def _is_relu(rule: PropagationRule) -> bool:
    points = np.array([-2.0, -0.5, 0.5, 2.0])
    return isinstance(rule, Activation) and np.array_equal(
        rule.function(points), np.maximum(points, 0.0)
    )
