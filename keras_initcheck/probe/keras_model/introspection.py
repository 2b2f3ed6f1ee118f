"""Questions to a Keras model that its public API answers: its state, its parts, its call and loss.

Private names of Keras stand in `private_api`, graphs in `graph`, optimizers in `optimizers`.
"""

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from keras_initcheck.probe.keras_model.optimizers import compiled_optimizer, flatten_optimizers
from keras_initcheck.probe.keras_model.private_api import (
    compiled_loss,
    flatten_layers,
    sublayers,
)
from keras_initcheck.probe.keras_types import KerasVariable, Layer, Model, Nest, Tensor


def is_layer(value: Any) -> bool:
    """Whether `value` is a Keras layer."""
    return isinstance(value, keras.layers.Layer)


def is_built(model: Layer) -> bool:
    """Whether every layer of `model` has its variables."""
    return all(layer.built for layer in flatten_layers(model))


def build_state(model: Layer) -> tuple[Any, ...]:
    """The number of the model's variables, and which of its layers have theirs."""
    return (len(model.variables), *((id(layer), layer.built) for layer in flatten_layers(model)))


def has_call(model: Model) -> bool:
    """Whether the model's class defines `call`; models of a GAN often have a `train_step` alone."""
    return type(model).call is not keras.Model.call


def submodels(model: Layer) -> list[Layer]:
    """The models that `model` holds directly."""
    return [layer for layer in sublayers(model) if isinstance(layer, keras.Model)]


def is_compiled(model: Model) -> bool:
    """Whether `compile` was called."""
    return bool(getattr(model, "compiled", False))


def runs_eagerly(model: Model) -> bool:
    """Whether `compile` was given `run_eagerly=True`."""
    return bool(getattr(model, "run_eagerly", False))


def compiled_parts(model: Model) -> list[Any]:
    """The optimizer, with those that it wraps, the loss and the metrics of a compiled model."""
    parts = [
        *flatten_optimizers(compiled_optimizer(model)),
        compiled_loss(model),
        *getattr(model, "metrics", []),
    ]
    return [part for part in parts if hasattr(part, "__dict__")]


def takes_training(model: Layer) -> bool:
    """Whether the model's `call` has a `training` argument, or takes any."""
    parameters = inspect.signature(model.call).parameters.values()
    return takes(model, "training") or any(each.kind is each.VAR_KEYWORD for each in parameters)


def takes(layer: Layer, argument: str) -> bool:
    """Whether the `call` of the layer's class has an argument of that name."""
    return argument in inspect.signature(type(layer).call).parameters


def call_in_training(model: Model, x: Nest) -> Nest:
    """The model's outputs in training mode.

    BatchNormalization in inference mode would be the identity at initialization.
    """
    return model(x, training=True) if takes_training(model) else model(x)


def compute_loss(model: Model, x: Nest, y: Nest, y_pred: Nest, sample_weight: Nest) -> Tensor:
    """The training loss, regularization included; a model's own method need not take `training`."""
    arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    if "training" in inspect.signature(model.compute_loss).parameters:
        arguments["training"] = True
    with without_warning_of_logits():
        return model.compute_loss(**arguments)


@contextlib.contextmanager
def without_warning_of_logits() -> Iterator[None]:
    """A context in which Keras does not warn that it undoes a softmax before a loss of logits.

    A training warns of it, and a rule tells it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r'"`\w+` received `from_logits=True`')
        yield


def regularized_values(model: Layer) -> list[tuple[KerasVariable, Tensor]]:
    """The regularized variables, each with its value.

    Inside a `StatelessScope`, Keras asks only the scope for the values that it penalizes.
    """
    return [
        (variable, variable.value)
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]


def weight_penalties(model: Layer) -> list[Tensor]:
    """What the regularizer of each weight adds to the loss.

    `model.losses` holds them beside what layers add themselves, as a variational one its
    divergence.
    """
    return [
        variable.regularizer(variable)
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]


def own_variables(layer: Layer) -> list[KerasVariable]:
    """The variables that `layer` itself created, without those of the layers inside it."""
    inner = {id(variable) for sublayer in sublayers(layer) for variable in sublayer.variables}
    return [variable for variable in layer.variables if id(variable) not in inner]


def flatten_with_names(structure: Nest) -> list[tuple[str, Any]]:
    """The leaves of a nest of lists, tuples and dicts, each with a path such as `image` or `1`."""
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
