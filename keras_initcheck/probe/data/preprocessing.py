"""A model's own scaling of its inputs, and its inverse."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.graph import next_operations, runs_graph
from keras_initcheck.probe.keras_types import Model, Tensor


def preprocessing_behind(tensor: Tensor, model: Model) -> list[Any]:
    """The `Rescaling` and `Normalization` layers that a model input passes first, in that order.

    Layers of nested models count too.

    Args:
        tensor: A symbolic input of the model.
        model: A model. One without a graph has no known preprocessing.
    """
    found: list[Any] = []
    following: list[tuple[Any, Tensor]] = next_operations(model, tensor)
    while len(following) == 1:
        operation, output = following[0]
        if runs_graph(operation) and len(operation.inputs) == 1:
            output = operation.inputs[0]
        elif isinstance(operation, (keras.layers.Rescaling, keras.layers.Normalization)):
            found.append(operation)
        else:
            break
        following = next_operations(model, output)
    return found


def before_preprocessing(values: np.ndarray, layers: Sequence[Any]) -> np.ndarray:
    """The numbers that the layers turn into `values`, as float32 where there is a layer.

    Scales of zero are left alone, since nothing undoes them.
    """
    for layer in reversed(layers):
        scale, shift = _scale_and_shift(layer)
        values = (values - shift) / np.where(scale == 0.0, 1.0, scale)
    return values.astype("float32") if layers else values


def _scale_and_shift(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """`a` and `b` of a layer that computes `a x + b`."""
    if isinstance(layer, keras.layers.Rescaling):
        return np.asarray(layer.scale, "float64"), np.asarray(layer.offset, "float64")
    mean, variance = (
        np.asarray(to_numpy(each), "float64") for each in (layer.mean, layer.variance)
    )
    deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
    return (deviation, mean) if layer.invert else (1.0 / deviation, -mean / deviation)
