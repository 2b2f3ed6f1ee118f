"""Replacements of a layer's `call` or activation that last as long as a context.

They are taken away again also after an exception.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from keras_initcheck.probe.keras_model.private_api import flatten_layers

Call = Callable[..., Any]


@contextlib.contextmanager
def wrapped_calls(
    operations: Iterable[Any], wrapper: Callable[[Any, Call], Call]
) -> Iterator[None]:
    """A context in which the `call` of each operation is `wrapper(operation, call)`.

    The replacement is an attribute of the instance, which Python finds before the class's method.
    It goes into `__dict__` directly, because Keras' `__setattr__` would track it.
    """
    wrapped = []
    try:
        for operation in operations:
            if "call" not in operation.__dict__:
                operation.__dict__["call"] = wrapper(operation, operation.call)
                wrapped.append(operation)
        yield
    finally:
        for operation in wrapped:
            del operation.__dict__["call"]


@contextlib.contextmanager
def on_the_way_back(model: Any) -> Iterator[None]:
    """A context for a backward pass, in which a checkpoint may run layers again.

    They find the state that the first run found, and leave none behind. On a GPU, torch runs them
    in a thread of its own, which knows nothing of a scope of this one.
    """
    home = threading.get_ident()

    def wrapper(operation: Any, original: Call) -> Call:
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == home:
                return original(*args, **kwargs)
            with keras.StatelessScope():
                return original(*args, **kwargs)

        return call

    with keras.StatelessScope(), wrapped_calls(flatten_layers(model)[1:], wrapper):
        yield


@contextlib.contextmanager
def replaced_activation(layer: Any, function: Callable[..., Any]) -> Iterator[None]:
    """A context in which the layer's activation is `function`."""
    had = layer.__dict__.get("activation")
    layer.__dict__["activation"] = function
    try:
        yield
    finally:
        if had is None:
            del layer.__dict__["activation"]
        else:
            layer.__dict__["activation"] = had
