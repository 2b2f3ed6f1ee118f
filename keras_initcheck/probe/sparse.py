"""Which values hold their elements in another way than a dense array does. What is made of them is each engine's business."""

from typing import Any


def is_scipy_sparse(value: Any) -> bool:
    """Whether `value` is a matrix or an array of `scipy.sparse`."""
    return hasattr(value, "tocoo") and hasattr(value, "nnz")


def is_sparse(value: Any) -> bool:
    """Whether `value` is sparse: of `scipy.sparse`, `tf.SparseTensor`, `tf.IndexedSlices`, JAX's BCOO, or a sparse layout of torch."""
    indices = getattr(value, "indices", None)  # a method of every torch tensor, the indices of a sparse one elsewhere
    is_indexed = indices is not None and not callable(indices)
    return is_scipy_sparse(value) or is_indexed or "sparse" in str(getattr(value, "layout", ""))


def is_ragged(value: Any) -> bool:
    """Whether `value` is a `tf.RaggedTensor`."""
    return hasattr(value, "nested_row_splits")
