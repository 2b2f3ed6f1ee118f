"""An optimizer's update on TensorFlow, made on the variables themselves and taken back."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_initcheck.probe.engine.interrupts import uninterrupted
from keras_initcheck.probe.keras_types import KerasVariable, Tensor


def updated_values(
    optimizer: Any, variables: Sequence[KerasVariable], gradients: Sequence[Tensor]
) -> list[Tensor]:
    """See `Engine.updated_values`.

    Keras' optimizers write to the variables past every scope on TensorFlow, so that the values are
    copied, and put back whatever happens.
    """
    state = [*variables, *optimizer.variables]
    before = [tf.identity(variable.value) for variable in state]
    try:
        optimizer.apply(list(gradients), list(variables))
        return [tf.identity(variable.value) for variable in variables]
    finally:
        with uninterrupted():
            for variable, value in zip(state, before, strict=True):
                variable.assign(value)
