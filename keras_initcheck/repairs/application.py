"""Carries out steps on the variables of a model. Settling on data has a file of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.variables import OwnedVariable
from keras_initcheck.repairs import kernel_draws
from keras_initcheck.repairs.plan import RECENTRE, REDRAW, RENEW, RESCALE, RESET, Step


def apply(steps: Sequence[Step], owned: Mapping[str, OwnedVariable], seed: int) -> None:
    """Changes the variables.

    Args:
        steps: Steps to do; those that settle are left alone.
        owned: The model's variables with their layers, by their names in the profile.
        seed: Seed of what is drawn; each variable has its own stream, whatever the other steps are.
    """
    positions = {name: position for position, name in enumerate(owned)}
    for step in steps:
        for position, name in enumerate(step.variables):
            variable = owned[name].variable
            if step.action == RESCALE:
                variable.assign(variable.value * step.factor)
            elif step.action == RECENTRE:
                kernel = owned[step.kernel].variable.value
                variable.assign(
                    -0.5 * keras.ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 1)))
                )
            elif step.action == RESET:
                variable.assign(np.zeros(variable.shape))
            elif step.action == RENEW:
                variable.assign(first_values(owned[name]))
            elif step.action == REDRAW:
                generator = np.random.default_rng([seed, positions[name]])
                shape = tuple(variable.shape)
                values = kernel_draws.kernel(
                    shape,
                    step.stds[position],
                    generator,
                    num_gates=step.num_gates,
                    is_orthogonal=step.is_orthogonal,
                )
                variable.assign(values)


def first_values(owned: OwnedVariable) -> Any:
    """What the layer's own initialiser gives, such as its `gamma_initializer`; ones and zeros where
    it names none.

    An embedding that its own initialiser makes constant gets Keras' default.
    """
    variable = owned.variable
    initializer = getattr(owned.owner, f"{variable.name}_initializer", None)
    if initializer is None:
        initializer = "zeros" if variable.name in ("beta", "moving_mean") else "ones"
    values = keras.initializers.get(initializer)(variable.shape, dtype=variable.dtype)
    if variable.name == "embeddings" and float(keras.ops.std(values)) == 0.0:
        return keras.initializers.RandomUniform()(variable.shape, dtype=variable.dtype)
    return values
