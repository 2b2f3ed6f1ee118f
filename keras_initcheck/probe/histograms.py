"""Names for the histograms that rows may carry."""

from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.tap.forward import LOSS, Layout
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.statistics import Histogram


def histograms(
    layout: Layout, table: RowTable, weights: tuple[WeightStats, ...]
) -> tuple[tuple[str, Histogram], ...]:
    """Histograms of activations, their loss gradients, weights and weight gradients as
    `("activation/NNN_site", histogram)` and so on.
    """
    found = []
    for site in layout.sites:
        if site.h is not None:
            label = f"{site.index:03d}_{site.name}"
            found.append(
                (f"activation/{label}", statistics_rows.to_histogram(table.signals[site.h.index]))
            )
            if table.has_loss and statistics_rows.is_connected(table.gradients[LOSS][site.h.index]):
                row = table.gradients[LOSS][site.h.index]
                found.append(
                    (
                        f"activation gradient/{label}",
                        statistics_rows.to_histogram(row, table.divisor(LOSS)),
                    )
                )
    return (*found, *_weight_histograms(table, weights))


def _weight_histograms(
    table: RowTable, weights: tuple[WeightStats, ...]
) -> list[tuple[str, Histogram]]:
    found = [
        (f"weight/{weight.name}", statistics_rows.to_histogram(row))
        for weight, row in zip(weights, table.weights, strict=True)
    ]
    if table.weight_gradients is not None:
        trainable = [weight for weight in weights if weight.is_trainable]
        for weight, row in zip(trainable, table.weight_gradients, strict=True):
            if statistics_rows.is_connected(row):
                found.append(
                    (
                        f"weight gradient/{weight.name}",
                        statistics_rows.to_histogram(row, table.divisor(LOSS)),
                    )
                )
    return found
