"""Puts something in place of a layer's `call` or activation for a while, and takes it away again, also after an exception."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Call = Callable[..., Any]


@contextlib.contextmanager
def wrapped_calls(operations: Iterable[Any], wrapper: Callable[[Any, Call], Call]) -> Iterator[None]:
    """`call` of each layer or graph operation is `wrapper(operation, call)` for the time of the context."""
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
