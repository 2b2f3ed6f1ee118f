"""Propagation over a network: signals from its inputs on, gradients from its outputs back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, log_sum


@dataclass(frozen=True)
class Node:
    """One step of a network. A layer with an activation of its own is two of them.

    Attributes:
        rule: The rule of the step.
        inputs: Positions of the nodes whose outputs it receives, all before its own, in the order
            in which its rule takes them.
    """

    rule: PropagationRule
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """Signal and gradient at a node's output.

    Attributes:
        signal: The signal.
        log_gradient: `ln` of the mean square of an element's gradient; `nan` if unknown, `-inf` if
            none arrives.
        unknown_since: Position of the node that made the signal unknown, or `None` if it is known.
    """

    signal: Signal
    log_gradient: float
    unknown_since: int | None = None


def propagate(
    nodes: Sequence[Node], output_log_gradients: Mapping[int, float] | None = None
) -> tuple[Prediction, ...]:
    """Predicts signal and gradient at every node of a network, in execution order.

    Forward, each node applies its rule to the signals of its inputs. Backward, a node's gradient is
    the sum over the nodes that use its output, whose contributions are taken to be independent (He
    et al. 2015, section 2.2, for a chain). They are not independent if ReLUs stand on a residual
    stream itself: a unit that one of them lets pass is likely to pass the next, and gradients grow
    by some 10% more in every such block.

    >>> from keras_initcheck.theory.propagation.linear import Weight
    >>> from keras_initcheck.theory.propagation.merge import Sum
    >>> from keras_initcheck.theory.propagation.rule import Source
    >>> glorot = Weight(fan_in=100, fan_out=100, second_moment=1 / 100)
    >>> block = [Node(Source(Signal(0.0))), Node(glorot, (0,)), Node(Sum(), (0, 1))]
    >>> stream, _, total = propagate(block)
    >>> round(total.signal.second_moment, 6), round(stream.log_gradient, 6)  # 1 + 1, and ln(1 + 1)
    (2.0, 0.693147)

    Args:
        nodes: The network; a node without inputs is where it starts.
        output_log_gradients: For the position of each output, `ln` of the mean square of its
            gradient. By default it is 0, as of a random N(0, 1) cotangent, at every node that no
            other uses.

    Raises:
        ValueError: A node's input does not come before it.
    """
    _check_order(nodes)
    signals: list[Signal] = []
    unknown_since: list[int | None] = []
    for position, node in enumerate(nodes):
        signals.append(node.rule.forward(*(signals[index] for index in node.inputs)))
        since = [unknown_since[index] for index in node.inputs if unknown_since[index] is not None]
        unknown_since.append(None if signals[-1].is_known else next(iter(since), position))
    gradients = _gradients(
        nodes,
        signals,
        _random_cotangent(nodes) if output_log_gradients is None else output_log_gradients,
    )
    return tuple(map(Prediction, signals, gradients, unknown_since))


def _check_order(nodes: Sequence[Node]) -> None:
    for position, node in enumerate(nodes):
        if not all(0 <= index < position for index in node.inputs):
            raise ValueError(
                f"`nodes` must be in execution order. Received: inputs={node.inputs} at position"
                f" {position}. Put inputs before their users."
            )


def _random_cotangent(nodes: Sequence[Node]) -> dict[int, float]:
    used = {index for node in nodes for index in node.inputs}
    return {position: 0.0 for position in range(len(nodes)) if position not in used}


def _gradients(
    nodes: Sequence[Node], signals: Sequence[Signal], seeds: Mapping[int, float]
) -> list[float]:
    arriving: list[list[float]] = [
        [seeds[position]] if position in seeds else [] for position in range(len(nodes))
    ]
    gradients = [float("-inf")] * len(nodes)
    for position in range(len(nodes) - 1, -1, -1):
        node, gradient = nodes[position], log_sum(arriving[position])
        gradients[position] = gradient
        if gradient == float("-inf"):
            continue
        factors = node.rule.log_gradient_factors(*(signals[index] for index in node.inputs))
        for index, factor in zip(node.inputs, factors, strict=True):
            arriving[index].append(gradient + factor)
    return gradients
