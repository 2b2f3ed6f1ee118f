"""Keeps a model as it was, whatever a forward pass does to Python objects.

Variables are kept by `keras.StatelessScope`, or by `Everything` where a step is really made.
"""

import contextlib
from collections.abc import Callable, Iterator

from keras_initcheck.probe import engine
from keras_initcheck.probe.engine.interrupts import uninterrupted
from keras_initcheck.probe.engine.protocol import Restore
from keras_initcheck.probe.engine.randomness import capture_global_randomness
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.graph import operations_without_layers
from keras_initcheck.probe.keras_model.private_api import (
    bookkeeping,
    flatten_layers,
    torch_parameters,
)
from keras_initcheck.probe.keras_types import Model
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME, refuse_while_in_use
from keras_initcheck.probe.tap.objects import Objects


@contextlib.contextmanager
def preserved(
    model: Model, is_deferred: bool = False, kind: type[Objects] = Objects
) -> Iterator[Callable[[], None]]:
    """A context that puts back attributes and global states, and with `Everything` variables too.

    Attributes are those of every layer, of the optimizer, the loss and the metrics; `Objects` lists
    what is kept behind them. Global states are Keras' own, and the random states of Python, NumPy
    and the framework. Nothing else runs or changes a model meanwhile, and a Ctrl-C that comes while
    things are put back takes effect afterwards.

    Args:
        model: The model.
        is_deferred: Whether nothing is captured before the function that the context gives is
            called. That takes milliseconds, and a compiled program runs none of the model's Python.
        kind: What of the objects behind the model is kept.

    Yields:
        A function that captures everything; a second call finds nothing to do.

    Raises:
        ProbeError: Another thread is running the model.
    """
    with ONE_AT_A_TIME:
        refuse_while_in_use(model)
        kept, is_kept = contextlib.ExitStack(), False

        def keep() -> None:
            nonlocal is_kept
            if not is_kept:
                is_kept = True
                kept.callback(capture_global_randomness())
                kept.callback(capture_objects(model, kind))
                kept.enter_context(engine.load().isolated_randomness())

        try:
            if not is_deferred:
                keep()
            yield keep
        finally:
            with uninterrupted():
                kept.close()


@contextlib.contextmanager
def building(model: Model) -> Iterator[None]:
    """A context that builds a model, and puts everything back where that fails or changes nothing.

    A model may hold layers that it never calls: Keras then takes it for unbuilt, however often it
    is built.
    """
    with ONE_AT_A_TIME:
        refuse_while_in_use(model)
        kept, before = contextlib.ExitStack(), introspection.build_state(model)
        try:
            kept.callback(capture_global_randomness())
            kept.callback(capture_objects(model))
            yield
            if introspection.build_state(model) != before:
                kept.pop_all()
        finally:
            with uninterrupted():
                kept.close()


def capture_objects(model: Model, kind: type[Objects] = Objects) -> Restore:
    """Captures the objects behind a model, and returns a function that puts them back."""
    layers, compiled = flatten_layers(model), introspection.compiled_parts(model)
    objects = kind(engine.load(), left=torch_parameters(layers))
    parts = [*layers, *operations_without_layers(model), *compiled]
    objects.keep([*parts, *bookkeeping([*layers, *compiled])])
    return objects.restore
