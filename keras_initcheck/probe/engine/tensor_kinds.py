"""Tensors that hold their elements in another way than a dense array does.

Their conversion is each engine's business.
"""

import functools
from typing import Any

import keras


def is_scipy_sparse(value: Any) -> bool:
    """Whether `value` is a matrix or an array of `scipy.sparse`."""
    return hasattr(value, "tocoo") and hasattr(value, "nnz")


def is_sparse(value: Any) -> bool:
    """Whether `value` is sparse.

    Kinds are those of `scipy.sparse`, `tf.SparseTensor`, `tf.IndexedSlices`, JAX's BCOO, and the
    sparse layouts of torch.
    """
    # A method of every torch tensor, and the indices of a sparse one elsewhere.
    indices = getattr(value, "indices", None)
    is_indexed = indices is not None and not callable(indices)
    return is_scipy_sparse(value) or is_indexed or _is_sparse_layout(getattr(value, "layout", ""))


@functools.cache
def _is_sparse_layout(layout: Any) -> bool:
    return "sparse" in str(layout)


def is_ragged(value: Any) -> bool:
    """Whether `value` is a `tf.RaggedTensor`."""
    return hasattr(value, "nested_row_splits")


def is_observable(tensor: Any) -> bool:
    """Whether `tensor` is dense as in `is_dense`, and holds floating-point numbers."""
    return is_dense(tensor) and _is_float(tensor.dtype)


@functools.cache
def _is_float(dtype: Any) -> bool:
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype)))


def is_dense(tensor: Any) -> bool:
    """Whether `tensor` is a dense tensor of known shape with at least one element."""
    if not keras.ops.is_tensor(tensor) or is_sparse(tensor) or is_ragged(tensor):
        return False
    try:
        shape = tuple(tensor.shape)
    except ValueError:
        # A TensorFlow tensor of unknown rank.
        return False
    return all(size is not None and size > 0 for size in shape)
