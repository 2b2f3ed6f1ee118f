"""Counts the steps of a training, and decides when a probe is due."""

import operator
from typing import Any

from keras_initcheck.probe.engine.arrays import to_numpy


def as_step(value: Any) -> int:
    """Converts a number of updates to an `int`.

    Args:
        value: An integer, a NumPy number, a tensor, or a variable such as `optimizer.iterations`.

    Raises:
        ValueError: It is not a whole number, or below 0.
    """
    try:
        number = operator.index(
            value
            if hasattr(type(value), "__index__") and not hasattr(value, "shape")
            else to_numpy(value).item()
        )
    except Exception:  # each framework raises its own type for a value that is no number
        number = -1
    if number < 0 or isinstance(value, bool):
        raise ValueError(f"`step` must be a whole number, 0 or more. Received: step={value!r:.80}.")
    return number


class Pace:
    """Counts steps by the calls that Keras makes before each of them.

    `on_train_batch_end` would be simpler, but Keras waits for the device after every batch as soon
    as one callback has that method.

    Args:
        every: Steps between probes; `None` if only epochs are probed.
        steps_per_execution: Steps that one call of the train function takes.
        steps_per_epoch: Steps of an epoch, if they are known.

    Attributes:
        taken: Steps that the training has taken so far.
        epochs: Epochs that are over.
    """

    def __init__(
        self, every: int | None, steps_per_execution: int = 1, steps_per_epoch: int | None = None
    ) -> None:
        self.taken: int = 0
        self.epochs: int = 0
        self._every = every
        self._steps_per_execution = steps_per_execution
        self._steps_per_epoch = steps_per_epoch
        self._in_epoch = 0
        self._before_epoch = 0
        self._last_probe = 0

    def before_execution(self) -> None:
        """Records that the train function is about to be called."""
        self.taken = self._before_epoch + self._in_epoch
        self._in_epoch += self._steps_per_execution

    def after_epoch(self, found_nothing: bool = False) -> None:
        """Records that the epoch is over.

        Args:
            found_nothing: Whether the last execution found the data used up, which happens once
                if the number of batches is not known.
        """
        taken = self._in_epoch - self._steps_per_execution * found_nothing
        self._before_epoch += max(
            0, taken if self._steps_per_epoch is None else min(taken, self._steps_per_epoch)
        )
        self.taken, self._in_epoch = self._before_epoch, 0
        self.epochs += 1

    @property
    def is_due(self) -> bool:
        """Whether enough steps were taken since the last probe."""
        return self._every is not None and self.taken - self._last_probe >= self._every

    def mark_probe(self) -> None:
        """Records that a probe is made now."""
        self._last_probe = self.taken
