"""Slots of an optimizer for variables that have new values: their momenta and averages are void."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_initcheck.probe.keras_model import optimizers
from keras_initcheck.probe.keras_model.optimizers import innermost_optimizers
from keras_initcheck.probe.keras_model.private_api import slot_lists, trained_variables

_BEGIN_AT_WEIGHTS = {("model_variables_moving_average", None), ("momentums", "ScheduleFreeAdamW")}
"""Kinds of slots, with the family of optimizers if it is of one alone, that are averages of the
weights, and begin with these.
"""


def slots(optimizer: Any, variables: Iterable[Any]) -> Iterator[tuple[Any, Any, str]]:
    """`(slot, variable, kind)` of each slot variable that an optimizer keeps for some variables.

    Args:
        optimizer: A Keras optimizer, one that wraps others, or `None`. One that is not built has no
            slots.
        variables: Model variables.

    Returns:
        The kind is the name of the optimizer's list of such slots, such as `"momentums"`.
    """
    wanted = {id(variable) for variable in variables}
    for innermost in innermost_optimizers(optimizer):
        for slot, variable, kind in _slots(innermost):
            if id(variable) in wanted:
                yield slot, variable, kind


def reset(optimizer: Any, variables: Iterable[Any]) -> None:
    """Sets the slots of the variables to where they began; the step counter stays."""
    wanted = list(variables)
    for innermost in innermost_optimizers(optimizer):
        initial_accumulator = getattr(
            innermost, "initial_accumulator_value", 0.0
        )  # of Adagrad and Ftrl
        family = optimizers.family(innermost)
        for slot, variable, kind in slots(innermost, wanted):
            if {(kind, None), (kind, family)} & _BEGIN_AT_WEIGHTS:
                slot.assign(variable.value)
            else:
                slot.assign(
                    keras.ops.full(
                        slot.shape,
                        initial_accumulator if kind == "accumulators" else 0.0,
                        slot.dtype,
                    )
                )


def _slots(optimizer: Any) -> Iterator[tuple[Any, Any, str]]:
    """The slots of an optimizer that wraps none.

    Some are of another shape than their variable: Adafactor keeps rows and columns.
    """
    trained = trained_variables(optimizer)
    for kind, found in slot_lists(optimizer):
        yield from (
            (slot, variable, kind)
            for slot, variable in zip(found, trained, strict=True)
            if hasattr(slot, "assign")
        )
