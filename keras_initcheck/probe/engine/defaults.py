"""Functions of engines without hidden state, strategies of replicas or iterators of their own."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras import ops

from keras_initcheck.probe.engine.protocol import HostRow, Restore, Row
from keras_initcheck.probe.keras_types import KerasVariable, Model, Nest, Tensor


def place_row(row: Callable[..., Row], on_host: HostRow) -> Callable[..., Row]:
    """`row` itself, where its few operations cost little."""
    return row


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Nothing to do where the framework differentiates only what it is asked to."""
    yield


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """Nothing to do where no scope changes what a model computes."""
    yield


@contextlib.contextmanager
def building_scope(model: Model) -> Iterator[None]:
    """Nothing to do where Keras alone decides on which devices variables lie."""
    yield


def join_rows(rows: list[Row], dtype: str) -> Row:
    """One vector, made where its tensor is."""
    return (
        ops.cast(rows[0], dtype)
        if len(rows) == 1
        else ops.concatenate([ops.cast(row, dtype) for row in rows])
    )


def replay(batches: list[Nest], iterator: Any, model: Model) -> Any:
    """A plain iterator, where no compiled function depends on the iterator's type."""
    return iter(batches)


def capture_randomness() -> Restore:
    """Nothing to capture where the framework has no global random state."""
    return lambda: None


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """Nothing to isolate where the framework has no global random state."""
    yield


def own_tensors(module: Any) -> list[Any]:
    """None, where a module holds its tensors as attributes."""
    return []


def num_bytes(tensor: Any) -> int:
    """Nothing counts where tensors are few, and are there to change."""
    return 0


def capture_tensor(tensor: Any) -> Restore:
    """Nothing to capture where tensors do not change."""
    return lambda: None


@contextlib.contextmanager
def holding(variables: Sequence[KerasVariable], values: Sequence[Tensor]) -> Iterator[None]:
    """Nothing to do where everything reads variables through Keras, and finds those of a scope."""
    yield
