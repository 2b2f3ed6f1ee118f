"""The forward pass under observation, as a function that an engine can differentiate. Written once
for all backends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.tap import rank_sketch
from keras_initcheck.probe.tap.outputs_and_labels import TargetRecord, observed
from keras_initcheck.probe.tap.recorder import Channel, Recorder, SiteRecord
from keras_initcheck.probe.tap.refused_loss import why_left_out

LOSS, RANDOM = "loss", "random"
COMPLEX = "complex numbers are not measured, and a layer of real numbers drops their imaginary part"
_COTANGENT_SIZE = 2**16 + 1  # a prime: tiling it never lines up with an axis


@dataclass(frozen=True)
class Options:
    """What a pass computes; each combination is compiled once per batch shape.

    Attributes:
        cotangents: Some of `"loss"` and `"random"`: where the backward passes start.
        is_exact: Whether every statistic is over every element and safe from overflow. Otherwise
            fast rows are made.
        with_histograms: Whether rows carry a histogram.
        seed: Seed of the random cotangent.
    """

    cotangents: tuple[str, ...] = (LOSS, RANDOM)
    is_exact: bool = True
    with_histograms: bool = False
    seed: int = 0

    def is_repeated(self, model: Any) -> bool:
        """Whether a pass of `model` will run often enough to be compiled, and may be."""
        return not self.is_exact and not getattr(model, "run_eagerly", False)

    @property
    def signal_width(self) -> int:
        """Number of columns of a signal's row."""
        return (
            statistics_rows.NUM_COLUMNS if self.is_exact else len(statistics_rows.FAST_SIGNAL)
        ) + self._histogram_width

    @property
    def gradient_width(self) -> int:
        """Number of columns of the row of a gradient or a weight."""
        return (
            statistics_rows.NUM_COLUMNS if self.is_exact else len(statistics_rows.FAST_GRADIENT)
        ) + self._histogram_width

    @property
    def _histogram_width(self) -> int:
        return 2 + statistics_rows.NUM_BINS if self.with_histograms else 0


@dataclass
class Layout:
    """What the rows of a pass stand for, learnt while it is traced; `cotangent_places` are those of
    `Recorder.cotangent_place`.
    """

    sites: list[SiteRecord] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    sketched: list[Any] = field(default_factory=list)
    inputs: list[tuple[str, Channel]] = field(default_factory=list)
    objectives: list[str] = field(default_factory=list)
    targets: list[TargetRecord] = field(default_factory=list)
    num_links: int = 0
    cotangent_places: list[tuple[int, bool] | None] = field(default_factory=list)
    unobserved: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Pass:
    """What an engine differentiates and brings to the host."""

    objectives: list[Any]
    with_weight_gradients: list[bool]
    rows: list[Any]


