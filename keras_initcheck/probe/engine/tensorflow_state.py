"""TensorFlow's state that Keras does not know: random generators and variables of the user's."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_initcheck.probe.engine.protocol import Restore
from keras_initcheck.probe.keras_types import Model

try:
    # Private: the only ways to the generators behind `tf.random` that do not make one.
    from tensorflow.python.eager.context import context as eager_context
    from tensorflow.python.ops import stateful_random_ops
except ImportError:
    eager_context, stateful_random_ops = lambda: None, None

MODULES: tuple[type, ...] = (tf.Module, tf.random.Generator)
TENSORS: tuple[type, ...] = (tf.Variable,)


def capture_randomness() -> Restore:
    """The random states that layers of the user's may draw from: Keras' own have none.

    Where `tf.random.normal` and the like run eagerly, their seeds come from a generator of
    TensorFlow's eager context. `tf.random.get_global_generator()` is one that anybody can use.
    """
    seeds = getattr(eager_context(), "_rng", None)
    shared = getattr(stateful_random_ops, "global_generator", None)
    state = seeds.getstate() if seeds is not None else None
    restore_shared = capture_tensor(shared.state) if shared is not None else None

    def restore() -> None:
        if seeds is not None:
            seeds.setstate(state)
        if restore_shared is not None:
            restore_shared()
        if getattr(stateful_random_ops, "global_generator", None) is not shared:
            tf.random.set_global_generator(shared)

    return restore


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """A context in which eager draws get the seeds of a stream of their own.

    TensorFlow caches a kernel by its seeds, and a cached kernel goes on where it was left.
    """
    restore, seeds = capture_randomness(), getattr(eager_context(), "_rng", None)
    if seeds is not None:
        seeds.setstate(random.Random("keras_initcheck").getstate())
    try:
        yield
    finally:
        restore()


def capture_tensor(variable: Any) -> Restore:
    """The value of a variable that Keras does not know, and of each part on several devices."""
    parts = [
        part
        for part in getattr(variable, "values", [variable])
        if hasattr(part.handle, "numpy") and part.is_initialized()
    ]
    values = [(part, tf.identity(part)) for part in parts]

    def restore() -> None:
        for part, value in values:
            part.assign(value)

    return restore


def is_closed(traced: Any, model: Model) -> bool:
    """Whether a traced function runs no Python and holds no variable but those of a model.

    Args:
        traced: A `tf.types.experimental.ConcreteFunction`.
        model: The model, whose own variables the function only reads.
    """
    definition = traced.graph.as_graph_def()
    nodes = [definition.node, *(each.node_def for each in definition.library.function)]
    calls_python = any("PyFunc" in node.op for part in nodes for node in part)
    known = {id(part) for each in model.variables for part in _parts(each.value)}
    return not calls_python and all(id(each) in known for each in traced.graph.variables)


def _parts(variable: Any) -> list[Any]:
    """A variable, and each of its parts on several devices."""
    return [variable, *getattr(variable, "values", ())]
