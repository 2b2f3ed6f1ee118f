"""Names for the histograms that rows may carry."""

import numpy as np

from keras_initcheck.probe.engine import row_layout
from keras_initcheck.probe.profile.structure_builder import TracedStructure
from keras_initcheck.probe.tap.pass_record import LOSS, PassRecord
from keras_initcheck.probe.tap.row_moments import to_histogram
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.records.measurement import SIZE
from keras_initcheck.records.statistics import Histogram

Named = tuple[str, Histogram]


def name_histograms(
    traced: TracedStructure, record: PassRecord, table: RowTable
) -> tuple[Named, ...]:
    """Histograms of activations, their loss gradients, weights and weight gradients.

    `("activation/NNN_site", histogram)` and so on; none if the pass made none.
    """
    if not table.histograms:
        return ()
    return (*_of_activations(record, table), *_of_weights(traced, table))


def _of_activations(record: PassRecord, table: RowTable) -> list[Named]:
    found = []
    gradients = table.histograms.get(row_layout.gradients_of(LOSS))
    for site in record.sites:
        if site.h is None:
            continue
        label, row = f"{site.index:03d}_{site.name}", site.h.index
        columns = table.histograms[row_layout.SIGNALS][row]
        found.append((f"activation/{label}", to_histogram(columns)))
        if gradients is not None and _is_there(table.gradients[LOSS][row]):
            histogram = to_histogram(gradients[row], table.scale(LOSS))
            found.append((f"activation gradient/{label}", histogram))
    return found


def _of_weights(traced: TracedStructure, table: RowTable) -> list[Named]:
    weights = traced.structure.weights
    columns = table.histograms.get(row_layout.WEIGHTS)
    found = [
        (f"weight/{weight.name}", to_histogram(columns[row]))
        for weight, row in zip(weights, traced.weight_rows, strict=True)
        if columns is not None
    ]
    gradients = table.histograms.get(row_layout.weight_gradients_of(LOSS))
    if gradients is None or table.weight_gradients is None:
        return found
    for weight, row in zip(weights, traced.gradient_rows, strict=True):
        if row >= 0 and _is_there(table.weight_gradients[row]):
            histogram = to_histogram(gradients[row], table.scale(LOSS))
            found.append((f"weight gradient/{weight.name}", histogram))
    return found


def _is_there(moments: np.ndarray) -> bool:
    """Whether a gradient reached the tensor."""
    return not np.isnan(moments[SIZE])
