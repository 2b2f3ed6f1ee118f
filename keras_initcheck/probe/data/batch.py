"""One batch from whatever `fit` takes: arrays, nests of arrays, datasets, generators, loaders."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.arguments import as_batch_size
from keras_initcheck.probe.engine.devices import whole
from keras_initcheck.probe.engine.randomness import untouched_global_randomness
from keras_initcheck.probe.engine.tensor_kinds import is_sparse
from keras_initcheck.records.errors import DataError

BATCH_SIZE = 32
"""Samples of a batch that is cut from arrays, as `fit` does."""


@dataclass(frozen=True)
class Batch:
    """One batch of backend tensors, in the structure in which the model takes them.

    Attributes:
        x: Inputs.
        y: Labels, or `None`.
        sample_weight: Weights of the samples, or `None`.
        source: Where the batch came from, in words.
        is_synthetic: Whether it was made up for a model that came without data.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    source: str = field(default="", kw_only=True)
    is_synthetic: bool = field(default=False, kw_only=True)

    @property
    def parts(self) -> tuple[Any, Any, Any]:
        """Inputs, labels and sample weights."""
        return self.x, self.y, self.sample_weight


def take_batch(
    x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None
) -> Batch:
    """The first batch of the data.

    Args:
        x: An array or tensor, a dict, list or tuple of them, or anything that yields batches:
            `tf.data.Dataset`, `PyDataset`, torch `DataLoader`, a generator or another iterable of
            `x`, `(x, y)` or `(x, y, sample_weight)`.
        y: Labels, where `x` holds arrays.
        sample_weight: Weights, where `x` holds arrays.
        batch_size: Samples to take from arrays, 32 unless told. What yields batches has its own.

    Returns:
        The batch, as tensors of the backend; floating-point arrays in Keras' `floatx`.

    Raises:
        DataError: The data is empty, of unequal lengths, of a dtype that no tensor has, or is not
            understood.

    Side effects: one item is drawn from a generator or an iterator. Python's, NumPy's and torch's
    global random state stay as they were.
    """
    batch_size = as_batch_size(batch_size)
    x, y, sample_weight = whole((x, y, sample_weight))
    if yields_batches(x):
        refuse_labels(x, y)
        with untouched_global_randomness():
            parts = whole(_first_item(x))
    else:
        size = batch_size or BATCH_SIZE
        parts = tuple(_head(part, size) for part in (x, y, sample_weight))
    return as_batch(parts, f"first batch of {type(x).__name__}")


def as_batch(parts: Iterable[Any], source: str) -> Batch:
    """The batch of inputs, labels and sample weights, the last of which may be missing.

    Raises:
        DataError: It is empty, of unequal lengths, or of a dtype that no tensor has.
    """
    tensors = (
        None if part is None else keras.tree.map_structure(to_tensor, part) for part in parts
    )
    batch = Batch(*tensors, source=source)
    _check_lengths(batch)
    return batch


def refuse_labels(x: Any, y: Any) -> None:
    """Refuses labels beside what yields batches.

    Raises:
        DataError: There are labels.
    """
    if y is not None:
        raise DataError(
            "`y` must not be given where `x` yields batches: the labels come from it."
            f" Received: x of type {type(x).__name__}."
        )


def num_samples(batch: Batch) -> int:
    """Length of the batch axis."""
    first = next((tensor for tensor in keras.tree.flatten(batch.x) if len(tensor.shape)), None)
    return int(first.shape[0]) if first is not None else 1


def yields_batches(x: Any) -> bool:
    """Whether batches are drawn from `x`, and it is none itself.

    Raises:
        DataError: It is neither.
    """
    if (
        isinstance(x, (dict, list, tuple, np.ndarray))
        or hasattr(x, "__array__")
        or keras.ops.is_tensor(x)
        or is_sparse(x)
    ):
        return False
    if isinstance(x, keras.utils.PyDataset) or (
        (hasattr(x, "__iter__") or hasattr(x, "__next__")) and not isinstance(x, str | bytes)
    ):
        return True
    raise DataError(
        "`x` must be an array, a dict, list or tuple of arrays, or something that yields batches"
        " (tf.data.Dataset, PyDataset, DataLoader, generator). Received: x of type"
        f" {type(x).__name__}."
    )


def _first_item(x: Any) -> tuple[Any, ...]:
    try:
        item = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x))
    except (StopIteration, IndexError) as error:
        raise without_batches(x) from error
    return as_parts(item)


def without_batches(x: Any) -> DataError:
    """The error of data that yields nothing."""
    return DataError(
        f"The data must hold at least one batch. Received: a {type(x).__name__} that yields"
        " nothing."
    )


def as_parts(item: Any) -> tuple[Any, ...]:
    """Inputs, labels and sample weights of what a data set yields, as many as there are.

    Raises:
        DataError: It is of another length.
    """
    if isinstance(item, (tuple, list)) and 1 <= len(item) <= 3:
        return tuple(item)
    if isinstance(item, (tuple, list)):
        raise DataError(
            "Each batch must be x, (x, y) or (x, y, sample_weight). Received: a"
            f" {type(item).__name__} of length {len(item)}."
        )
    return (item,)


def _head(part: Any, size: int) -> Any:
    if part is None:
        return None
    return keras.tree.map_structure(lambda array: _sliced(array, size), part)


def _sliced(array: Any, size: int) -> Any:
    if is_sparse(array):
        return engine.load().sparse_head(array, size)
    array = array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array)
    if not len(array.shape):
        raise DataError(
            f"Every array must have a batch axis. Received: a scalar, {array!r}. A list or tuple is"
            " taken for the arrays of several inputs or outputs: make one list of numbers an"
            " array, `numpy.asarray(numbers)`."
        )
    return array.iloc[:size] if hasattr(array, "iloc") else array[:size]


def to_tensor(value: Any) -> Any:
    """A tensor of the backend; floating-point numbers in Keras' `floatx`."""
    if keras.ops.is_tensor(value):
        dtype = keras.backend.standardize_dtype(value.dtype)
    else:
        value = np.asarray(value)
        if value.dtype.kind not in "fiubc":
            raise DataError(
                f"Arrays must hold numbers. Received: dtype {value.dtype}, first element"
                f" {value.reshape(-1)[:1]!r}. Encode strings and objects before they reach the"
                " model."
            )
        dtype = value.dtype.name
    try:
        is_float = keras.backend.is_float_dtype(dtype)
        return keras.ops.convert_to_tensor(
            value, dtype=keras.backend.floatx() if is_float else None
        )
    except (TypeError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"Arrays must have a dtype that {keras.backend.backend()} has. Received: {dtype}. "
            'Convert them, as with `x.astype("float32")` or `x.astype("int64")`.'
        ) from error


def _check_lengths(batch: Batch) -> None:
    lengths = {
        int(tensor.shape[0])
        for part in batch.parts
        if part is not None
        for tensor in keras.tree.flatten(part)
        if len(tensor.shape)
    }
    if 0 in lengths or not lengths:
        raise DataError("The batch must hold at least one sample. Received: an empty batch.")
    if len(lengths) > 1:
        shapes = [
            tuple(tensor.shape)
            for part in batch.parts
            if part is not None
            for tensor in keras.tree.flatten(part)
        ]
        raise DataError(
            f"All arrays of a batch must have the same length. Received: shapes {shapes}."
        )
