"""An optimizer's update on PyTorch, made on copies of the variables."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import torch

from keras_initcheck.probe.engine.interrupts import uninterrupted
from keras_initcheck.probe.keras_types import KerasVariable, Tensor


@torch.no_grad()
def updated_values(
    optimizer: Any, variables: Sequence[KerasVariable], gradients: Sequence[Tensor]
) -> list[Tensor]:
    """See `Engine.updated_values`. Keras' optimizers write to tensors in place: to copies here."""
    state = [*variables, *optimizer.variables]
    copies = [(variable, variable.value.detach().clone()) for variable in state]
    with keras.StatelessScope(copies) as scope:
        optimizer.apply(list(gradients), list(variables))
    return [scope.get_current_value(variable) for variable in variables]


@contextlib.contextmanager
def holding(variables: Sequence[KerasVariable], values: Sequence[Tensor]) -> Iterator[None]:
    """A context in which the parameters of variables hold other tensors.

    A torch module reads its parameters past Keras. The tensors are exchanged, and none is written
    to.
    """
    parameters = [variable.value for variable in variables]
    before = [parameter.data for parameter in parameters]
    try:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data = value
        yield
    finally:
        with uninterrupted():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.data = value
