"""Rows of one pass: which statistics are taken of a signal, a gradient, a weight or an input."""

from collections.abc import Callable

from keras import ops

from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.engine.protocol import Engine, Row
from keras_initcheck.probe.keras_types import Tensor
from keras_initcheck.probe.tap.pass_record import Options


class RowMaker:
    """Makes the rows of passes with the same options.

    Args:
        engine: The engine of the backend.
        options: What the passes compute.
    """

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._options = options
        self._exact_row = engine.compile_row(statistics_rows.exact_row)
        self._exact_weight_row = engine.compile_row(statistics_rows.exact_weight_row)

    @property
    def dtype(self) -> str:
        """The dtype of the rows on the device."""
        return self._engine.row_dtype() if self._options.is_exact else "float32"

    def signal(self, tensor: Tensor) -> Row:
        """The row of a signal, `(options.signal_width,)`."""
        is_exact = self._options.is_exact
        return self._row(tensor, self._exact_row if is_exact else self._engine.fast_signal_row)

    def gradient(self, tensor: Tensor) -> Row:
        """The row of a gradient, `(options.gradient_width,)`."""
        is_exact = self._options.is_exact
        return self._row(tensor, self._exact_row if is_exact else self._engine.fast_gradient_row)

    def weight(self, tensor: Tensor) -> Row:
        """The row of a weight, `(options.weight_width,)`."""
        is_exact = self._options.is_exact
        return self._row(tensor, self._weight_row if is_exact else self._engine.fast_weight_row)

    def _weight_row(self, tensor: Tensor) -> Row:
        return self._exact_weight_row(tensor, statistics_rows.signs_for(tensor))

    def _row(self, tensor: Tensor, statistics: Callable[[Tensor], Row]) -> Row:
        # Rows are measured and never trained on: without this, the backward pass would
        # differentiate every statistic.
        tensor = self._engine.stop_gradient(tensor)
        row = statistics(tensor)
        if self._options.with_histograms:
            row = ops.concatenate([row, ops.cast(statistics_rows.histogram_row(tensor), row.dtype)])
        return ops.cast(row, self.dtype)
