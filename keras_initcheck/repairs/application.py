"""Carries out steps on the variables of a model. Settling on data has a file of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.repairs import kernel_draws
from keras_initcheck.repairs.plan import RECENTER, REDRAW, RENEW, RESCALE, RESET, SETTLE, Step

Owned = Mapping[str, OwnedVariable]
"""The model's variables with their layers, by their names in the profile."""


def apply(steps: Sequence[Step], owned: Owned, seed: int) -> None:
    """Changes the variables.

    Args:
        steps: Steps to carry out; those that settle are left alone.
        owned: The model's variables.
        seed: Seed of what is drawn; each variable has its own stream, whatever the other steps are.
    """
    numbers = {name: number for number, name in enumerate(owned)}
    for step in steps:
        if step.action == SETTLE:
            continue
        for position, name in enumerate(step.variables):
            generator = np.random.default_rng([seed, numbers[name]])
            value = _NEW_VALUES[step.action](step, position, owned, generator)
            owned[name].variable.assign(value)


def _rescaled(step: Step, position: int, owned: Owned, generator: np.random.Generator) -> Any:
    return owned[step.variables[position]].variable.value * step.factor


def _recentered(step: Step, position: int, owned: Owned, generator: np.random.Generator) -> Any:
    """Minus half of each unit's weights, which takes out what inputs around 1/2 add."""
    kernel = owned[step.kernel].variable.value
    return -0.5 * keras.ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 1)))


def _reset(step: Step, position: int, owned: Owned, generator: np.random.Generator) -> Any:
    return np.zeros(owned[step.variables[position]].variable.shape)


def _renewed(step: Step, position: int, owned: Owned, generator: np.random.Generator) -> Any:
    return first_values(owned[step.variables[position]])


def _redrawn(step: Step, position: int, owned: Owned, generator: np.random.Generator) -> Any:
    return kernel_draws.kernel(
        tuple(owned[step.variables[position]].variable.shape),
        step.stds[position],
        generator,
        num_gates=step.num_gates,
        is_orthogonal=step.is_orthogonal,
    )


NewValue = Callable[[Step, int, Owned, np.random.Generator], Any]
_NEW_VALUES: Mapping[str, NewValue] = {
    RESCALE: _rescaled,
    RECENTER: _recentered,
    RESET: _reset,
    RENEW: _renewed,
    REDRAW: _redrawn,
}
"""The new value of the variable at a position of a step, by the step's action."""


def first_values(owned: OwnedVariable) -> Any:
    """The values that the layer's own initializer gives, such as its `gamma_initializer`.

    Ones and zeros where it names none. An embedding that its own initializer makes constant gets
    Keras' default.
    """
    variable = owned.variable
    initializer = getattr(owned.owner, f"{variable.name}_initializer", None)
    if initializer is None:
        initializer = "zeros" if variable.name in ("beta", "moving_mean") else "ones"
    values = keras.initializers.get(initializer)(variable.shape, dtype=variable.dtype)
    if variable.name == "embeddings" and float(keras.ops.std(values)) == 0.0:
        return keras.initializers.RandomUniform()(variable.shape, dtype=variable.dtype)
    return values
