"""The Functional graphs of a model: operations, and who receives whose output.

A subclassed model without a graph has none of these; nothing is run here.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras

from keras_initcheck.probe.keras_model.private_api import (
    flatten_layers,
    graph_behind,
    graph_nodes,
    is_graph,
    sublayers,
)
from keras_initcheck.probe.keras_types import Layer, Model, Nest, Operation, Tensor


def functional_graphs(model: Layer) -> list[Any]:
    """Every Functional graph in `model`: nested models, and the graph that a Sequential runs."""
    graphs = map(graph_behind, flatten_layers(model))
    return list({id(graph): graph for graph in graphs if is_graph(graph)}.values())


def runs_graph(layer: Layer) -> bool:
    """Whether `layer` adds no arithmetic to that of the layers inside it."""
    return isinstance(layer, keras.Sequential) or is_graph(layer)


def operations_without_layers(model: Layer) -> list[Operation]:
    """The nodes of Functional graphs that are no layers, such as `x + y` or `keras.ops.relu(x)`."""
    return [
        operation
        for graph in functional_graphs(model)
        for operation in graph.operations
        if not isinstance(operation, keras.layers.Layer)
    ]


def sole_consumers(model: Layer) -> set[int]:
    """Ids of the operations that alone consume the output which they receive first.

    For these, the gradient with respect to their input is the gradient with respect to that output,
    and is measured once. Known for operations that stand in one Functional graph, once, behind
    another operation of it.
    """
    graphs = functional_graphs(model)
    appearances = Counter(id(node.operation) for graph in graphs for node in graph_nodes(graph))
    return {
        id(node.operation)
        for graph in graphs
        for node in _sole_consumer_nodes(graph)
        if appearances[id(node.operation)] == 1
    }


def _sole_consumer_nodes(graph: Any) -> Iterable[Any]:
    nodes = graph_nodes(graph)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
    producers = {id(tensor): node.operation for node in nodes for tensor in node.outputs}
    for node in nodes:
        if node.is_input or not node.input_tensors:
            continue
        first = id(node.input_tensors[0])
        producer = producers.get(first)
        if uses[first] == 1 and producer is not None and _is_leaf(producer):
            yield node


def _is_leaf(operation: Operation) -> bool:
    is_input = isinstance(operation, keras.layers.InputLayer)
    return not is_input and not (isinstance(operation, keras.layers.Layer) and sublayers(operation))


def symbolic_inputs(model: Model) -> Nest | None:
    """The nest of symbolic tensors that a graph of layers was made from.

    `None` for a model that has a `call` of its own, unless it was given symbolic inputs.
    """
    if is_graph(model) and not isinstance(model, keras.Sequential):
        return model.input
    try:
        inputs = getattr(model, "inputs", None) or None
    except ValueError:  # of a Sequential that is not built, in releases of Keras up to 3.5
        return None
    return inputs[0] if inputs is not None and len(inputs) == 1 else inputs


def next_operations(model: Layer, tensor: Tensor) -> list[tuple[Operation, Tensor]]:
    """`(operation, its first output)` of all that takes a symbolic tensor, in all graphs."""
    return [
        (node.operation, node.output_tensors[0])
        for graph in functional_graphs(model)
        for node in graph_nodes(graph)
        if any(other is tensor for other in node.input_tensors)
    ]
