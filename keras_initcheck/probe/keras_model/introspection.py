"""The few places where only Keras' private names serve. A test tells when Keras changes one of
them.
"""

import collections
import inspect
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.devices import without_strategy


def flatten_layers(model: Any) -> list[Any]:
    """`model` and every layer in it at any depth, in order of creation. Keras has no public way to
    reach the layers of a layer.
    """
    return list(model._flatten_layers(include_self=True, recursive=True))


def sublayers(layer: Any) -> list[Any]:
    """The layers that `layer` holds directly."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def rematerialized(operations: Iterable[Any]) -> list[Any]:
    """The operations that were made inside a `keras.RematScope`, which Keras has since 3.9."""
    return [
        operation for operation in operations if getattr(operation, "_remat_mode", None) is not None
    ]


def functional_graphs(model: Any) -> list[Any]:
    """Every Functional graph in `model`: nested models, and the graph that a built Sequential
    runs.
    """
    graphs: dict[int, Any] = {}
    for layer in flatten_layers(model):
        graph = getattr(layer, "_functional", None) or layer
        if hasattr(graph, "operations") and hasattr(graph, "_nodes_by_depth"):
            graphs[id(graph)] = graph
    return list(graphs.values())


def is_layer(value: Any) -> bool:
    """Whether `value` is a Keras layer."""
    return isinstance(value, keras.layers.Layer)


def runs_graph(layer: Any) -> bool:
    """Whether the outputs of `layer` are outputs of layers inside it, so that it adds no arithmetic
    of its own.
    """
    return isinstance(layer, keras.Sequential) or (
        hasattr(layer, "operations") and hasattr(layer, "_nodes_by_depth")
    )


def operations_without_layers(model: Any) -> list[Any]:
    """The nodes of Functional graphs that are no layers, such as `x + y` and
    `keras.ops.relu(x)`.
    """
    return [
        op
        for graph in functional_graphs(model)
        for op in graph.operations
        if not isinstance(op, keras.layers.Layer)
    ]


def _nodes(graph: Any) -> list[Any]:
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def sole_consumers(model: Any) -> set[int]:
    """Ids of the operations that alone consume the output which they receive first.

    For these, the gradient with respect to their input is the gradient with respect to that output,
    and is measured once. Known for operations that stand in one Functional graph, once, behind
    another operation of it.
    """
    graphs = functional_graphs(model)
    appearances = Counter(id(node.operation) for graph in graphs for node in _nodes(graph))
    return {
        id(node.operation)
        for graph in graphs
        for node in _lonely_nodes(graph)
        if appearances[id(node.operation)] == 1
    }


def _lonely_nodes(graph: Any) -> Iterable[Any]:
    uses = Counter(id(tensor) for node in _nodes(graph) for tensor in node.input_tensors)
    uses.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
    producers = {id(tensor): node.operation for node in _nodes(graph) for tensor in node.outputs}
    for node in _nodes(graph):
        if node.is_input or not node.input_tensors:
            continue
        first = id(node.input_tensors[0])
        producer = producers.get(first)
        if uses[first] == 1 and producer is not None and _is_leaf(producer):
            yield node


def _is_leaf(operation: Any) -> bool:
    is_input = isinstance(operation, keras.layers.InputLayer)
    return not is_input and not (isinstance(operation, keras.layers.Layer) and sublayers(operation))


def build(model: Any, x: Any) -> None:
    """Creates the variables of an unbuilt model from a batch `x`, symbolically, as `fit` does
    before its first step.

    Side effects: the variables are created; nothing is computed and no seed advances beyond what
    creating them takes.
    """
    from keras.src import (
        backend,
    )  # the public `compute_output_spec` does not mark the model as built

    def symbolic(tensor: Any) -> Any:
        return keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))

    backend.compute_output_spec(model, keras.tree.map_structure(symbolic, x), training=False)


def is_built(model: Any) -> bool:
    """Whether every layer of `model` has its variables."""
    return all(layer.built for layer in flatten_layers(model))


def has_call(model: Any) -> bool:
    """Whether the model's class says how it is called. Models of a GAN often only have a
    `train_step`.
    """
    return type(model).call is not keras.Model.call


def submodels(model: Any) -> list[Any]:
    """The models that `model` holds directly."""
    return [layer for layer in sublayers(model) if isinstance(layer, keras.Model)]


def built_parts(model: Any) -> tuple[Any, ...]:
    """Which layers of `model` have their variables, and how many there are in all."""
    return (len(model.variables), *((id(layer), layer.built) for layer in flatten_layers(model)))


def is_compiled(model: Any) -> bool:
    """Whether `compile` was called."""
    return bool(getattr(model, "compiled", False))


def compiled_parts(model: Any) -> list[Any]:
    """What `compile` gave the model: the optimizer (with those that it wraps), the loss, and the
    metrics.
    """
    parts = [
        *_with_wrapped(getattr(model, "optimizer", None)),
        compiled_loss(model),
        *getattr(model, "metrics", []),
    ]
    return [part for part in parts if hasattr(part, "__dict__")]


def _with_wrapped(optimizer: Any) -> list[Any]:
    return [
        optimizer,
        *(each for part in wrapped_optimizers(optimizer) for each in _with_wrapped(part)),
    ]


def compiled_loss(model: Any) -> Any | None:
    """What `compile` made of the losses that it was given, anew at each call; `None` before."""
    return getattr(model, "_compile_loss", None)


def wrapped_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that one hands its gradients on to: several for a `MultiOptimizer`, which may
    know them only once it is built.
    """
    if is_multi_optimizer(optimizer):
        return list(optimizer.optimizers)
    inner = getattr(optimizer, "inner_optimizer", None)
    return [] if inner is None else [inner]


