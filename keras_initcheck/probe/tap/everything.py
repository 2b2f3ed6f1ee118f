"""The objects behind a model with the values of all variables, for code that really trains it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_initcheck.probe.engine.protocol import Engine, Restore
from keras_initcheck.probe.keras_model.private_api import VARIABLES
from keras_initcheck.probe.tap.objects import Objects

OWNERS = (
    keras.optimizers.Optimizer,
    keras.metrics.Metric,
    keras.losses.Loss,
    keras.random.SeedGenerator,
    keras.initializers.Initializer,
)
"""Keras' own objects, beside layers, that own variables or draw random numbers."""


class Everything(Objects):
    """Keeps variables too, wherever they are found, and what owns them.

    `Objects` leaves them to `keras.StatelessScope`, outside of which a train step changes them.

    Cost: the memory of all variables once more, on their devices.
    """

    def _keeper(self, kind: type) -> Callable[[list[Any]], None] | None:
        if issubclass(kind, VARIABLES):
            return self._keep_variables
        if issubclass(kind, OWNERS):
            return partial(self._keep_attributes, [])
        return super()._keeper(kind)

    def _keep_variables(self, members: list[Any]) -> None:
        tensors = [variable.value for variable in members]
        self._seen.update({id(tensor): tensor for tensor in tensors})  # kept here, however large
        self._keep_attributes([], members)
        self._restores += [
            _capture_value(self._engine, variable, tensor)
            for variable, tensor in zip(members, tensors, strict=True)
        ]


def _capture_value(engine: Engine, variable: Any, tensor: Any) -> Restore:
    """The value of a variable, and its `.grad` where the framework has one."""
    if engine.TENSORS:
        return engine.capture_tensor(tensor)
    # A copy, because a train step on JAX donates the memory of the values.
    return partial(_assign, variable, ops.copy(tensor))


def _assign(variable: Any, value: Any) -> None:
    variable.assign(value)
