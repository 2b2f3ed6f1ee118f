"""From the rows of the indices that enter embeddings to records.

Keras casts an input to whole numbers where its symbol has an integer dtype. An embedding that takes
an input of the model is therefore judged by the batch itself, on the host.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_dense
from keras_initcheck.probe.tap.index_rows import COLUMNS, IndexRecord
from keras_initcheck.probe.tap.pass_record import PassRecord
from keras_initcheck.records.data import IndexInput


def index_inputs(
    record: PassRecord, rows: np.ndarray, inputs: Sequence[tuple[str, Any]]
) -> tuple[IndexInput, ...]:
    """What enters each embedding, in execution order.

    Args:
        record: The pass.
        rows: `(embeddings, columns)`, as `tap.index_rows` makes them.
        inputs: The model's inputs by name.
    """
    by_name = {name: tensor for name, tensor in inputs if is_dense(tensor)}
    pairs = zip(record.indices, rows, strict=True)
    return tuple(_index_input(each, row, record, by_name) for each, row in pairs)


def _index_input(
    embedding: IndexRecord, row: np.ndarray, record: PassRecord, inputs: Mapping[str, Any]
) -> IndexInput:
    names = record.sites[embedding.site].model_inputs
    name = names[0] if len(names) == 1 else ""
    facts = dict(zip(COLUMNS, map(float, row), strict=True))
    if name in inputs:
        facts = _facts(np.asarray(to_numpy(inputs[name])), embedding.num_rows)
    return IndexInput(embedding.site, name, embedding.num_rows, **facts)


def _facts(ids: np.ndarray, num_rows: int) -> dict[str, float]:
    ids = ids.astype("float64")  # which holds integers up to 2^53
    is_finite = np.isfinite(ids)
    finite = np.where(is_finite, ids, 0.0)
    is_inside = is_finite & (finite >= 0) & (finite < num_rows)
    is_whole = is_finite & (finite == np.floor(finite))
    extent = (finite.min(), finite.max(), 1 - is_inside.mean(), 1 - is_whole.mean())
    return dict(zip(COLUMNS, map(float, extent), strict=True))
