"""A row of an optimizer's update: the sizes of one variable's gradient, update and values."""

from keras import ops

from keras_initcheck.probe.engine.protocol import Row
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
