"""The batch that a model is probed with before training."""

from dataclasses import replace
from typing import Any

from keras_initcheck.probe.data.arguments import as_batch_size
from keras_initcheck.probe.data.batch import BATCH_SIZE, Batch, take_batch
from keras_initcheck.probe.data.synthetic import synthetic_inputs

SYNTHETIC = "standard normal inputs"
"""`Batch.source` of a batch that was made up."""


def probe_batch(
    model: Any,
    x: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    seed: int = 0,
) -> Batch:
    """The first batch of the data, or a synthetic one for a model that comes without data.

    Args:
        model: The model that takes it.
        x: As in `take_batch`; `None` for synthetic inputs.
        y: As in `take_batch`.
        sample_weight: As in `take_batch`.
        batch_size: Samples to take from arrays or to draw, 32 unless told.
        seed: Seed of synthetic inputs.

    Raises:
        ValueError: `y` came without `x`, or `batch_size` is not positive.
        DataError: As in `take_batch` and `synthetic_inputs`.
    """
    batch_size = as_batch_size(batch_size)
    if x is not None:
        return take_batch(x, y, sample_weight, batch_size)
    if y is not None:
        raise ValueError(
            "`y` must come with `x`. Received: y without x. Pass both, or neither for synthetic"
            " inputs."
        )
    inputs = synthetic_inputs(model, batch_size or BATCH_SIZE, seed)
    batch = take_batch(inputs, batch_size=batch_size)
    return replace(batch, source=SYNTHETIC, is_synthetic=True)
