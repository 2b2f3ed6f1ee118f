"""The batch that a loop of the user's own passes to `InitCheck.probe`."""

from dataclasses import replace
from typing import Any

import keras

from keras_initcheck.probe.data.batch import Batch, take_batch, yields_batches
from keras_initcheck.probe.engine.devices import whole


def loop_batch(x: Any, y: Any, sample_weight: Any) -> Batch:
    """The batch as it is.

    Arrays are used whole, whereas `take_batch` would cut them as `fit` does. A strategy's batch is
    joined from its replicas' parts. Of an object that yields batches, the first one is taken.

    Raises:
        DataError: As from `take_batch`.
    """
    x, y, sample_weight = whole((x, y, sample_weight))
    if yields_batches(x):
        return take_batch(x, y, sample_weight)
    num_samples = max(1, len(keras.tree.flatten(x)[0]))
    batch = take_batch(x, y, sample_weight, batch_size=num_samples)
    return replace(batch, source="loop")
