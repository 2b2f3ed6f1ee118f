"""The rows that a pass brought to the host, by what they stand for."""

import numpy as np

from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.tap import outputs_and_labels, rank_sketch
from keras_initcheck.probe.tap.forward import LOSS, Layout, Options


class RowTable:
    """The rows of a pass by meaning, all with the columns of exact rows.

    Args:
        vector: Everything that came to the host.
        layout: What was traced.
        options: What was computed.
        num_trainable: Number of weight gradients that follow the loss's slots.
    """

    def __init__(
        self, vector: np.ndarray, layout: Layout, options: Options, num_trainable: int
    ) -> None:
        self._remaining = np.asarray(vector, "float64")
        self._is_exact = options.is_exact
        self.is_reliable = True
        self.loss, self.loss_scale = (float(value) for value in self._take(1, 2)[0])
        self.has_loss = LOSS in layout.objectives
        self._turns = self._take(1, layout.num_links)[0]
        self.targets = self._take(len(layout.targets), outputs_and_labels.NUM_COLUMNS)
        self.sketches = self._take(len(layout.sketched), rank_sketch.NUM_COLUMNS)
        self.inputs = self._rows(len(layout.inputs), options.signal_width)
        self.weights = self._rows(len(layout.weights), options.gradient_width, is_signal=True)
        self.signals = self._rows(len(layout.channels), options.signal_width)
        self.gradients: dict[str, np.ndarray] = {}
        self.weight_gradients: np.ndarray | None = None
        for name in layout.objectives:
            self.gradients[name] = self._rows(len(layout.channels), options.gradient_width)
            if name == LOSS:
                self.weight_gradients = self._rows(num_trainable, options.gradient_width)

    def divisor(self, objective: str) -> float:
        """What the gradients of that objective were multiplied with."""
        return self.loss_scale if objective == LOSS else 1.0

    def is_elementwise(self, link: int | None) -> bool:
        """Whether the two tensors of that comparison are an element-wise function of one
        another.
        """
        return link is not None and bool(self._turns[link] <= statistics_rows.MOST_TURNS)

    def _take(self, count: int, width: int) -> np.ndarray:
        taken, self._remaining = np.split(self._remaining, [count * width])
        return taken.reshape(count, width)

    def _rows(self, count: int, width: int, is_signal: bool = False) -> np.ndarray:
        block = self._take(count, width)
        if self._is_exact or not count:
            return block
        self.is_reliable &= all(statistics_rows.is_reliable(row) for row in block)
        expanded = np.stack([statistics_rows.from_fast(row) for row in block])
        if is_signal:  # an all-zero weight is there all the same
            expanded[:, statistics_rows.NUM_COLUMNS - 1] = 1.0
        return expanded
