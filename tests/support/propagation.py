"""Predictions of a whole network at once, for tests of rules."""

from dataclasses import dataclass

from keras_initcheck.theory.propagation.graph import Network
from keras_initcheck.theory.propagation.rule import Source
from keras_initcheck.theory.propagation.signal import Signal

SOURCE = (Source(Signal(0.0)), ())
"""A rule and its inputs: a source of second moment one."""


@dataclass(frozen=True)
class Predicted:
    """Signal and `ln` gradient at a node's output."""

    signal: Signal
    log_gradient: float
    unknown_since: int | None


def chain(*rules):
    """Steps one after the other, behind a source of second moment one."""
    return [SOURCE, *((rule, (position,)) for position, rule in enumerate(rules))]


def propagate(steps, seeds=None):
    """What is predicted at each of the steps `(rule, inputs)`.

    Without `seeds`, a random N(0, 1) cotangent starts at every node that no other uses.
    """
    network = Network()
    for rule, inputs in steps:
        network.add(rule, inputs)
    used = {index for node in network.nodes for index in node.inputs}
    unused = {position: 0.0 for position in range(len(network.nodes)) if position not in used}
    gradients = network.log_gradients(unused if seeds is None else seeds)
    return [
        Predicted(node.signal, gradient, node.unknown_since)
        for node, gradient in zip(network.nodes, gradients, strict=True)
    ]
