"""An optimizer's memory of variables that have got other values: momenta and moving averages that no longer mean anything."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras


def slots(optimizer: Any, variables: Iterable[Any]) -> Iterator[tuple[Any, Any, str]]:
    """`(slot, variable, kind)` of each slot variable that an optimizer keeps for one of the variables.

    Args:
        optimizer: A Keras optimizer, one that wraps another, or `None`. One that is not built has no slots.
        variables: Model variables.

    Returns:
        The kind is the name of the optimizer's list of such slots, such as `"momentums"`.
    """
    optimizer = _innermost(optimizer)
    if optimizer is None or not getattr(optimizer, "built", False):
        return
    trained = list(optimizer._trainable_variables)
    wanted = {id(variable) for variable in variables}
    for name, value in vars(optimizer).items():
        if name == "_trainable_variables" or not isinstance(value, list) or len(value) != len(trained):
            continue
        for slot, variable in zip(value, trained, strict=True):
            if id(variable) in wanted and hasattr(slot, "assign") and tuple(slot.shape) == tuple(variable.shape):
                yield slot, variable, name.lstrip("_")


def reset(optimizer: Any, variables: Iterable[Any]) -> None:
    """Sets the slots of the variables to where they began; the step counter stays. A moving average of weights begins at the weights."""
    initial_accumulator = getattr(_innermost(optimizer), "initial_accumulator_value", 0.0)  # of Adagrad and Ftrl
    for slot, variable, kind in slots(optimizer, variables):
        if kind == "model_variables_moving_average":
            slot.assign(variable.value)
        else:
            slot.assign(keras.ops.full(slot.shape, initial_accumulator if kind == "accumulators" else 0.0, slot.dtype))


def _innermost(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)
