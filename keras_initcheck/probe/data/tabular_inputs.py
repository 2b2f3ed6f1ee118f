"""The columns of a table that enters the model, on the host.

A batch of rows is small beside what a network makes of it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.records.data import TabularInput

MOST_COLUMNS = 2048
"""Wider inputs are flattened images, bags of words and the like."""
MOST_ZEROS = 0.25
"""Share of zeros from which a column counts as sparse: indicators, counts and one-hot codes are
small for another reason.
"""
MOST_LEADERS = 0.1
"""Share of the columns that may count as the largest ones."""


def columns(inputs: Sequence[tuple[str, Any]]) -> tuple[TabularInput, ...]:
    """Statistics of each named input that is a table of two dense columns or more."""
    found = []
    for name, tensor in inputs:
        if is_observable(tensor) and len(tensor.shape) == 2 and 1 < tensor.shape[1] <= MOST_COLUMNS:
            statistics = _statistics(name, np.asarray(to_numpy(tensor), "float64"))
            found += [statistics] if statistics is not None else []
    return tuple(found)


def _statistics(name: str, table: np.ndarray) -> TabularInput | None:
    if not np.isfinite(table).all():
        return None
    is_dense = ((table == 0).mean(axis=0) <= MOST_ZEROS) & (np.ptp(table, axis=0) > 0)
    positions = np.flatnonzero(is_dense)
    if len(positions) < 2:
        return None
    size = np.abs(table).max()
    second_moments = np.square(table[:, positions] / size).mean(axis=0)
    order = np.argsort(second_moments)[::-1]
    leaders = order[: max(1, int(MOST_LEADERS * len(positions)))]
    return TabularInput(
        input=name,
        width=table.shape[1],
        largest=tuple(int(positions[index]) for index in leaders),
        share=float(second_moments[leaders].sum() / second_moments.sum()),
        root_mean_square=float(size * np.sqrt(second_moments[order[0]])),
        median=float(size * np.sqrt(np.sort(second_moments)[(len(positions) - 1) // 2])),
    )
