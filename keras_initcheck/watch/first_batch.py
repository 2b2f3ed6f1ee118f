"""Takes the first batch of a running training without losing or reordering one.

Keras gives a callback no batch. Every trainer, however, calls `model.train_function` with its
iterator, so that a function in its place sees the batches before the first step does.
"""

import itertools
from collections.abc import Callable
from typing import Any

import keras

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.devices import whole
from keras_initcheck.watch.call_stack import running_fit


def intercept_first_batch(
    model: Any, use: Callable[[Batch], None], give_up: Callable[[Exception], None]
) -> Callable[[], None]:
    """Arranges that `use` gets the batch of the next step, before that step.

    `model.train_function` is replaced for one call. The replacement takes as many batches off the
    iterator as one call consumes, puts the original function back, and passes it exactly these.

    Args:
        model: A model inside `fit`, or before a `train_on_batch`, which may make the train function
            only then.
        use: Called once, while the model holds the variables' values, which it may change. An
            exception from it ends the training.
        give_up: Called with the reason if the iterator cannot be replayed; nothing has been taken
            off it then.

    Returns:
        A function that puts the original back if no step was taken.
    """
    original = model.train_function
    # A training can end before its step: another callback raises, or the user presses Ctrl-C. The
    # replacement is then still on the model when the next training begins, whose batch is none of
    # this callback's business. It tells the two apart and only puts the original back.
    training = _training(model)
    is_over = False

    def train_function(*arguments: Any) -> Any:
        nonlocal original, is_over
        is_stale = is_over or _training(model) != training
        is_over = True
        restore()
        if original is None:  # `train_on_batch` would have made it by now
            model.make_train_function(force=True)
            original = model.train_function
        return (
            original(*arguments) if is_stale else original(*_seen(model, arguments, use, give_up))
        )

    def restore() -> None:
        if model.train_function is train_function:
            model.train_function = original

    model.train_function = train_function
    return restore


def _training(model: Any) -> tuple[int | None, Any]:
    """A key that tells trainings of a model apart.

    The id of a frame may come again once the frame is gone, but each `fit` makes a new History.
    """
    return running_fit(model), getattr(model, "history", None)


def _seen(
    model: Any,
    arguments: tuple[Any, ...],
    use: Callable[[Batch], None],
    give_up: Callable[[Exception], None],
) -> tuple[Any, ...]:
    """The arguments of a train function, after `use` has seen the first batch in them.

    On torch, `fit` passes a list of one batch, which anybody may read. On TensorFlow and JAX it
    passes an iterator, which is replaced by one that yields the same batches again; on JAX the
    variables' values come before it.
    """
    *state, iterator = arguments
    batches: list[Any] = []
    try:
        replayed = (
            iterator
            if isinstance(iterator, list)
            else engine.load().replay(batches, iterator, model)
        )
        if state:
            _attach(model, state[0])
    except Exception as error:  # a framework's own, for an iterator that it cannot make again
        give_up(error)
        return arguments
    batches += (
        iterator
        if isinstance(iterator, list)
        else itertools.islice(iterator, int(model.steps_per_execution))
    )
    if batches:
        use(Batch(*keras.utils.unpack_x_y_sample_weight(whole(batches[0]))))
    return (*([_values(model)] if state else []), replayed)


def assign_state(model: Any, state: Any) -> None:
    """Assigns to a model the values that a loop of `stateless_call` holds.

    Args:
        model: A `keras.Model`.
        state: Values of the trainable variables, and of the non-trainable ones.

    Raises:
        ValueError: Their number or their shapes differ from the variables'; then nothing is
            assigned.
    """
    if (
        not isinstance(state, list | tuple)
        or len(state) != 2
        or not all(isinstance(part, list | tuple) for part in state)
    ):
        raise ValueError(
            "`state` must be (trainable, non_trainable), two lists of values. Received: one"
            f" of type {type(state).__name__}."
        )
    trainable, non_trainable = state
    pairs: list[tuple[Any, Any]] = []
    for name, variables, values in [
        ("trainable", model.trainable_variables, trainable),
        ("non-trainable", model.non_trainable_variables, non_trainable),
    ]:
        if len(variables) != len(values):
            raise ValueError(
                f"`state` must hold {len(variables)} {name} values, one for each variable."
                f" Received: {len(values)}."
            )
        pairs += zip(variables, values, strict=True)
    for variable, value in pairs:
        shape = tuple(keras.ops.shape(value))
        if tuple(variable.shape) != shape:
            raise ValueError(
                f"`state` must hold a value of shape {tuple(variable.shape)} for {variable.path!r}."
                f" Received: {shape}."
            )
    for variable, value in pairs:
        variable.assign(value)


def _attach(model: Any, state: Any) -> None:
    """Assigns the values in JAX's training state to the model, from which the probe reads them."""
    for variables, values in zip(_owners(model), state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _values(model: Any) -> tuple[list[Any], ...]:
    """The training state with which JAX's `fit` goes on: the variables' values now."""
    return tuple([variable.value for variable in variables] for variables in _owners(model))


def _owners(model: Any) -> tuple[list[Any], ...]:
    optimizer_variables = model.optimizer.variables if model.optimizer is not None else []
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        optimizer_variables,
        model.metrics_variables,
    )
