"""Indices that enter the embeddings: their extent, as small rows made on the device.

An index outside of the table stops a pass on torch and on TensorFlow's CPU, poisons torch's CUDA
context, and gives NaN on JAX. The layer therefore receives the nearest index that its table has,
and the row keeps what came in.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_initcheck.probe.engine.protocol import Row
from keras_initcheck.probe.engine.tensor_kinds import is_dense
from keras_initcheck.probe.keras_types import Tensor

COLUMNS = ("minimum", "maximum", "share_outside", "share_fractional")
"""Extent of the finite values; shares of values that the table has no row for, and of those that
are no whole numbers."""
NUM_COLUMNS = len(COLUMNS)


@dataclass(frozen=True)
class IndexRecord:
    """An embedding that takes indices, noted while the pass is traced.

    Attributes:
        site: Index of the embedding's site.
        layer: The embedding.
    """

    site: int
    layer: Any

    @property
    def num_rows(self) -> int:
        """Number of rows of its table."""
        return int(self.layer.input_dim)


def takes_indices(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a layer looks up its first argument in a table, as Keras' embeddings do.

    A subclass with a `call` of its own may take anything.
    """
    if not any(type(layer).call is known.call for known in _EMBEDDINGS):
        return False
    is_way_back = kwargs.get("reverse", args[1] if len(args) > 1 else False)
    if is_way_back or not args or not is_dense(args[0]):
        return False
    return "complex" not in keras.backend.standardize_dtype(args[0].dtype)


_EMBEDDINGS = tuple(
    getattr(keras.layers, name)
    for name in ("Embedding", "ReversibleEmbedding")
    if hasattr(keras.layers, name)
)


def row(ids: Tensor, num_rows: int) -> Row:
    """The statistics of indices for a table of `num_rows` rows, `(NUM_COLUMNS,)`."""
    numbers = ops.cast(ids, "float32")
    is_finite = ops.isfinite(numbers)
    numbers = ops.where(is_finite, numbers, ops.zeros_like(numbers))
    if keras.backend.is_int_dtype(ids.dtype):
        ids = _as_index(ids)
        is_inside = ops.logical_and(ids >= 0, ids < num_rows)  # float32 has no large integers
    else:
        is_inside = ops.logical_and(is_finite, ops.logical_and(numbers >= 0, numbers < num_rows))
    is_whole = ops.logical_and(is_finite, ops.equal(numbers, ops.floor(numbers)))
    shares = [1.0 - ops.mean(ops.cast(each, "float32")) for each in (is_inside, is_whole)]
    return ops.stack([ops.min(numbers), ops.max(numbers), *shares])


def inside(ids: Tensor, num_rows: int) -> Tensor:
    """The indices, each replaced by the nearest that the table has; negative ones count back."""
    return ops.clip(_as_index(ids), -num_rows, num_rows - 1)


def _as_index(ids: Tensor) -> Tensor:
    """The indices as Keras' Embedding reads them."""
    is_index = keras.backend.standardize_dtype(ids.dtype) in ("int32", "int64")
    return ids if is_index else ops.cast(ids, "int32")
