"""Synthetic inputs for a model that comes without data."""

from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.data.preprocessing import before_preprocessing, preprocessing_behind
from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.keras_model import introspection, layer_kinds
from keras_initcheck.probe.keras_model.graph import next_operations, symbolic_inputs
from keras_initcheck.probe.keras_model.private_api import flatten_layers
from keras_initcheck.probe.keras_types import Model, Nest, Tensor
from keras_initcheck.records.errors import DataError

SEQUENCE_LENGTH = 32
IMAGE_SIZE = 64
"""Lengths that stand in for axes that the model leaves open."""


@without_strategy()
def synthetic_inputs(model: Model, batch_size: int, seed: int) -> Nest:
    """Standard normal inputs of the model's own shapes; valid ids for an Embedding.

    Where an input first passes the model's own `Rescaling` and `Normalization` layers, their output
    is standard normal: a network that divides by 255 gets pixels, not numbers of 1/255.

    Args:
        model: A model that knows its input shapes: Functional, built Sequential, or a subclassed
            one that was built with a shape.
        batch_size: Number of samples.
        seed: Seed of the numbers.

    Returns:
        Numpy arrays in the structure in which the model takes its inputs.

    Raises:
        DataError: The model does not know its input shapes, or takes strings.
    """
    generator = np.random.default_rng(seed)
    sizes = _vocabulary_sizes(model)

    def one(spec: Any) -> np.ndarray:
        return before_preprocessing(
            _draw(spec, sizes.get(id(spec)), batch_size, generator),
            preprocessing_behind(spec, model),
        )

    return keras.tree.map_structure(one, _input_specs(model))


def _input_specs(model: Model) -> Nest:
    specs = symbolic_inputs(model)
    if specs is not None:
        return specs
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise DataError(
            f"Without data the model must know its input shapes. Received: {type(model).__name__}"
            f" {model.name!r}, which does not. Pass a batch: check(model, x)."
        )
    return _from_shape(shape)


def _from_shape(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: _from_shape(inner) for name, inner in shape.items()}
    if shape and isinstance(shape[0], (list, tuple)):
        return [_from_shape(inner) for inner in shape]
    return keras.KerasTensor(tuple(shape), "float32")


def _vocabulary_sizes(model: Model) -> dict[int, int]:
    """The smallest vocabulary of the embeddings behind each model input, by the input's id."""
    sizes = {}
    for tensor in keras.tree.flatten(getattr(model, "inputs", None) or []):
        found = _embeddings_behind(tensor, model)
        if found:
            sizes[id(tensor)] = min(int(layer.input_dim) for layer in found)
    return sizes


def _embeddings_behind(tensor: Tensor, model: Model) -> list[Any]:
    """The Embedding layers that take an input; for integers, else, all that they may reach."""
    receivers: list[Any] = [operation for operation, _ in next_operations(model, tensor)]
    direct = list(filter(_is_embedding, receivers))
    if direct or "int" not in keras.backend.standardize_dtype(tensor.dtype):
        return direct
    outer = filter(introspection.is_layer, receivers)
    inside = [layer for each in outer for layer in flatten_layers(each)]
    return list(filter(_is_embedding, [*inside, *flatten_layers(model)]))


def _is_embedding(operation: Any) -> bool:
    return isinstance(operation, layer_kinds.EMBEDDING)


def _draw(
    spec: Any, vocabulary: int | None, batch_size: int, generator: np.random.Generator
) -> np.ndarray:
    open_length = IMAGE_SIZE if len(spec.shape) > 3 else SEQUENCE_LENGTH
    shape = (batch_size, *(open_length if size is None else size for size in spec.shape[1:]))
    dtype = keras.backend.standardize_dtype(spec.dtype)
    if vocabulary is not None:
        return generator.integers(0, vocabulary, shape).astype("int32" if "int" in dtype else dtype)
    if "int" in dtype:
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype == "string":
        raise DataError(
            f"Synthetic inputs must be numbers. Received: the model's input {spec.name!r} takes"
            " strings. Pass a batch: check(model, x)."
        )
    return generator.standard_normal(shape).astype("float32")
