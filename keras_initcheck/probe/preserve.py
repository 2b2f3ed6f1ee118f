"""Keeps a model as it was: what a forward pass leaves on Python objects. Variables are kept by `keras.StatelessScope`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from keras_initcheck.probe import internals
from keras_initcheck.probe.batch import untouched_global_randomness
from keras_initcheck.probe.guards import ONE_AT_A_TIME, uninterrupted

_MISSING = object()


@contextlib.contextmanager
def preserved(model: Any) -> Iterator[None]:
    """Puts every attribute of every layer, of the optimizer, the loss and the metrics back on leaving, and the global random states.

    Losses that layers keep, tensors that a custom layer stores in `call` and flags such as "was called" or "was built" are attributes.
    Containers are compared by their contents, so that a list that grew in place shrinks again. Nothing else runs or changes a model
    meanwhile, and a Ctrl-C while things are put back is heard afterwards.
    """
    with ONE_AT_A_TIME:
        kept = contextlib.ExitStack()
        try:
            kept.enter_context(untouched_global_randomness())
            kept.callback(_kept(model))
            yield
        finally:
            with uninterrupted():
                kept.close()


def _kept(model: Any) -> Callable[[], None]:
    """What puts the attributes back that the model's objects have now."""
    objects = [*internals.flatten_layers(model), *internals.operations_without_layers(model), *internals.compiled_parts(model)]
    before = [(item, dict(item.__dict__), _contents(item)) for item in objects]

    def restore() -> None:
        for item, attributes, contents in before:
            _restore(item, attributes, contents)

    return restore


def _contents(item: Any) -> dict[str, Any]:
    """Copies of the containers among the attributes, as plain ones: Keras' own kinds of list, set and dict track what is added."""
    kinds = ((list, list), (set, set), (dict, dict))
    return {name: plain(value) for name, value in item.__dict__.items() for kind, plain in kinds if isinstance(value, kind)}


def _restore(item: Any, attributes: dict[str, Any], contents: dict[str, Any]) -> None:
    for name in [name for name in item.__dict__ if name not in attributes]:
        del item.__dict__[name]
    for name, value in attributes.items():
        if item.__dict__.get(name, _MISSING) is not value:
            item.__dict__[name] = value
    for name, content in contents.items():
        _restore_container(item.__dict__[name], content)


def _restore_container(container: Any, content: Any) -> None:
    """Past the methods of Keras' own containers, which refuse changes of a built layer."""
    if isinstance(container, list):
        if len(container) != len(content) or any(a is not b for a, b in zip(container, content, strict=True)):
            list.__setitem__(container, slice(None), content)
    elif isinstance(container, set):
        set.intersection_update(container, content)
        set.update(container, content)
    elif container.keys() != content.keys() or any(container[key] is not content[key] for key in content):
        dict.clear(container)
        dict.update(container, content)
