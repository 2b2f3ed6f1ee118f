"""From the rows of a pass to a `Measurement`: all sites and weights at once, as arrays."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.profile.layer_ratios import LayerRatios
from keras_initcheck.probe.profile.structure_builder import IntArray, TracedStructure
from keras_initcheck.probe.tap import rank_sketch
from keras_initcheck.probe.tap.pass_record import LOSS, RANDOM
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.records.measurement import (
    BATCH_SHARE,
    SECOND_MOMENT,
    SHARE_NONFINITE,
    SIZE,
    Measurement,
)
from keras_initcheck.theory.activation_factors import FactorTable

FloatArray = npt.NDArray[np.float64]


class MeasurementBuilder:
    """Builds the measurements of one structure.

    Args:
        traced: The structure, and the rows from which it was learned.
    """

    def __init__(self, traced: TracedStructure) -> None:
        self._traced = traced
        self._ratios = LayerRatios(traced)
        self._padded_chains = _pad(traced.chains)
        self._nothing = np.full(len(traced.structure.sites), np.nan)

    def build(self, table: RowTable, factors: FactorTable | None) -> Measurement:
        """The measurement that a pass brought to the host, without whole-graph predictions.

        Args:
            table: The rows.
            factors: Where activation factors are looked up; `None` to compute each exactly.
        """
        places = self._traced.places
        signals = _rows(table.signals, places)
        gradients = {name: _rows(rows, places) for name, rows in table.gradients.items()}
        used = gradients.get(RANDOM, gradients.get(LOSS))
        weights = _without_batch_share(_rows(table.weights, self._traced.weight_rows))
        of_weights = self._weight_gradients(table)
        ratios = self._ratios.measure(signals, used, weights, factors)
        return Measurement(
            activations=signals,
            loss_gradients=gradients.get(LOSS),
            random_gradients=gradients.get(RANDOM),
            **ratios,
            log10_forward_gain=self._gains(ratios["forward_ratio"]),
            log10_backward_gain=self._gains(ratios["backward_ratio"], is_backward=True),
            predicted_log10_second_moment=self._nothing,
            predicted_log10_gradient=self._nothing,
            unpredicted=(),
            weights=weights,
            weight_gradients=of_weights,
            weight_norm=_norms(weights),
            weight_gradient_norm=_norms(of_weights),
            weight_fingerprint=table.fingerprints[self._traced.weight_rows],
            weight_rank=self._ranks(table.sketches),
            inputs=table.inputs,
            loss=table.loss if LOSS in gradients else None,
            weight_draws=(),
        )

    def _weight_gradients(self, table: RowTable) -> FloatArray:
        rows, count = self._traced.gradient_rows, len(self._traced.structure.weights)
        if table.weight_gradients is None:
            return np.full((count, table.weights.shape[1]), np.nan)
        return _without_batch_share(_rows(table.weight_gradients, rows))

    def _ranks(self, sketches: FloatArray) -> FloatArray:
        found = np.full(len(self._traced.structure.weights), np.nan)
        if len(sketches):
            for position, row in enumerate(self._traced.sketch_rows):
                rank = None if row < 0 else rank_sketch.rank(sketches[row])
                found[position] = np.nan if rank is None else rank
        return found

    def _gains(self, ratios: FloatArray, *, is_backward: bool = False) -> FloatArray:
        """log10 of the product of the ratios from the start of each chain, or from its end.

        `nan` from the first site on whose ratio is not known.
        """
        found = np.full(len(ratios), np.nan)
        chains = self._padded_chains[:, ::-1] if is_backward else self._padded_chains
        is_site = chains >= 0
        with np.errstate(all="ignore"):  # a ratio may be zero or infinite
            logarithms = np.where(is_site, np.log10(ratios)[chains], 0.0)
            sums = np.cumsum(logarithms, axis=1)
        found[chains[is_site]] = sums[is_site]
        return found


def _rows(block: FloatArray, positions: IntArray) -> FloatArray:
    """The rows at positions of any shape; `nan` throughout at -1."""
    padded = np.concatenate([block, np.full((1, block.shape[1]), np.nan)])
    found: FloatArray = padded[positions]
    return found


def _without_batch_share(moments: FloatArray) -> FloatArray:
    """Weights have no batch axis."""
    moments[:, BATCH_SHARE] = np.nan
    return moments


def _norms(moments: FloatArray) -> FloatArray:
    """Euclidean norms of the finite elements."""
    num_finite = moments[:, SIZE] * (1 - moments[:, SHARE_NONFINITE])
    found: FloatArray = np.sqrt(moments[:, SECOND_MOMENT] * num_finite)
    return found


def _pad(chains: Sequence[Sequence[int]]) -> IntArray:
    """`(chains, longest)`, filled up with -1."""
    longest = max(map(len, chains), default=0)
    padded = [[*chain, *[-1] * (longest - len(chain))] for chain in chains]
    return np.array(padded, np.intp).reshape(len(chains), longest)
