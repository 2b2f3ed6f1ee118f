"""Every name that Keras does not publish, each with the reason why no public one serves.

The functions only read, set or call such a name: their arguments are `Any`, because no protocol
has it. A test for each fails when Keras changes the name; another test fails where one stands in
another file.
"""

import collections
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_initcheck.probe.keras_types import KerasVariable, Layer, Nest, Operation

VARIABLES: tuple[type, ...] = tuple(
    base for base in keras.Variable.__mro__ if base.__module__.endswith("common.variables")
)
"""The class that the variables of every backend have in common; `keras.Variable` was none of theirs
before Keras 3.6."""


def flatten_layers(layer: Any) -> list[Layer]:
    """`layer` and every layer in it at any depth, in order of creation.

    `_flatten_layers`: `model.layers` lists the layers of a model, and nothing public lists those
    that a layer holds.
    """
    return list(layer._flatten_layers(include_self=True, recursive=True))


def sublayers(layer: Any) -> list[Layer]:
    """The layers that `layer` holds directly.

    `_flatten_layers`: see `flatten_layers`.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def graph_behind(layer: Any) -> Any:
    """The Functional graph that a built Sequential runs; any other layer as it is.

    `_functional`: a Sequential publishes its layers and not its graph.
    """
    return getattr(layer, "_functional", None) or layer


def is_graph(layer: Any) -> bool:
    """Whether `layer` is a Functional graph.

    `_nodes_by_depth`: a subclass of `keras.Model` with symbolic inputs is a graph as well, and the
    class `Functional` is not public.
    """
    return hasattr(layer, "operations") and hasattr(layer, "_nodes_by_depth")


def graph_nodes(graph: Any) -> list[Any]:
    """The nodes of a Functional graph: one for each call of an operation.

    `_nodes_by_depth`: `graph.operations` lists the operations without what they are called on.
    """
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def build(model: Any, x: Nest) -> None:
    """Creates the variables of an unbuilt model from a batch `x`, symbolically, as `fit` does.

    `keras.src.backend.compute_output_spec`: the public `model.compute_output_spec` creates the
    variables too, and leaves the model marked as unbuilt.

    Side effects: the variables are created; nothing is computed and no seed advances beyond what
    creating them takes.
    """
    from keras.src import backend

    def symbolic(tensor: Any) -> Any:
        return keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))

    backend.compute_output_spec(model, keras.tree.map_structure(symbolic, x), training=False)


def compiled_loss(model: Any) -> Any | None:
    """The object that `compile` makes of its losses, a new one at each call; `None` before.

    `_compile_loss`: `model.loss` is what `compile` was given, which may be a string.
    """
    return getattr(model, "_compile_loss", None)


def trained_variables(optimizer: Any) -> list[KerasVariable]:
    """The variables that a built optimizer updates; none before.

    `_trainable_variables`: `optimizer.variables` lists what the optimizer itself keeps.
    """
    return list(getattr(optimizer, "_trainable_variables", ()))


def slot_lists(optimizer: Any) -> list[tuple[str, list[Any]]]:
    """Lists of an optimizer that hold one slot for each trained variable, such as `momentums`.

    The attributes of the optimizer, without `_trainable_variables` and `_variables` (which holds
    the counter and the learning rate too): nothing public relates a slot to its variable.
    """
    count = len(trained_variables(optimizer))
    return [
        (name.lstrip("_"), value)
        for name, value in vars(optimizer).items()
        if name not in ("_trainable_variables", "_variables")
        and isinstance(value, list)
        and len(value) == count
    ]


def choose_optimizer(optimizer: Any, variable: KerasVariable) -> Any:
    """The optimizer that an unbuilt `MultiOptimizer` will choose for a variable.

    `_optimizer_map`: it publishes the optimizers, and not which variable goes to which. A function
    that chooses may make an optimizer at each call, so that names are kept.
    """
    with _object_names_kept():
        return optimizer._optimizer_map(variable)


def given_learning_rate(optimizer: Any) -> Any:
    """What an optimizer takes its rate from: a schedule, a function, a variable or a number.

    `_learning_rate`: the public `learning_rate` is the rate at the current step.
    """
    return getattr(optimizer, "_learning_rate", None)


def hold_learning_rate(optimizer: Any, rate: float) -> None:
    """Sets a number in place of a schedule.

    `_learning_rate`: Keras refuses to set `learning_rate` where there is a schedule.
    """
    optimizer._learning_rate = rate


@contextmanager
def _object_names_kept() -> Iterator[None]:
    """Puts back the counts by which Keras names objects, so that later ones get the usual names.

    `keras.src.backend.common.global_state`: the public `keras.utils.clear_session` resets the
    counts and cannot restore them.
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


def bookkeeping(owners: Iterable[Any]) -> list[Any]:
    """The objects in which Keras notes what it has seen: trackers, and the state of this thread.

    `_tracker`: each layer, loss and metric notes there which variables it owns.
    `keras.src.backend.common.global_state`: the thread's state holds the names that Keras has given
    and the generator that draws where nobody passes a seed.

    Args:
        owners: Layers, and what `compile` gave their model.
    """
    from keras.src.backend.common import global_state

    trackers = [owner.__dict__["_tracker"] for owner in owners if "_tracker" in owner.__dict__]
    return [*trackers, types.SimpleNamespace(keras=vars(global_state.GLOBAL_STATE_TRACKER))]


def torch_parameters(layers: Iterable[Any]) -> list[Any]:
    """The dictionaries in which Keras shows the variables of layers to torch.

    `_modules`, `_torch_params` (`torch_params` in releases up to 3.5): they are to be told from the
    state of a user's own torch modules. A `Sequential` holds a functional model that is none of its
    layers.
    """
    of_layers = [layer.__dict__.get("_modules", {}) for layer in layers]
    inner = [vars(module).get("_modules", {}) for each in of_layers for module in each.values()]
    modules = [*of_layers, *inner]
    found = [each["_torch_params"] for each in modules if "_torch_params" in each]
    return found + [each["torch_params"] for each in modules if "torch_params" in each]


@contextmanager
def without_fusion(layer: Any) -> Iterator[None]:
    """A context in which a `Bidirectional` calls both of its layers, on a GPU too.

    `_can_attempt_fused_lstm`, `_can_attempt_fused_gru`: since 3.15 it may run the kernels of both
    in one call of the GPU's library, and nothing public of the layer itself turns that off.
    """
    names = ("_can_attempt_fused_lstm", "_can_attempt_fused_gru")
    known = [name for name in names if hasattr(type(layer), name)]
    try:
        for name in known:
            layer.__dict__[name] = lambda *args, **kwargs: False
        yield
    finally:
        for name in known:
            layer.__dict__.pop(name, None)


@contextmanager
def without_rematerialization(operations: Iterable[Operation]) -> Iterator[None]:
    """A context without Keras' checkpoints, which changes no value and takes more memory.

    TensorFlow's and JAX's checkpoints let out no gradients but those of their arguments and of
    variables, and some cannot be traced with keyword arguments.

    `_remat_mode`, `rematerialized_call`: a `keras.RematScope`, which Keras has since 3.9, marks an
    operation when it is made, and nothing public takes the mark away.
    """
    changed: list[Any] = [
        operation for operation in operations if getattr(operation, "_remat_mode", None) is not None
    ]
    try:
        for operation in changed:
            operation.__dict__["rematerialized_call"] = lambda call, *args, **kwargs: call
        yield
    finally:
        for operation in changed:
            operation.__dict__.pop("rematerialized_call", None)
