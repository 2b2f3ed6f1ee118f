"""A row of an optimizer's update: the sizes of one variable's gradient, update and values."""

import numpy as np
from keras import ops

from keras_initcheck.probe.engine.protocol import HostRow, Row
from keras_initcheck.probe.keras_types import Tensor

NUM_COLUMNS = 11


def update_row(before: Tensor, after: Tensor, gradient: Tensor, epsilon: Tensor) -> Row:
    """Sizes of one variable's update, `(NUM_COLUMNS,)`.

    In this order: the largest magnitudes of gradient, update, and weight before and after; the
    means of gradient times update, of the update's square and of the weights' squares, all divided
    by these magnitudes; the shares of the gradient's elements that are below epsilon and that are
    not zero; their number.
    """
    before, after, gradient = (ops.cast(each, "float32") for each in (before, after, gradient))
    update = after - before
    scaled, largest = [], []
    for tensor in (gradient, update, before, after):
        most = ops.max(ops.abs(tensor))
        scaled.append(tensor / ops.where(most > 0, most, ops.ones_like(most)))
        largest.append(most)
    is_there = ops.not_equal(gradient, 0)
    is_below = ops.logical_and(is_there, ops.abs(gradient) < epsilon)
    return ops.stack(
        [
            *largest,
            ops.mean(scaled[0] * scaled[1]),
            *[ops.mean(ops.square(tensor)) for tensor in scaled[1:]],
            ops.mean(ops.cast(is_below, "float32")),
            ops.mean(ops.cast(is_there, "float32")),
            ops.cast(ops.size(gradient), "float32"),
        ]
    )


def _host_row(
    before: np.ndarray, after: np.ndarray, gradient: np.ndarray, epsilon: np.ndarray
) -> np.ndarray:
    """`update_row` of arrays."""
    before, after, gradient = (
        np.asarray(each, np.float32).ravel() for each in (before, after, gradient)
    )
    scaled, largest = [], []
    with np.errstate(all="ignore"):  # a step may diverge
        for tensor in (gradient, after - before, before, after):
            most = np.maximum(tensor.max(), -tensor.min())
            scaled.append(tensor / (most if most > 0 else np.float32(1)))
            largest.append(most)
        sums = [np.dot(scaled[0], scaled[1]), *(np.dot(each, each) for each in scaled[1:])]
        is_below = (gradient != 0) & (np.abs(gradient) < epsilon)
    counts = [np.count_nonzero(is_below), np.count_nonzero(gradient)]
    means = np.array([*sums, *counts], np.float64) / gradient.size
    return np.array([*largest, *means, gradient.size], np.float64)


ON_HOST = HostRow(_host_row, NUM_COLUMNS)