def is_multi_optimizer(optimizer: Any) -> bool:
    """Whether `optimizer` chooses another one for each variable. Keras 3.15 was the first to have
    that class.
    """
    kind = getattr(keras.optimizers, "MultiOptimizer", None)
    return kind is not None and isinstance(optimizer, kind)


def innermost_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that make the updates."""
    parts = wrapped_optimizers(optimizer)
    if parts or is_multi_optimizer(optimizer):
        return [each for part in parts for each in innermost_optimizers(part)]
    return [] if optimizer is None else [optimizer]


def bookkeeping(model: Any) -> list[Any]:
    """What Keras notes beside the attributes of layers, loss and metrics: which of them it has
    seen; and the global state of this thread.

    That holds the names that Keras gave, and the generator that draws where nobody passes a seed.
    """
    from keras.src.backend.common import global_state

    owners = [*flatten_layers(model), *compiled_parts(model)]
    trackers = [owner.__dict__["_tracker"] for owner in owners if "_tracker" in owner.__dict__]
    return [*trackers, types.SimpleNamespace(keras=vars(global_state.GLOBAL_STATE_TRACKER))]


def torch_parameters(model: Any) -> list[Any]:
    """The dictionaries in which Keras shows a layer's variables to torch."""
    modules = (layer.__dict__.get("_modules", {}) for layer in flatten_layers(model))
    return [found["_torch_params"] for found in modules if "_torch_params" in found]


@without_strategy()
def steps_taken(model: Any) -> int:
    """Updates that the model's optimizer has made; 0 where there is none.

    Batches whose gradients wait in an accumulator are none yet. Of several optimizers the one that
    is furthest counts, also of those that a model with a `train_step` of its own holds as
    attributes: their weights are trained as well.
    """
    held = [
        value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)
    ]
    optimizers = [getattr(model, "optimizer", None), *held]
    # Each is a variable or, with gradient accumulation, a tensor.
    counters = [
        inner.iterations for optimizer in optimizers for inner in innermost_optimizers(optimizer)
    ]
    return max((int(to_numpy(counter)) for counter in counters), default=0)


