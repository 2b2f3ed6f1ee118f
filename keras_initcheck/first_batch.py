"""Takes the first batch of a running `fit` without losing or reordering one. Glue for the callback."""

import itertools
from collections.abc import Callable
from typing import Any

import keras

from keras_initcheck.probe import engine
from keras_initcheck.probe.batch import Batch
from keras_initcheck.probe.devices import whole


def intercept_first_batch(model: Any, use: Callable[[Batch], None], give_up: Callable[[Exception], None]) -> Callable[[], None]:
    """Arranges that `use` gets the first batch of the fit that is about to start, before its first step.

    `model.train_function` is replaced for its first call by a function that takes as many batches off the iterator as one call
    consumes, hands exactly these on to the original function, and has put the original back before it does.

    Args:
        model: A model inside `fit`, at `on_train_begin`.
        use: Called once, with the variables' values on the model, which it may change. It must not raise unless the fit shall end.
        give_up: Called with the reason where the iterator cannot be replayed; nothing has been taken off it then.

    Returns:
        A function that puts the original back if no step was taken.
    """
    original = model.train_function

    def train_function(*arguments: Any) -> Any:
        model.train_function = original
        *state, iterator = arguments
        batches: list[Any] = []
        try:
            replayed = iterator if isinstance(iterator, list) else engine.load().replay(batches, iterator, model)
            if state:
                _attach(model, state[0])
        except Exception as error:  # whatever a framework raises for an iterator of a kind that it cannot make again
            give_up(error)
            return original(*arguments)
        batches += iterator if isinstance(iterator, list) else itertools.islice(iterator, int(model.steps_per_execution))
        if batches:
            use(Batch(*keras.utils.unpack_x_y_sample_weight(whole(batches[0]))))
        return original(*([_values(model)] if state else []), replayed)

    def restore() -> None:
        if model.train_function is train_function:
            model.train_function = original

    model.train_function = train_function
    return restore


def _attach(model: Any, state: Any) -> None:
    """On JAX, `fit` keeps the variables' values in the state that it passes along; the probe reads them from the model."""
    for variables, values in zip(_owners(model), state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _values(model: Any) -> tuple[list[Any], ...]:
    """The state that JAX's `fit` goes on with: the values that the variables have now."""
    return tuple([variable.value for variable in variables] for variables in _owners(model))


def _owners(model: Any) -> tuple[list[Any], ...]:
    optimizer_variables = model.optimizer.variables if model.optimizer is not None else []
    return (model.trainable_variables, model.non_trainable_variables, optimizer_variables, model.metrics_variables)
