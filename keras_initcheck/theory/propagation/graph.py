"""A network of propagation rules: signals from its inputs on, gradients from its outputs back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, log_sum


@dataclass(frozen=True)
class Node:
    """One step of a network. A layer with an activation of its own is two of them.

    Attributes:
        rule: The rule of the step.
        inputs: Positions of the nodes whose outputs it receives, in the order in which its rule
            takes them.
        signal: The predicted signal of its output.
        unknown_since: Position of the node that made the signal unknown; `None` where it is known.
    """

    rule: PropagationRule
    inputs: tuple[int, ...]
    signal: Signal
    unknown_since: int | None = None


class Network:
    """Nodes in execution order. Signals are predicted while nodes are added, gradients afterwards.

    >>> from keras_initcheck.theory.propagation.linear import Weight
    >>> from keras_initcheck.theory.propagation.merge import Sum
    >>> from keras_initcheck.theory.propagation.rule import Source
    >>> network = Network()
    >>> stream = network.add(Source(Signal(0.0)))
    >>> branch = network.add(Weight(fan_in=100, fan_out=100, second_moment=1 / 100), (stream,))
    >>> total = network.add(Sum(), (stream, branch))
    >>> round(network.nodes[total].signal.second_moment, 6)  # 1 + 1
    2.0
    >>> round(network.log_gradients({total: 0.0})[stream], 6)  # ln(1 + 1)
    0.693147

    Attributes:
        nodes: The nodes.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, rule: PropagationRule, inputs: tuple[int, ...] = ()) -> int:
        """Adds a node, applies its rule to the signals of its inputs, and returns its position.

        Args:
            rule: The node's rule.
            inputs: Positions of the nodes whose outputs it receives; none where a network starts.

        Raises:
            ValueError: An input is not in the network yet.
        """
        position = len(self.nodes)
        if not all(0 <= index < position for index in inputs):
            raise ValueError(
                f"`inputs` must be positions of nodes that were added before. Received:"
                f" inputs={inputs} at position {position}. Add inputs before their users."
            )
        sources = [self.nodes[index] for index in inputs]
        signal = rule.forward(*(source.signal for source in sources))
        since = (each.unknown_since for each in sources if each.unknown_since is not None)
        unknown_since = None if signal.is_known else next(since, position)
        self.nodes.append(Node(rule, inputs, signal, unknown_since))
        return position

    def log_gradients(self, seeds: Mapping[int, float]) -> list[float]:
        """`ln` of the mean square of an element's gradient, at the output of every node.

        A node's gradient is the sum over the nodes that use its output, whose contributions are
        taken to be independent (He et al. 2015, section 2.2, for a chain). They are not independent
        if ReLUs stand on a residual stream itself: a unit that one of them lets pass is likely to
        pass the next, and gradients grow by some 10% more in every such block.

        Args:
            seeds: `ln` of the mean square of the gradient with which an output begins, by position:
                0 for a random N(0, 1) cotangent.

        Returns:
            For each node `nan` where the gradient is unknown, and `-inf` where none arrives.
        """
        arriving: list[list[float]] = [[] for _ in self.nodes]
        for position, seed in seeds.items():
            arriving[position].append(seed)
        gradients = [-math.inf] * len(self.nodes)
        for position in range(len(self.nodes) - 1, -1, -1):
            node, gradient = self.nodes[position], log_sum(arriving[position])
            gradients[position] = gradient
            if gradient == -math.inf:
                continue
            factors = node.rule.log_gradient_factors(*self._input_signals(node))
            for index, factor in zip(node.inputs, factors, strict=True):
                arriving[index].append(gradient + factor)
        return gradients

    def _input_signals(self, node: Node) -> tuple[Signal, ...]:
        return tuple(self.nodes[index].signal for index in node.inputs)
