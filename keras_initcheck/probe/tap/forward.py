"""The forward pass under observation, as a function that an engine can differentiate. Written once
for all backends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine import row_layout, statistics_rows
from keras_initcheck.probe.engine.row_layout import RowLayout
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.tap import rank_sketch
from keras_initcheck.probe.tap.outputs_and_labels import observed
from keras_initcheck.probe.tap.pass_record import LOSS, RANDOM, Options, PassRecord
from keras_initcheck.probe.tap.recorder import Channel, Recorder
from keras_initcheck.probe.tap.refused_loss import why_left_out

COMPLEX = "complex numbers are not measured, and a layer of real numbers drops their imaginary part"
_COTANGENT_SIZE = 2**16 + 1  # a prime: tiling it never lines up with an axis


@dataclass
class Pass:
    """What an engine differentiates and brings to the host.

    Attributes:
        objectives: Scalars to differentiate, by name.
        rows: The rows of the forward pass, by section; the engine adds those of the gradients.
        layout: Order of all rows.
        trained: Names of the objectives whose gradients of the weights are wanted, too.
    """

    objectives: dict[str, Any]
    rows: dict[str, list[Any]]
    layout: RowLayout
    trained: tuple[str, ...] = (LOSS,)


class Forward:
    """The pass of one model under one set of options.

    Args:
        model: A built Keras model.
        engine: The backend's engine module.
        options: What to compute.

    Attributes:
        record: What the rows stand for; made anew whenever the pass is traced.
        copies: Whether what is observed is passed on as a copy: for layers that write to the
            tensors they are given.
        failed_at: Path of the layer at which the latest run failed, if at one.
    """

    def __init__(self, model: Any, engine: ModuleType, options: Options) -> None:
        self.model = model
        self.engine = engine
        self.options = options
        self.record = PassRecord(self.options)
        self.copies = False
        self.failed_at: str | None = None
        self._exact_row = engine.compile_row(statistics_rows.exact_row)
        self._exact_weight_row = engine.compile_row(statistics_rows.exact_weight_row)

    def __call__(
        self, make_slot: Callable[[int, str], Any], parts: Any, state_mapping: Any
    ) -> Pass:
        """Runs the model once on the parts of a batch, a nest of tensors that can be traced.

        The engine provides the slots and, on JAX, the variables' values.
        """
        batch = Batch(*parts)
        record = self.record = PassRecord(
            self.options, trainable=list(self.model.trainable_variables)
        )
        taps: list[Any] = []
        links: list[Any] = []

        def observe(tensor: Any) -> tuple[Any, Channel]:
            channel = Channel(
                len(taps), tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)
            )
            taps.append(self.signal_row(tensor))
            record.channels.append(channel)
            return (
                self.engine.tap(
                    tensor,
                    make_slot(self.options.gradient_width, self._slot_dtype),
                    self.gradient_row,
                    self.copies,
                ),
                channel,
            )

        def relate(before: Any, after: Any) -> int:
            links.append(
                statistics_rows.turns(
                    self.engine.stop_gradient(before), self.engine.stop_gradient(after)
                )
            )
            return len(links) - 1

        with keras.StatelessScope(
            state_mapping or introspection.regularised_values(self.model), collect_losses=True
        ):
            weights = self._weight_rows(record)
            sketches = self._sketches(record)
            recorder = Recorder(self.model, observe, relate, self.engine.trace_state)
            recorder.enter(batch.x)
            inputs = self._input_rows(record, batch.x)
            try:
                with recorder.installed():
                    outputs = recorder.leave(introspection.call_model(self.model, batch.x))
            finally:
                self.failed_at = recorder.failed_at
            objectives, scalars = self._objectives(record, batch, outputs, recorder)
            record.objectives = list(objectives)
            compared = self._target_rows(record, batch, outputs, recorder)
        record.sites, record.unobserved = recorder.sites, recorder.unobserved
        record.num_links = len(links)
        rows = {
            row_layout.SCALARS: [scalars],
            row_layout.LINKS: [ops.stack(links)] if links else [],
            row_layout.OUTPUTS: compared,
            row_layout.SKETCHES: sketches,
            row_layout.INPUTS: inputs,
            row_layout.WEIGHTS: weights,
            row_layout.SIGNALS: taps,
        }
        return Pass(objectives, rows, record.rows)

    def signal_row(self, tensor: Any) -> Any:
        """The row of a signal."""
        return self._row(
            tensor, self._exact_row if self.options.is_exact else self.engine.fast_signal_row
        )

    def gradient_row(self, tensor: Any) -> Any:
        """The row of a gradient."""
        return self._row(
            tensor, self._exact_row if self.options.is_exact else self.engine.fast_gradient_row
        )

    def weight_row(self, tensor: Any) -> Any:
        """The row of a weight."""
        if not self.options.is_exact:
            return self._row(tensor, self.engine.fast_gradient_row)
        return self._row(
            tensor, lambda values: self._exact_weight_row(values, statistics_rows.signs_for(values))
        )

    def _row(self, tensor: Any, statistics: Callable[[Any], Any]) -> Any:
        tensor = self.engine.stop_gradient(tensor)
        row = statistics(tensor)
        if self.options.with_histograms:
            row = ops.concatenate([row, ops.cast(statistics_rows.histogram_row(tensor), row.dtype)])
        return ops.cast(row, self._slot_dtype)

    @property
    def _slot_dtype(self) -> str:
        return self.engine.row_dtype() if self.options.is_exact else "float32"

    def _weight_rows(self, record: PassRecord) -> list[Any]:
        record.weights = [
            v
            for v in self.model.weights
            if keras.backend.is_float_dtype(v.dtype) and 0 not in v.shape
        ]
        return [self.weight_row(variable.value) for variable in record.weights]

    def _sketches(self, record: PassRecord) -> list[Any]:
        record.sketched = (
            [v for v in record.weights if rank_sketch.is_sketched(v)]
            if self.options.is_exact
            else []
        )
        return [
            rank_sketch.row(self.engine.stop_gradient(variable.value))
            for variable in record.sketched
        ]

    def _input_rows(self, record: PassRecord, x: Any) -> list[Any]:
        found: list[Any] = []
        for path, tensor in introspection.flatten_with_names(x):
            if is_observable(tensor):
                record.inputs.append(
                    (path, Channel(len(found), tuple(tensor.shape), str(tensor.dtype)))
                )
                found.append(self.signal_row(tensor))
            elif "complex" in keras.backend.standardize_dtype(tensor.dtype):
                record.notes.append((path, COMPLEX))
        return found

    def _target_rows(
        self, record: PassRecord, batch: Batch, outputs: Any, recorder: Recorder
    ) -> list[Any]:
        """Of a single probe: labels do not change in a training."""
        if (
            not self.options.is_exact
            or LOSS not in self.options.cotangents
            or not introspection.is_compiled(self.model)
        ):
            return []
        has_loss = LOSS in record.objectives
        found = observed(
            self.model, batch.y, outputs, recorder, self.engine.stop_gradient, has_loss=has_loss
        )
        record.outputs = [output for output, _ in found]
        return [row for _, row in found]

    def _objectives(
        self, record: PassRecord, batch: Batch, outputs: Any, recorder: Recorder
    ) -> tuple[dict[str, Any], Any]:
        found: dict[str, Any] = {}
        scale = loss = ops.ones((), "float32")
        if LOSS in self.options.cotangents and introspection.is_compiled(self.model):
            value = self._loss(record, batch, outputs)
            if value is not None:
                loss = ops.cast(value, "float32")
                scaled = self._scaled(value)
                scale = ops.cast(self._scaled(ops.ones((), value.dtype)), "float32")
                found[LOSS] = scaled
        if RANDOM in self.options.cotangents:
            value = self._random_objective(record, outputs, recorder)
            if value is not None:
                found[RANDOM] = value
        return found, self.engine.stop_gradient(ops.stack([loss, scale]))

    def _scaled(self, value: Any) -> Any:
        """As in training: under mixed float16 an unscaled gradient would vanish in the number
        format, not in the network.
        """
        optimizer = getattr(self.model, "optimizer", None)
        return optimizer.scale_loss(value) if optimizer is not None else value

    def _loss(self, record: PassRecord, batch: Batch, outputs: Any) -> Any | None:
        try:
            return introspection.compute_loss(
                self.model, batch.x, batch.y, outputs, batch.sample_weight
            )
        except Exception as error:
            note = why_left_out(self.model, batch, outputs, error)
            if note is None:
                raise
            record.notes.append(("loss", note))
            return None

    def _random_objective(self, record: PassRecord, outputs: Any, recorder: Recorder) -> Any | None:
        generator = np.random.default_rng(self.options.seed)
        terms = []
        for output in keras.tree.flatten(outputs):
            if is_observable(output):
                start = recorder.before_activation(output)
                record.cotangent_places.append(recorder.cotangent_place(output))
                size = min(int(np.prod(start.shape)), _COTANGENT_SIZE)
                direction = statistics_rows.tiled(
                    generator.standard_normal(size), tuple(start.shape), start.dtype
                )
                terms.append(ops.sum(ops.cast(start * direction, "float32")))
        return sum(terms[1:], terms[0]) if terms else None
