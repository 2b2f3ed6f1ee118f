"""An optimizer's memory of variables that have got other values: momenta and moving averages that no longer mean anything."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras


def slots(optimizer: Any, variables: Iterable[Any]) -> Iterator[tuple[Any, Any, float]]:
    """`(slot, variable, initial value)` of each slot variable that an optimizer keeps for one of the variables.

    Args:
        optimizer: A Keras optimizer, one that wraps another, or `None`. One that is not built has no slots.
        variables: Model variables.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None or not getattr(optimizer, "built", False):
        return
    trained = list(optimizer._trainable_variables)
    wanted = {id(variable) for variable in variables}
    for name, value in vars(optimizer).items():
        if name == "_trainable_variables" or not isinstance(value, list) or len(value) != len(trained):
            continue
        initial = float(getattr(optimizer, "initial_accumulator_value", 0.0)) if name == "_accumulators" else 0.0
        for slot, variable in zip(value, trained, strict=True):
            if id(variable) in wanted and hasattr(slot, "assign") and tuple(slot.shape) == tuple(variable.shape):
                yield slot, variable, initial


def reset(optimizer: Any, variables: Iterable[Any]) -> None:
    """Sets the slots of the variables to where they began; the step counter stays. A moving average of weights begins at the weights."""
    for slot, variable, initial in slots(optimizer, variables):
        is_average = any(slot is each for each in getattr(optimizer, "_model_variables_moving_average", ()))
        slot.assign(variable.value if is_average else keras.ops.full(slot.shape, initial, slot.dtype))
