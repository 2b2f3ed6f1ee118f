"""Batches that give several labels for one and the same input, on the host."""

from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_dense


def is_contradictory(batch: Batch) -> bool:
    """Whether all samples of a batch have the same inputs while their labels differ.

    Nearly every batch is told by its first two samples. Inputs and labels whose values are not at
    hand are taken for different and for equal.
    """
    inputs, labels = keras.tree.flatten(batch.x), keras.tree.flatten(batch.y)
    return (
        all(_are_alike(tensor) for tensor in inputs)
        and bool(inputs)
        and any(_differ(tensor) for tensor in labels)
    )


def _are_alike(tensor: Any) -> bool:
    is_known = is_dense(tensor) and bool(len(tensor.shape))
    return is_known and not _differ(tensor[:2]) and not _differ(tensor)


def _differ(tensor: Any) -> bool:
    if not is_dense(tensor) or not len(tensor.shape):
        return False
    values = np.asarray(to_numpy(tensor))
    return bool((values != values[:1]).any())
