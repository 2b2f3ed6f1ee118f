"""Carries out steps on the variables of a model. Settling on data has a file of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_initcheck.repairs import draw
from keras_initcheck.repairs.plan import RECENTRE, REDRAW, RESCALE, RESET, Step


def apply(steps: Sequence[Step], variables: Mapping[str, Any], seed: int) -> None:
    """Changes the variables.

    Args:
        steps: Steps to rescale, redraw and reset; others are left alone.
        variables: The model's variables by their names in the profile.
        seed: Seed of what is drawn; each variable has its own stream, whatever the other steps are.
    """
    positions = {name: position for position, name in enumerate(variables)}
    for step in steps:
        for position, name in enumerate(step.variables):
            variable = variables[name]
            if step.action == RESCALE:
                variable.assign(variable.value * step.factor)
            elif step.action == RECENTRE:
                kernel = variables[step.kernel].value
                variable.assign(-0.5 * keras.ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 1))))
            elif step.action == RESET:
                variable.assign(np.zeros(variable.shape))
            elif step.action == REDRAW:
                generator = np.random.default_rng([seed, positions[name]])
                shape = tuple(variable.shape)
                values = draw.kernel(shape, step.stds[position], generator, num_gates=step.num_gates, is_orthogonal=step.is_orthogonal)
                variable.assign(values)
