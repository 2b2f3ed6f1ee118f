"""Each output beside its labels and its loss.

A small row is made on the device while the pass is traced, and an `OutputStats` of it on the host.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_dense, is_observable
from keras_initcheck.probe.keras_model.activations import UNKNOWN, following_activation
from keras_initcheck.probe.keras_model.introspection import without_warning_of_logits
from keras_initcheck.probe.keras_model.losses import (
    OutputWithLoss,
    match_outputs,
    suppose_output,
)
from keras_initcheck.probe.tap import label_statistics
from keras_initcheck.probe.tap.recorder import Recorder
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.records.data import Labels, OutputStats

NUM_COLUMNS = 5
"""Loss, smallest and largest output, largest magnitude of the logits, and their standard deviation
relative to that.
"""

SQUASHING = ("softmax", "sigmoid")
"""Activations that a loss of logits would apply again."""
LARGEST_DIFFERENCE = 1e-4
"""Relative difference of two values of one loss, from rounding."""
MOST_VALUES = 2**22
"""Most labels that are brought to the host; of a larger batch, those of the first samples."""


@dataclass(frozen=True)
class OutputRecord:
    """An output and its labels, noted while the pass is traced.

    Attributes:
        pairing: The output's name, key and loss. The output itself is left out: a record outlives
            the pass, and a tensor would keep all that it was computed from.
        site: Index of the site that made the output, or `None`.
        activation: Name of its activation; `None` for the identity.
        inner_activation: As `OutputStats.inner_activation`.
        width: Number of its units.
        has_logits: Whether the columns of the logits mean anything.
    """

    pairing: OutputWithLoss
    site: int | None
    activation: str | None
    inner_activation: str | None
    width: int
    has_logits: bool


def observe_outputs(
    model: Any,
    y: Any,
    outputs: Any,
    recorder: Recorder,
    stop_gradient: Callable[[Any], Any],
    *,
    has_loss: bool,
) -> list[tuple[OutputRecord, Any]]:
    """A record and a row `(NUM_COLUMNS,)` for each output whose labels and loss are known.

    The loss in the row is NaN unless `has_loss`.
    """
    found = []
    known = match_outputs(model, y, outputs)
    for pairing in known or (suppose_output(model, y, outputs) if has_loss else []):
        site = recorder.maker(pairing.output)
        activation = _activation(site)
        is_of_interest = not pairing.loss.is_supposed or activation in SQUASHING
        if is_of_interest and _are_comparable(pairing, y):
            logits = (
                pairing.output
                if pairing.loss.from_logits or activation is None
                else recorder.owners.before_activation(pairing.output)
            )
            has_logits = activation != UNKNOWN or pairing.loss.from_logits
            record = OutputRecord(
                replace(pairing, output=None),
                site.index if site else None,
                activation,
                _inner_activation(site, recorder.sites),
                int(pairing.output.shape[-1]),
                has_logits,
            )
            found.append(
                (
                    record,
                    _row(
                        pairing, y, stop_gradient(pairing.output), stop_gradient(logits), has_loss
                    ),
                )
            )
    return found


def output_stats(
    records: Sequence[OutputRecord], rows: np.ndarray, y: Any, is_weighted: bool, loss: float
) -> tuple[OutputStats, ...]:
    """The records with their measured rows and the statistics of their labels.

    Args:
        records: The outputs.
        rows: Their rows.
        y: The labels.
        is_weighted: Whether sample weights came with the batch.
        loss: Value of the model's loss without penalties, which a supposed loss must have.
    """
    found = (
        _output_stats(record, row, y, is_weighted)
        for record, row in zip(records, rows, strict=True)
        if not record.pairing.loss.is_supposed
        or math.isclose(row[0], loss, rel_tol=LARGEST_DIFFERENCE)
    )
    return tuple(each for each in found if each is not None)


def _are_comparable(pairing: OutputWithLoss, y: Any) -> bool:
    """Whether labels and output belong together element by element, or class number by row."""
    labels = pairing.labels(y)
    if not is_observable(pairing.output) or not is_dense(labels) or len(pairing.output.shape) < 2:
        return False
    num_labels, num_outputs = math.prod(labels.shape), math.prod(pairing.output.shape)
    per_label = (
        int(pairing.output.shape[-1])
        if pairing.loss.name == "sparse_categorical_crossentropy"
        else 1
    )
    return bool(num_labels * per_label == num_outputs)


def has_invalid_labels(model: Any, y: Any, outputs: Any) -> bool:
    """Whether labels are out of range for their loss, so that a framework may refuse them.

    `False` where a traced pass cannot read them.
    """
    try:
        found = [
            _statistics(pairing, int(pairing.output.shape[-1]), y)
            for pairing in match_outputs(model, y, outputs)
            if _are_comparable(pairing, y)
        ]
    except Exception:  # each framework has its own error for a symbolic tensor without values
        return False
    return any(statistics is not None and statistics.share_invalid > 0 for statistics in found)


def _statistics(pairing: OutputWithLoss, width: int, y: Any) -> Labels | None:
    values, loss = pairing.labels(y), pairing.loss
    count = max(1, MOST_VALUES // math.prod(values.shape[1:]))
    return label_statistics.statistics(
        to_numpy(values[:count]), width, loss.name, loss.ignored_class
    )


def _output_stats(
    record: OutputRecord, row: np.ndarray, y: Any, is_weighted: bool
) -> OutputStats | None:
    loss = record.pairing.loss
    statistics = _statistics(record.pairing, record.width, y)
    if statistics is None:
        return None
    value, minimum, maximum, size, relative_deviation = (float(number) for number in row)
    return OutputStats(
        name=record.pairing.name,
        site=record.site,
        activation=record.activation,
        inner_activation=record.inner_activation,
        is_own_loss=loss.is_supposed,
        width=record.width,
        loss=loss.name,
        from_logits=loss.from_logits,
        value=value,
        minimum=minimum,
        maximum=maximum,
        logit_deviation=size * relative_deviation if record.has_logits else math.nan,
        labels=statistics,
        is_weighted=is_weighted,
    )


def _activation(site: SiteRecord | None) -> str | None:
    """Name of the activation that makes the output of a site.

    A softmax over another axis than the last one counts as unknown.
    """
    if site is None or site.kind not in ("weight", "activation"):
        return UNKNOWN
    if isinstance(site.layer, keras.layers.Softmax) and site.layer.axis != -1:
        return UNKNOWN
    function = site.activation if site.kind == "weight" else site.layer
    return None if function is None else following_activation(function).name


def _inner_activation(site: SiteRecord | None, sites: Sequence[SiteRecord]) -> str | None:
    """Name of the activation whose result an activation layer at the output receives."""
    if site is None or site.kind != "activation":
        return None
    while site.kind in ("activation", "pass") and site.inputs_known and len(site.inputs) == 1:
        site = sites[site.inputs[0]]
        activation = _activation(site)
        if site.kind != "pass":
            return None if activation == UNKNOWN else activation
    return None


def _row(pairing: OutputWithLoss, y: Any, output: Any, logits: Any, has_loss: bool) -> Any:
    output, logits = (ops.cast(tensor, "float32") for tensor in (output, logits))
    with without_warning_of_logits():
        value = pairing.loss.function(pairing.labels(y), output) if has_loss else math.nan
    size = ops.max(ops.abs(logits))
    # Squares of large logits would overflow.
    scaled = logits / ops.where(size > 0, size, ops.ones_like(size))
    is_softmax = (
        pairing.loss.name.endswith("categorical_crossentropy") and int(logits.shape[-1]) > 1
    )
    variance = ops.mean(ops.var(scaled, axis=-1)) if is_softmax else ops.var(scaled)
    columns = (value, ops.min(output), ops.max(output), size, ops.sqrt(variance))
    return ops.stack([ops.cast(column, "float32") for column in columns])
