"""The kind of a layer as a site, its fused activation, and the true fans of its kernels."""

import re
from collections.abc import Iterable
from typing import Any

import keras

from keras_initcheck.records.structure import SiteKind
from keras_initcheck.theory import fans
from keras_initcheck.theory.fans import Fans


def _classes(*names: str) -> tuple[Any, ...]:
    """The layer classes of these names that this release of Keras has."""
    return tuple(getattr(keras.layers, name) for name in names if hasattr(keras.layers, name))


DEPTHWISE = _classes("DepthwiseConv1D", "DepthwiseConv2D")
SEPARABLE = _classes("SeparableConv1D", "SeparableConv2D")
TRANSPOSED = _classes("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
CONVOLUTION = _classes("Conv1D", "Conv2D", "Conv3D")
WEIGHT = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    *CONVOLUTION,
    *TRANSPOSED,
    *DEPTHWISE,
    *SEPARABLE,
)
RECURRENT = _classes("RNN")
SPECTRAL = _classes("SpectralNormalization")
BIDIRECTIONAL = _classes("Bidirectional")
TIME_DISTRIBUTED = _classes("TimeDistributed")
OPAQUE = (*RECURRENT, *TIME_DISTRIBUTED, *_classes("Pipeline"))
"""Layers that run their inner layers in a traced loop: one site, with nothing inside observed.
Where a `TimeDistributed` can be taken apart, it is none: see `probe.tap.time_steps`."""
NORMALIZATION = _classes(
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
    "UnitNormalization",
    "Normalization",
)
ACTIVATION = _classes("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
MERGE = _classes(
    "Add",
    "Average",
    "Multiply",
    "Concatenate",
    "Subtract",
    "Maximum",
    "Minimum",
    "Dot",
    "Attention",
    "AdditiveAttention",
)
EMBEDDING = _classes("Embedding")
_PASS_NAME = re.compile(
    r"Dropout|Noise|Flatten|Reshape|Permute|Padding|Cropping|Pooling|UpSampling|Identity|Masking"
    r"|RepeatVector|ActivityRegularization|Rescaling|Resizing|Cast|Transpose|Squeeze|ExpandDims"
)
_MERGE_OPERATIONS = frozenset(
    (
        "add",
        "subtract",
        "multiply",
        "divide",
        "concatenate",
        "maximum",
        "minimum",
        "matmul",
        "einsum",
        "stack",
    )
)
_ACTIVATION_OPERATIONS = frozenset(
    name for name in dir(keras.activations) if not name.startswith("_")
)


def kind_of(operation: Any) -> SiteKind:
    """The kind of a layer or graph operation, as in `SiteStats.kind`."""
    table: tuple[tuple[SiteKind, tuple[type, ...]], ...] = (
        ("weight", WEIGHT),
        ("recurrent", RECURRENT),
        ("normalization", NORMALIZATION),
        ("activation", ACTIVATION),
        ("merge", MERGE),
        ("embedding", EMBEDDING),
    )
    for kind, classes in table:
        if isinstance(operation, classes):
            return kind
    if _PASS_NAME.search(type(operation).__name__):
        return "pass"
    return (
        "other"
        if isinstance(operation, keras.layers.Layer)
        else _kind_of_graph_operation(operation)
    )


def _kind_of_graph_operation(operation: Any) -> SiteKind:
    name = snake_case(type(operation).__name__)
    if name in _ACTIVATION_OPERATIONS:
        return "activation"
    return "merge" if name in _MERGE_OPERATIONS else "other"


def snake_case(name: str) -> str:
    """`LeakyRelu` as `leaky_relu`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def uses_moving_statistics(layer: Any, *, is_training: bool) -> bool:
    """Whether a call of a layer is one of a batch normalization in inference mode.

    One that is frozen never leaves it.
    """
    is_batch = isinstance(layer, keras.layers.BatchNormalization)
    return is_batch and not (is_training and layer.trainable)


def assigned_kernels(layers: Iterable[Any]) -> list[Any]:
    """The kernels that Keras' `SpectralNormalization` assigns whenever it is called."""
    wrappers = [layer for layer in layers if isinstance(layer, SPECTRAL) and layer.built]
    return [wrapper.kernel for wrapper in wrappers]


def fused_activation(layer: Any) -> Any | None:
    """The callable that a weight layer applies to its pre-activation; `None` for the identity."""
    function = getattr(layer, "activation", None)
    if function is None or function is keras.activations.linear or not callable(function):
        return None
    return function


def kernel_fans(layer: Any) -> dict[str, Fans]:
    """True fans of each kernel of a known weight layer, by attribute, in order of application.

    Keras' own `compute_fans` knows neither strides nor groups nor gates, and before 3.15 no
    equation; see `keras_initcheck.theory.fans`.
    """
    if isinstance(layer, keras.layers.Dense):
        return {"kernel": fans.dense(tuple(layer.kernel.shape))}
    if isinstance(layer, keras.layers.EinsumDense):
        return {"kernel": fans.einsum_dense(layer.equation, tuple(layer.kernel.shape))}
    if isinstance(layer, SEPARABLE):
        depthwise = fans.depthwise_conv(tuple(layer.depthwise_kernel.shape), tuple(layer.strides))
        ones = (1,) * len(layer.strides)
        return {
            "depthwise_kernel": depthwise,
            "pointwise_kernel": fans.conv(tuple(layer.pointwise_kernel.shape), ones, 1),
        }
    if isinstance(layer, DEPTHWISE):
        return {"kernel": fans.depthwise_conv(tuple(layer.kernel.shape), tuple(layer.strides))}
    if isinstance(layer, TRANSPOSED):
        return {"kernel": fans.conv_transpose(tuple(layer.kernel.shape), tuple(layer.strides))}
    if isinstance(layer, CONVOLUTION):
        return {"kernel": fans.conv(tuple(layer.kernel.shape), tuple(layer.strides), layer.groups)}
    return {}


_GATES = {keras.layers.SimpleRNN: 1, keras.layers.GRU: 3, keras.layers.LSTM: 4}
_GATES_OF_CELLS = {f"{layer.__name__}Cell": gates for layer, gates in _GATES.items()}


def num_gates(layer: Any) -> int | None:
    """Number of gates, whose kernels stand side by side, of a SimpleRNN, GRU or LSTM."""
    return next((gates for kind, gates in _GATES.items() if isinstance(layer, kind)), None)


def state_activation(layer: Any) -> Any | None:
    """The activation of the candidate state of SimpleRNN, GRU and LSTM, or of their cells.

    That of the last cell where several are stacked; `None` for a user's own cell.
    """
    cell = getattr(layer, "cell", None)
    cell = (getattr(cell, "cells", None) or [cell])[-1]
    is_known = type(cell).__name__ in _GATES_OF_CELLS
    return getattr(cell if is_known else layer, "activation", None)


def cell_fans(cell: Any) -> dict[str, Fans]:
    """True fans of the kernels of one gate of a SimpleRNN's, GRU's or LSTM's cell, else empty."""
    gates = _GATES_OF_CELLS.get(type(cell).__name__)
    if gates is None or not hasattr(cell, "recurrent_kernel"):
        return {}
    kernel, recurrent = fans.recurrent(
        tuple(cell.kernel.shape), tuple(cell.recurrent_kernel.shape), gates
    )
    return {"kernel": kernel, "recurrent_kernel": recurrent}
