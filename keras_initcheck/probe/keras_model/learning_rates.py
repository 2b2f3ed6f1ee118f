"""Learning rates of optimizers: the largest one of the first steps, and the scale of the loss."""

import math
from typing import Any

import keras

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.optimizers import family, innermost_optimizers
from keras_initcheck.probe.keras_model.private_api import given_learning_rate, hold_learning_rate

WARM_UP = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Steps ahead at which a schedule is asked for its rate: a warm-up begins at zero or near it."""


def hold_largest_rate(optimizer: Any) -> tuple[float, bool]:
    """Makes each optimizer take its largest rate of the next 1000 steps.

    Returns:
        The largest of the optimizers' rates, `nan` where none tells its own; and whether a schedule
        reaches it only later.

    Side effects: a number takes the place of each schedule.
    """
    held = [_hold(each) for each in innermost_optimizers(optimizer)]
    rates = [rate for rate, _ in held if not math.isnan(rate)]
    return max(rates, default=math.nan), any(later for _, later in held)


def share_of_largest_rate(optimizer: Any) -> float:
    """The present rate as a share of the largest one that a schedule has in the next 1000 steps.

    1 where no schedule warms up.

    Side effects: as in `hold_largest_rate`.
    """
    now = max(_number(each.learning_rate) for each in innermost_optimizers(optimizer))
    largest, is_later = hold_largest_rate(optimizer)
    return now / largest if is_later else 1.0


def _hold(optimizer: Any) -> tuple[float, bool]:
    given, now = given_learning_rate(optimizer), _number(optimizer.learning_rate)
    if not isinstance(given, keras.optimizers.schedules.LearningRateSchedule):
        return now, False
    step = int(to_numpy(optimizer.iterations))
    ahead = [_number(given(keras.ops.convert_to_tensor(step + each))) for each in WARM_UP]
    rate = max(now, *ahead)
    hold_learning_rate(optimizer, rate)
    return rate, rate > now


def _number(rate: Any) -> float:
    return float(rate) if isinstance(rate, int | float) else float(to_numpy(rate))


def momentum(optimizer: Any) -> float:
    """The largest share of an update that the next one repeats: the momentum of SGD and RMSprop."""
    found = [getattr(each, "momentum", 0.0) for each in innermost_optimizers(optimizer)]
    return max((float(each) for each in found if isinstance(each, int | float)), default=0.0)


def decay(optimizer: Any) -> float:
    """The largest share of a weight that an update takes away whatever its gradient is.

    Keras multiplies the decay by the rate in every optimizer, SGD among them.
    """
    found = [
        float(each.weight_decay) * _number(each.learning_rate)
        for each in innermost_optimizers(optimizer)
        if isinstance(getattr(each, "weight_decay", None), int | float)
    ]
    return max(found, default=0.0)


def epsilon(optimizer: Any) -> float:
    """The size of a gradient below which an optimizer's epsilon outweighs it; `nan` without one."""
    found = getattr(optimizer, "epsilon", None)
    if not isinstance(found, int | float):
        return math.nan
    return math.sqrt(found) if family(optimizer) in _ADD_TO_THE_SQUARE else float(found)


_ADD_TO_THE_SQUARE = ("RMSprop", "Adagrad", "Adadelta")
"""Keras' optimizers whose epsilon stands inside of the root; in the others it stands outside."""
