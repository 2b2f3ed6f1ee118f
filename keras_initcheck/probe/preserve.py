"""Keeps a model as it was: what a forward pass leaves on Python objects. Variables are kept by `keras.StatelessScope`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_initcheck.probe import internals
from keras_initcheck.probe.batch import untouched_global_randomness

_MISSING = object()


@contextlib.contextmanager
def preserved(model: Any) -> Iterator[None]:
    """Puts every attribute of every layer back on leaving, and the global random states.

    Losses that layers keep, tensors that a custom layer stores in `call` and flags such as "was called" are attributes. Lists and sets
    are compared by their contents, so that a list that grew in place shrinks again.
    """
    objects = [*internals.flatten_layers(model), *internals.operations_without_layers(model)]
    before = [(item, dict(item.__dict__), _contents(item)) for item in objects]
    with untouched_global_randomness():
        try:
            yield
        finally:
            for item, attributes, contents in before:
                _restore(item, attributes, contents)


def _contents(item: Any) -> dict[str, Any]:
    return {name: type(value)(value) for name, value in item.__dict__.items() if type(value) in (list, set, dict)}


def _restore(item: Any, attributes: dict[str, Any], contents: dict[str, Any]) -> None:
    for name in [name for name in item.__dict__ if name not in attributes]:
        del item.__dict__[name]
    for name, value in attributes.items():
        if item.__dict__.get(name, _MISSING) is not value:
            item.__dict__[name] = value
    for name, content in contents.items():
        _restore_container(item.__dict__[name], content)


def _restore_container(container: Any, content: Any) -> None:
    if isinstance(container, list):
        if len(container) != len(content) or any(a is not b for a, b in zip(container, content, strict=True)):
            container[:] = content
    elif isinstance(container, set):
        container.intersection_update(content)
        container.update(content)
    elif container.keys() != content.keys() or any(container[key] is not content[key] for key in content):
        container.clear()
        container.update(content)
