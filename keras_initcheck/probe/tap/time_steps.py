"""Steps of a `TimeDistributed` layer as samples of the layer inside it.

The layer inside does the same to each step. Where it is made of layers, one call on all steps at
once serves instead of Keras' loop over them, so that every layer inside has one site. Dropout draws
as many numbers as in the loop; a batch normalization in there sees all steps at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_types import Layer, Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class JoinedSteps:
    """Arguments of the layer inside, with all steps in one batch.

    Attributes:
        x: The input, `(samples * steps, ...)`.
        num_steps: Number of steps.
        keywords: Further arguments.
    """

    x: Tensor
    num_steps: int
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def split(self, outputs: Tensor) -> Tensor:
        """The outputs as the wrapper gives them, `(samples, steps, ...)`."""
        shape = tuple(outputs.shape)
        return ops.reshape(outputs, (shape[0] // self.num_steps, self.num_steps, *shape[1:]))


def join(
    layer: Layer, inputs: Any, training: bool | None = None, mask: Tensor | None = None
) -> JoinedSteps | None:
    """The arguments of one call on all steps.

    Args:
        layer: The layer inside.
        inputs: The first argument of the wrapper, `(samples, steps, ...)`; so are the others.
        training: As of `TimeDistributed.call`.
        mask: As of `TimeDistributed.call`.

    Returns:
        `None` where the layer does not take another number of samples, such as one with a state.
    """
    shape = tuple(inputs.shape) if ops.is_tensor(inputs) else ()
    if len(shape) < 3 or None in shape or not _is_free_of_batch(layer, join_shape(shape), inputs):
        return None
    keywords: dict[str, Any] = {}
    if introspection.takes(layer, "training"):
        keywords["training"] = training
    if mask is not None and introspection.takes(layer, "mask"):
        keywords["mask"] = ops.reshape(mask, join_shape(tuple(mask.shape)))
    return JoinedSteps(ops.reshape(inputs, join_shape(shape)), shape[1], keywords)


def join_shape(shape: Sequence[int]) -> Shape:
    """`(samples, steps, ...)` as `(samples * steps, ...)`."""
    samples, steps, *rest = shape
    return (samples * steps, *rest)


def is_outside_of_loop(activation: Callable[..., Any] | None) -> bool:
    """Whether an activation does to all steps at once what it does to each.

    That is every one but a layer with weights, whose shape is that of one step.
    """
    return activation is not None and not getattr(activation, "weights", None)


def as_from_loop(outputs: Tensor) -> Tensor:
    """`outputs` in a tensor of its own, of which Keras does not know what made it.

    On TensorFlow its losses find the logits behind a softmax, but not behind a loop over steps.
    """
    return ops.reshape(outputs, tuple(outputs.shape))


def _is_free_of_batch(layer: Any, shape: Shape, inputs: Tensor) -> bool:
    """Whether a layer maps a batch of that shape to a tensor of as many samples."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    try:
        found = layer.compute_output_spec(keras.KerasTensor(shape, dtype))
    except Exception:  # a layer may refuse another number of samples in any way
        return False
    return isinstance(found, keras.KerasTensor) and tuple(found.shape)[:1] == shape[:1]
