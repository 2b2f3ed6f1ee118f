"""The rows that a pass brought to the host, as arrays of moments by what they stand for."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.engine import row_layout
from keras_initcheck.probe.engine.statistics_rows import (
    COLUMNS,
    FAST_GRADIENT,
    FAST_SIGNAL,
    FAST_WEIGHT,
    MOST_TURNS,
    NUM_COLUMNS,
)
from keras_initcheck.probe.tap import row_moments
from keras_initcheck.probe.tap.pass_record import LOSS, Options, PassRecord
from keras_initcheck.records.measurement import SECOND_MOMENT

FloatArray = npt.NDArray[np.float64]
_NONE = np.zeros(0, np.bool_)


class RowTable:
    """The rows of a pass by meaning.

    Args:
        vector: Everything that came to the host.
        record: What was traced.
        options: What was computed.

    Attributes:
        loss: Value of the loss; 1 if there was none.
        loss_scale: Factor by which the optimizer had multiplied it.
        penalties: Sum of the penalties of the weights in the loss; 0 if they were not taken.
        follows: `(links,)`, whether the later tensor of a link is an element-wise function of the
            earlier one.
        outputs: `(outputs, columns)`, as `outputs_and_labels` reads them.
        indices: `(embeddings, columns)`, as `index_rows` describes them.
        sketches: `(kernels, columns)`, as `rank_sketch` reads them.
        inputs: `(inputs, moments)`; so are `weights` and `signals`. `nan` where a statistic was not
            taken.
        fingerprints: `(weights,)`, `nan` where they were not taken.
        gradients: `(signals, moments)` by objective; a row is `nan` throughout where no gradient
            reached the signal.
        weight_gradients: `(trainable weights, moments)`, or `None` without a loss.
        histograms: `(rows, columns)` by section; empty if none were asked for.
        is_reliable: Whether all unscaled sums of squares were in float32's range, as far as they
            are not zero.
        zero_gradients: `(rows,)` by section, whether a gradient is zero. Fast rows do not tell
            these from gradients whose squares vanish in float32.
    """

    def __init__(self, vector: npt.ArrayLike, record: PassRecord, options: Options) -> None:
        self._blocks = record.rows.unpack(vector)
        self._is_exact = options.is_exact
        self.is_reliable: bool = True
        self.zero_gradients: dict[str, npt.NDArray[np.bool_]] = {}
        self.histograms: dict[str, FloatArray] = {}
        scalars: list[float] = self._blocks[row_layout.SCALARS][0].tolist()
        self.loss: float = scalars[0]
        self.loss_scale: float = scalars[1]
        self.penalties: float = scalars[2]
        self.follows: npt.NDArray[np.bool_] = self._blocks[row_layout.LINKS].ravel() <= MOST_TURNS
        self.outputs: FloatArray = self._blocks[row_layout.OUTPUTS]
        self.indices: FloatArray = self._blocks[row_layout.INDICES]
        self.sketches: FloatArray = self._blocks[row_layout.SKETCHES]
        sizes = record.sizes
        self.inputs: FloatArray = self._signals(row_layout.INPUTS, sizes.inputs)
        self.signals: FloatArray = self._signals(row_layout.SIGNALS, sizes.signals)
        self.weights: FloatArray = self._weights(sizes.weights)
        self.fingerprints: FloatArray = self._fingerprints()
        self.gradients: dict[str, FloatArray] = {
            name: self._gradients(row_layout.gradients_of(name), sizes.signals, self.scale(name))
            for name in record.objectives
        }
        self.weight_gradients: FloatArray | None = (
            self._gradients(row_layout.weight_gradients_of(LOSS), sizes.trainable, self.loss_scale)
            if LOSS in record.objectives
            else None
        )

    def scale(self, objective: str) -> float:
        """The factor by which the gradients of an objective had been multiplied."""
        return self.loss_scale if objective == LOSS else 1.0

    def _signals(self, section: str, sizes: FloatArray) -> FloatArray:
        if self._is_exact:
            return row_moments.exact_moments(self._split(section, NUM_COLUMNS), sizes)
        block = self._split(section, len(FAST_SIGNAL))
        self.is_reliable &= row_moments.are_signals_reliable(block)
        return row_moments.fast_signal_moments(block, sizes)

    def _weights(self, sizes: FloatArray) -> FloatArray:
        if self._is_exact:
            block = self._split(row_layout.WEIGHTS, NUM_COLUMNS)
            return row_moments.exact_moments(block, sizes)
        block = self._split(row_layout.WEIGHTS, len(FAST_WEIGHT))
        self.is_reliable &= row_moments.are_weights_reliable(block)
        return row_moments.fast_weight_moments(block, sizes)

    def has_more_zeros(self, known: Mapping[str, npt.NDArray[np.bool_]]) -> bool:
        """Whether gradients are zero here that an exact pass did not find to be zero.

        Args:
            known: `zero_gradients` of that pass.
        """
        return any(
            zeros.any()
            and (known.get(section, _NONE).shape != zeros.shape or (zeros & ~known[section]).any())
            for section, zeros in self.zero_gradients.items()
        )

    def _gradients(self, section: str, sizes: FloatArray, scale: float) -> FloatArray:
        if self._is_exact:
            block = self._split(section, NUM_COLUMNS)
            found = row_moments.exact_moments(block, sizes, scale)
        else:
            block = self._split(section, len(FAST_GRADIENT))
            self.is_reliable &= row_moments.are_gradients_reliable(block)
            found = row_moments.fast_gradient_moments(block, sizes, scale)
        self.zero_gradients[section] = found[:, SECOND_MOMENT] == 0
        return found

    def _split(self, section: str, width: int) -> FloatArray:
        """The columns of statistics; those of a histogram behind them are kept aside."""
        block = self._blocks[section]
        if block.shape[1] > width:
            self.histograms[section] = block[:, width:]
        return block[:, :width]

    def _fingerprints(self) -> FloatArray:
        block = self._blocks[row_layout.WEIGHTS]
        if not self._is_exact:
            return np.full(len(block), np.nan)
        return block[:, COLUMNS.index("scale")] * block[:, COLUMNS.index("fingerprint")]
