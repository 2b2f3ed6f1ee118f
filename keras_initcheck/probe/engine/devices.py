"""Batches and scopes of a model on several devices, on every engine."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_initcheck.probe import engine


def whole(data: Any) -> Any:
    """A batch of which each replica may hold a part, whole, in the replicas' order.

    Args:
        data: A nest of tensors, or any other value, which stays as it is.
    """
    return keras.tree.map_structure(engine.load().gather, data)


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """A context outside of the scope of a strategy that runs models on replicas.

    There the whole batch is on one device. Inside of `strategy.scope()` a variable has no value,
    and Keras divides losses by the number of replicas.
    """
    with engine.load().without_strategy():
        yield
