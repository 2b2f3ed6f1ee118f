"""Puts something in place of a layer's `call` or activation for a while, and takes it away again,
also after an exception.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from keras_initcheck.probe.keras_model import introspection

Call = Callable[..., Any]


@contextlib.contextmanager
def wrapped_calls(
    operations: Iterable[Any], wrapper: Callable[[Any, Call], Call]
) -> Iterator[None]:
    """`call` of each layer or graph operation is `wrapper(operation, call)` for the time of the
    context.
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
def without_rematerialization(operations: Iterable[Any]) -> Iterator[None]:
    """Keras' checkpoints are left out for the time of the context, which changes no value and takes
    more memory.

    TensorFlow's and JAX's checkpoints let no gradient out of them but those of their arguments and
    of variables, and some cannot be traced with keyword arguments.
    """
    changed = introspection.rematerialized(operations)
    try:
        for operation in changed:
            operation.__dict__["rematerialized_call"] = _as_it_is
        yield
    finally:
        for operation in changed:
            operation.__dict__.pop("rematerialized_call", None)


@contextlib.contextmanager
def on_the_way_back(model: Any) -> Iterator[None]:
    """For a backward pass: layers that a checkpoint runs again find the state that the first run
    found, and leave none behind.

    On a GPU, torch runs them in a thread of its own, which knows nothing of a scope of this one.
    """
    home = threading.get_ident()

    def wrapper(operation: Any, original: Call) -> Call:
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == home:
                return original(*args, **kwargs)
            with keras.StatelessScope():
                return original(*args, **kwargs)

        return call

    with keras.StatelessScope(), wrapped_calls(introspection.flatten_layers(model)[1:], wrapper):
        yield


def _as_it_is(call: Call, *args: Any, **kwargs: Any) -> Call:
    return call


@contextlib.contextmanager
def replaced_activation(layer: Any, function: Callable[..., Any]) -> Iterator[None]:
    """The layer's activation is `function` for the time of the context."""
    had = layer.__dict__.get("activation")
    layer.__dict__["activation"] = function
    try:
        yield
    finally:
        if had is None:
            del layer.__dict__["activation"]
        else:
            layer.__dict__["activation"] = had