def chosen_optimizers(optimizer: Any, variables: Iterable[Any]) -> list[Any]:
    """The optimizer that a `MultiOptimizer` chooses for each variable, `None` where it was built
    without the variable.
    """
    if optimizer.built:
        chosen = {
            id(variable): inner
            for inner in optimizer.optimizers
            for variable in inner._trainable_variables
        }
        return [chosen.get(id(variable)) for variable in variables]
    with _names_kept():  # a function that chooses may make an optimizer at each call
        return [optimizer._optimizer_map(variable) for variable in variables]


@contextmanager
def _names_kept() -> Iterator[None]:
    """Puts back what Keras counts to name objects, so that those which are made later are called
    what they would have been.
    """
    from keras.src.backend.common import global_state

    counts = global_state.get_global_attribute(
        "object_name_uids", collections.defaultdict(int), set_to_default=True
    )
    before = dict(counts)
    try:
        yield
    finally:
        counts.clear()
        counts.update(before)


def takes_training(model: Any) -> bool:
    """Whether the model's `call` has a `training` argument."""
    parameters = inspect.signature(model.call).parameters
    return "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def call_model(model: Any, x: Any) -> Any:
    """The model's outputs in training mode."""
    return model(x, training=True) if takes_training(model) else model(x)


def symbolic_inputs(model: Any) -> Any | None:
    """The nest of symbolic tensors that a graph of layers was made from; `None` for a model that
    has a `call` of its own.
    """
    is_graph = runs_graph(model) and not isinstance(model, keras.Sequential)
    found = model.input if is_graph else getattr(model, "inputs", None)
    return (
        None if isinstance(found, list) and not found else found
    )  # a single tensor has no truth value


def compute_loss(model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
    """The training loss, regularisation included. Releases of Keras before 3.3 know no `training`
    argument.
    """
    arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    if "training" in inspect.signature(model.compute_loss).parameters:
        arguments["training"] = True
    return model.compute_loss(**arguments)


def regularised_values(model: Any) -> list[tuple[Any, Any]]:
    """The regularised variables, each with its value: inside a `StatelessScope`, Keras asks the
    scope for them and nobody else.
    """
    return [
        (variable, variable.value)
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]


def flatten_with_names(structure: Any) -> list[tuple[str, Any]]:
    """The leaves of a nest of lists, tuples and dicts, each with a readable path such as `image` or
    `1`.
    """
    if isinstance(structure, dict):
        parts: list[tuple[str, Any]] = [(str(key), value) for key, value in structure.items()]
    elif isinstance(structure, (list, tuple)):
        parts = [(str(position), value) for position, value in enumerate(structure)]
    else:
        return [("input", structure)]
    found = []
    for name, value in parts:
        nested = flatten_with_names(value)
        found += [(name if inner == "input" else f"{name}/{inner}", leaf) for inner, leaf in nested]
    return found


def own_variables(layer: Any) -> list[Any]:
    """The variables that `layer` itself created, without those of the layers inside it."""
    inner = {id(variable) for sublayer in sublayers(layer) for variable in sublayer.variables}
    return [variable for variable in layer.variables if id(variable) not in inner]


def next_layers(model: Any, tensor: Any) -> list[tuple[Any, Any]]:
    """`(operation, its first output)` of all that takes a symbolic tensor, in the model's own graph
    and the nested ones.
    """
    nodes = [node for graph in functional_graphs(model) for node in _nodes(graph)]
    return [
        (node.operation, node.output_tensors[0])
        for node in nodes
        if any(other is tensor for other in node.input_tensors)
    ]


def consumers(graph: Any, tensor: Any) -> list[Any]:
    """The operations of a Functional graph that take a symbolic tensor."""
    return [
        node.operation
        for node in _nodes(graph)
        if any(other is tensor for other in node.input_tensors)
    ]
