"""Learning rates of optimizers: the largest one of the first steps, and the scale of the loss."""

import math
from typing import Any

import keras

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.optimizers import innermost_optimizers
from keras_initcheck.probe.keras_model.private_api import given_learning_rate, hold_learning_rate

WARM_UP = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Steps ahead at which a schedule is asked for its rate: a warm-up begins at zero or near it."""


def hold_largest_rate(optimizer: Any) -> float:
    """Makes each optimizer take its largest rate of the next 1000 steps, and returns the largest.

    Side effects: what an optimizer takes its rate from is replaced by a number where that is a
    schedule. `nan` where no optimizer tells its rate.
    """
    rates = [_hold(each) for each in innermost_optimizers(optimizer)]
    return max((rate for rate in rates if not math.isnan(rate)), default=math.nan)


def _hold(optimizer: Any) -> float:
    given = given_learning_rate(optimizer)
    if not isinstance(given, keras.optimizers.schedules.LearningRateSchedule):
        return _number(optimizer.learning_rate)
    now = int(to_numpy(optimizer.iterations))
    rate = max(_number(given(keras.ops.convert_to_tensor(now + ahead))) for ahead in WARM_UP)
    hold_learning_rate(optimizer, rate)
    return rate


def _number(rate: Any) -> float:
    return float(rate) if isinstance(rate, int | float) else float(to_numpy(rate))


def momentum(optimizer: Any) -> float:
    """The largest share of an update that the next one repeats: the momentum of SGD and RMSprop."""
    found = [getattr(each, "momentum", 0.0) for each in innermost_optimizers(optimizer)]
    return max((float(each) for each in found if isinstance(each, int | float)), default=0.0)


def epsilon(optimizer: Any) -> float:
    """The number that an optimizer adds to what it divides a gradient by; `nan` without one."""
    found = getattr(optimizer, "epsilon", None)
    return float(found) if isinstance(found, int | float) else math.nan
