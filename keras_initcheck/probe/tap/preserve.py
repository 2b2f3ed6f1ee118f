"""Keeps a model as it was: what a forward pass leaves on Python objects. Variables are kept by
`keras.StatelessScope`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.batch import kept_global_randomness
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.graph import operations_without_layers
from keras_initcheck.probe.keras_model.private_api import (
    flatten_layers,
    torch_parameters,
)
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME, refuse_while_in_use, uninterrupted
from keras_initcheck.probe.tap.objects import Objects


@contextlib.contextmanager
def preserved(model: Any) -> Iterator[None]:
    """Puts everything but variables back on leaving: attributes, what they hold, and global states.

    Attributes are those of every layer, of the optimizer, the loss and the metrics; see `Objects`
    for what is kept behind them, and what is not. Global states are Keras' own, and the random
    states of Python, NumPy and the framework. Nothing else runs or changes a model meanwhile, and a
    Ctrl-C while things are put back is heard afterwards.

    Raises:
        ProbeError: Another thread is running the model.
    """
    with ONE_AT_A_TIME:
        refuse_while_in_use(model)
        kept = contextlib.ExitStack()
        try:
            kept.callback(kept_global_randomness())
            kept.callback(keep(model))
            kept.enter_context(engine.load().isolated_randomness())
            yield
        finally:
            with uninterrupted():
                kept.close()


@contextlib.contextmanager
def building(model: Any) -> Iterator[None]:
    """A context that builds a model; where it fails, or finds nothing to build, everything is put
    back as in `preserved`.

    A model may hold layers that it never calls: Keras then takes it for unbuilt, however often it
    is built.
    """
    with ONE_AT_A_TIME:
        refuse_while_in_use(model)
        kept, before = contextlib.ExitStack(), introspection.build_state(model)
        try:
            kept.callback(kept_global_randomness())
            kept.callback(keep(model))
            yield
            if introspection.build_state(model) != before:
                kept.pop_all()
        finally:
            with uninterrupted():
                kept.close()


def keep(model: Any) -> Callable[[], None]:
    """What puts the objects behind a model back as they are now. A second call of it finds nothing
    to do.
    """
    objects = Objects(engine.load(), left=torch_parameters(flatten_layers(model)))
    parts = [
        *flatten_layers(model),
        *operations_without_layers(model),
        *introspection.compiled_parts(model),
    ]
    objects.keep([*parts, *introspection.stateful_objects(model)])
    return objects.restore