class Forward:
    """The pass of one model under one set of options.

    Args:
        model: A built Keras model.
        engine: The backend's engine module.
        options: What to compute.

    Attributes:
        layout: What the rows stand for; filled whenever the pass is traced.
        copies: Whether what is observed is passed on as a copy: for layers that write to the
            tensors they are given.
        failed_at: Path of the layer at which the latest run failed, if at one.
    """

    def __init__(self, model: Any, engine: ModuleType, options: Options) -> None:
        self.model = model
        self.engine = engine
        self.options = options
        self.layout = Layout()
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
        layout = self.layout = Layout()
        taps: list[Any] = []
        links: list[Any] = []

        def observe(tensor: Any) -> tuple[Any, Channel]:
            channel = Channel(
                len(taps), tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)
            )
            taps.append(self.signal_row(tensor))
            layout.channels.append(channel)
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
            weights = self._weight_rows(layout)
            sketches = self._sketches(layout)
            recorder = Recorder(self.model, observe, relate, self.engine.trace_state)
            recorder.enter(batch.x)
            inputs = self._input_rows(layout, batch.x)
            try:
                with recorder.installed():
                    outputs = recorder.leave(introspection.call_model(self.model, batch.x))
            finally:
                self.failed_at = recorder.failed_at
            objectives, scalars = self._objectives(layout, batch, outputs, recorder)
            compared = self._target_rows(layout, batch, outputs, recorder)
        layout.sites, layout.unobserved, layout.num_links = (
            recorder.sites,
            recorder.unobserved,
            len(links),
        )
        related = [ops.stack(links)] if links else []
        rows_in_order = [scalars, *related, *compared, *sketches, *inputs, *weights, *taps]
        return Pass(objectives, [name == LOSS for name in layout.objectives], rows_in_order)

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

    def _weight_rows(self, layout: Layout) -> list[Any]:
        layout.weights = [
            v
            for v in self.model.weights
            if keras.backend.is_float_dtype(v.dtype) and 0 not in v.shape
        ]
        return [self.weight_row(variable.value) for variable in layout.weights]

    def _sketches(self, layout: Layout) -> list[Any]:
        layout.sketched = (
            [v for v in layout.weights if rank_sketch.is_sketched(v)]
            if self.options.is_exact
            else []
        )
        return [
            rank_sketch.row(self.engine.stop_gradient(variable.value))
            for variable in layout.sketched
        ]

    def _input_rows(self, layout: Layout, x: Any) -> list[Any]:
        found: list[Any] = []
        for path, tensor in introspection.flatten_with_names(x):
            if is_observable(tensor):
                layout.inputs.append(
                    (path, Channel(len(found), tuple(tensor.shape), str(tensor.dtype)))
                )
                found.append(self.signal_row(tensor))
            elif "complex" in keras.backend.standardize_dtype(tensor.dtype):
                layout.notes.append((path, COMPLEX))
        return found

    def _target_rows(
        self, layout: Layout, batch: Batch, outputs: Any, recorder: Recorder
    ) -> list[Any]:
        """Of a single probe: labels do not change in a training."""
        if (
            not self.options.is_exact
            or LOSS not in self.options.cotangents
            or not introspection.is_compiled(self.model)
        ):
            return []
        has_loss = LOSS in layout.objectives
        found = observed(
            self.model, batch.y, outputs, recorder, self.engine.stop_gradient, has_loss=has_loss
        )
        layout.targets = [record for record, _ in found]
        return [row for _, row in found]

    def _objectives(
        self, layout: Layout, batch: Batch, outputs: Any, recorder: Recorder
    ) -> tuple[list[Any], Any]:
        found: list[Any] = []
        scale = loss = ops.ones((), "float32")
        if LOSS in self.options.cotangents and introspection.is_compiled(self.model):
            value = self._loss(layout, batch, outputs)
            if value is not None:
                loss = ops.cast(value, "float32")
                scaled = self._scaled(value)
                scale = ops.cast(self._scaled(ops.ones((), value.dtype)), "float32")
                layout.objectives.append(LOSS)
                found.append(scaled)
        if RANDOM in self.options.cotangents:
            value = self._random_objective(layout, outputs, recorder)
            if value is not None:
                layout.objectives.append(RANDOM)
                found.append(value)
        return found, self.engine.stop_gradient(ops.stack([loss, scale]))

    def _scaled(self, value: Any) -> Any:
        """As in training: under mixed float16 an unscaled gradient would vanish in the number
        format, not in the network.
        """
        optimizer = getattr(self.model, "optimizer", None)
        return optimizer.scale_loss(value) if optimizer is not None else value

    def _loss(self, layout: Layout, batch: Batch, outputs: Any) -> Any | None:
        try:
            return introspection.compute_loss(
                self.model, batch.x, batch.y, outputs, batch.sample_weight
            )
        except Exception as error:
            note = why_left_out(self.model, batch, outputs, error)
            if note is None:
                raise
            layout.notes.append(("loss", note))
            return None

    def _random_objective(self, layout: Layout, outputs: Any, recorder: Recorder) -> Any | None:
        generator = np.random.default_rng(self.options.seed)
        terms = []
        for output in keras.tree.flatten(outputs):
            if is_observable(output):
                start = recorder.before_activation(output)
                layout.cotangent_places.append(recorder.cotangent_place(output))
                size = min(int(np.prod(start.shape)), _COTANGENT_SIZE)
                direction = statistics_rows.tiled(
                    generator.standard_normal(size), tuple(start.shape), start.dtype
                )
                terms.append(ops.sum(ops.cast(start * direction, "float32")))
        return sum(terms[1:], terms[0]) if terms else None
