"""Rules that depend on what their inputs are made of, completed with what the network knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.graph import Node
from keras_initcheck.theory.propagation.linear import Affine, Weight
from keras_initcheck.theory.propagation.merge import Multiply
from keras_initcheck.theory.propagation.normalization import Standardization
from keras_initcheck.theory.propagation.pooling import MaxPooling
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable


def complete_rule(
    rule: PropagationRule, layer: Any, inputs: tuple[int, ...], nodes: Sequence[Node]
) -> PropagationRule:
    """The rule of a layer that receives these nodes.

    Args:
        rule: The rule by the layer alone.
        layer: The layer or operation.
        inputs: Positions of the nodes that it receives.
        nodes: The network so far.
    """
    if isinstance(rule, MaxPooling):
        return replace(rule, is_rectified=_is_relu(nodes[inputs[0]].rule))
    if isinstance(rule, Multiply):
        makers = {_without_activations(each, nodes) for each in inputs}
        if len(makers) < len(inputs):
            return Unpredictable("it multiplies a tensor with a function of itself")
    if isinstance(rule, Standardization) and isinstance(layer, keras.layers.BatchNormalization):
        return replace(rule, within_share=_within_share(inputs[0], nodes))
    return rule


def _within_share(position: int, nodes: Sequence[Node]) -> float:
    """Share of a tensor's variance that is not between its units.

    Weights of zero mean turn a mean that all inputs share, such as ReLU's, into a mean of each
    unit's own, which a batch normalization removes: `1 - mean² / q` is left. Samples are taken
    for independent of each other, so that it is an upper bound in deep nets.
    """
    node = nodes[position]
    if not isinstance(node.rule, Weight) or node.rule.mean:
        return 1.0
    source = nodes[node.inputs[0]].signal
    return source.variance_share if source.is_known and source.variance_share > 0.0 else 1.0


def _without_activations(position: int, nodes: Sequence[Node]) -> int:
    """The node at which an element-wise function of one tensor starts."""
    while (
        isinstance(nodes[position].rule, Activation | Affine) and len(nodes[position].inputs) == 1
    ):
        position = nodes[position].inputs[0]
    return position


def _is_relu(rule: PropagationRule) -> bool:
    points = np.array([-2.0, -0.5, 0.5, 2.0])
    return isinstance(rule, Activation) and np.array_equal(
        rule.function(points), np.maximum(points, 0.0)
    )
