"""Rules on the first step."""

import math

from keras_initcheck.records.first_step import FirstStep


def steps_to_first_per_cent(step: FirstStep) -> float:
    """Steps like the first one that take a hundredth off the loss; infinite if it does not fall.

    Momentum adds up a gradient that stays: it counts with `1 / (1 - momentum)`.
    """
    promised = -step.promised_change / max(1.0 - step.momentum, 1e-3)
    return 0.01 * abs(step.loss_before) / promised if promised > 0 else math.inf
