"""Rows of one pass: which statistics are taken of a signal, a gradient, a weight or an input."""

from collections.abc import Callable

from keras_initcheck.probe.engine import host_rows, statistics_rows
from keras_initcheck.probe.engine.protocol import Engine, Row
from keras_initcheck.probe.keras_types import Tensor
from keras_initcheck.probe.tap.pass_record import Options


class RowMaker:
    """Makes the rows of passes with the same options.

    Args:
        engine: The engine of the backend.
        options: What the passes compute.

    Attributes:
        dtype: The dtype of the rows on the device.
    """

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._options = options
        self._exact_weight_row = engine.compile_row(
            statistics_rows.exact_weight_row, host_rows.EXACT_WEIGHT_ROW
        )
        exact_row = engine.compile_row(statistics_rows.exact_row, host_rows.EXACT_ROW)
        self._signal_row = exact_row if options.is_exact else engine.fast_signal_row
        self._gradient_row = exact_row if options.is_exact else engine.fast_gradient_row
        self.dtype: str = engine.row_dtype() if options.is_exact else "float32"

    def signal(self, tensor: Tensor) -> Row:
        """The row of a signal, `(options.signal_width,)`."""
        return self._row(tensor, self._signal_row)

    def gradient(self, tensor: Tensor) -> Row:
        """The row of a gradient, `(options.gradient_width,)`."""
        return self._row(tensor, self._gradient_row)

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
        rows = [statistics(tensor)]
        if self._options.with_histograms:
            rows.append(statistics_rows.histogram_row(tensor))
        return self._engine.join_rows(rows, self.dtype)
