"""An optimizer's update on JAX, as a pure function of the variables' values."""

from collections.abc import Sequence
from typing import Any

import jax
import keras

from keras_initcheck.probe.keras_types import KerasVariable, Tensor


def updated_values(
    optimizer: Any, variables: Sequence[KerasVariable], gradients: Sequence[Tensor]
) -> list[Tensor]:
    """See `Engine.updated_values`.

    It is compiled as a whole, because each operation that runs by itself is compiled for each
    shape. An optimizer that keeps nothing for each variable takes two or three of them, which is
    quicker.
    """
    state = [*variables, *optimizer.variables]

    def update(values: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        with keras.StatelessScope(list(zip(state, values, strict=True))) as scope:
            optimizer.apply(gradients, list(variables))
        return [scope.get_current_value(variable) for variable in variables]

    keeps_slots = len(optimizer.variables) >= len(variables)
    run = jax.jit(update) if keeps_slots else update
    return list(run([variable.value for variable in state], list(gradients)))
