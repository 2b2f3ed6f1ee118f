"""The forward pass under observation, written once for all backends.

It is a function that an engine can trace and differentiate.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import keras
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine import row_layout, statistics_rows
from keras_initcheck.probe.engine.protocol import (
    BatchParts,
    Engine,
    PassResult,
    Row,
    StateMapping,
)
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.graph import operations_without_layers
from keras_initcheck.probe.keras_model.model_inputs import named_inputs
from keras_initcheck.probe.keras_model.private_api import flatten_layers
from keras_initcheck.probe.keras_types import KerasVariable, Layer, Model, Nest, Tensor
from keras_initcheck.probe.tap import index_rows, rank_sketch
from keras_initcheck.probe.tap.index_rows import IndexRecord
from keras_initcheck.probe.tap.objectives import make_objectives, wants_loss
from keras_initcheck.probe.tap.outputs_and_labels import observe_outputs
from keras_initcheck.probe.tap.pass_record import LOSS, Options, PassRecord
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.recorder import Recorder
from keras_initcheck.probe.tap.row_maker import RowMaker
from keras_initcheck.probe.tap.site_record import Channel
from keras_initcheck.probe.tap.wrapping import on_the_way_back

COMPLEX = "complex numbers are not measured, and a layer of real numbers drops their imaginary part"


class Forward:
    """The pass of one model under one set of options.

    Args:
        model: A built Keras model.
        engine: The backend's engine.
        options: What to compute.

    Attributes:
        record: What the rows of the latest trace stand for. A compiled pass is traced once, and an
            eager one whenever it runs.
        failed_at: Path of the layer at which the latest run failed, or `None`.
        is_closed: See `ForwardPass`.
        most_objectives: See `ForwardPass`.
    """

    def __init__(self, model: Model, engine: Engine, options: Options) -> None:
        self.record: PassRecord = PassRecord(options)
        self.failed_at: str | None = None
        self.most_objectives: int = len(options.cotangents)
        self.is_closed: bool = False
        self._keep: Callable[[], None] = _nothing
        self._recorder: Recorder | None = None
        self._model = model
        self._engine = engine
        self._options = options
        self._rows = RowMaker(engine, options)
        self._gradients: list[Tensor] = []

    def __call__(
        self,
        make_slot: Callable[[int, str], Tensor],
        parts: BatchParts,
        state_mapping: StateMapping,
        passes_copies: bool = False,
    ) -> PassResult:
        """Runs the model once on the parts of a batch; see `ForwardPass`."""
        self._keep()
        batch = Batch(*parts)
        trainable = list(self._model.trainable_variables)
        record = self.record = PassRecord(self._options, trainable=trainable)
        observer = _Observer(self._engine, self._rows, record, make_slot, passes_copies)
        # Assignments inside go to the scope and are dropped with it: moving statistics, seeds.
        with keras.StatelessScope(
            state_mapping or introspection.regularized_values(self._model), collect_losses=True
        ):
            record.weights = list(filter(_is_measured, self._model.weights))
            of_weights = self._weight_rows(record.weights, of_kernels=False)
            rows = {row_layout.INPUTS: self._input_rows(record, batch.x)}
            recorder, outputs = self._run_model(observer, batch.x)
            of_weights |= self._weight_rows(record.weights, of_kernels=True)
            rows[row_layout.WEIGHTS] = [of_weights[id(variable)] for variable in record.weights]
            rows[row_layout.SKETCHES] = self._sketches(record)
            objectives, scalars = make_objectives(
                self._model, batch, outputs, recorder.owners, record
            )
            record.objectives = list(objectives)
            rows[row_layout.OUTPUTS] = self._output_rows(record, batch, outputs, recorder)
        rows[row_layout.SCALARS] = [self._engine.stop_gradient(scalars)]
        rows[row_layout.LINKS] = [ops.stack(observer.links)] if observer.links else []
        rows[row_layout.SIGNALS] = observer.rows
        rows[row_layout.INDICES] = observer.index_rows
        record.num_links = len(observer.links)
        record.sites, record.unobserved = recorder.sites, recorder.unobserved
        return PassResult(objectives, rows, record.rows, trained=(LOSS,))

    @contextlib.contextmanager
    def preserving(self) -> Iterator[None]:
        """A context for a run of the pass, which puts back whatever that does to Python objects.

        Raises:
            ProbeError: As in `preserved`.
        """
        with preserved(self._model, is_deferred=self.is_closed) as self._keep:
            try:
                yield
            finally:
                self._keep = _nothing

    def num_called(self) -> int:
        """The number of layers that the latest run has called so far."""
        recorder = self._recorder
        return 0 if recorder is None else len(recorder.sites)

    def gradient_row(self, tensor: Tensor) -> Row:
        """The row of a gradient."""
        return self._rows.gradient(tensor)

    @property
    def num_layers(self) -> int:
        """See `ForwardPass.num_layers`."""
        operations = operations_without_layers(self._model)
        return len(flatten_layers(self._model)) + len(operations)

    @property
    def slot_type(self) -> tuple[int, str]:
        """See `ForwardPass.slot_type`."""
        return self._options.gradient_width, self._rows.dtype

    @property
    def keeps_gradients(self) -> bool:
        """Whether the options ask for it."""
        return self._options.keeps_gradients

    def keep(self, gradients: Sequence[Tensor]) -> None:
        """Keeps the gradients of the trainable variables where the options ask for it."""
        if self._options.keeps_gradients:
            self._gradients = list(gradients)

    def take_gradients(self) -> list[Tensor]:
        """The gradients of the trainable variables that the latest run kept; then they are gone."""
        kept, self._gradients = self._gradients, []
        return kept

    def way_back(self) -> AbstractContextManager[None]:
        """A context for the backward pass; see `wrapping.on_the_way_back`."""
        return on_the_way_back(self._model)

    def _run_model(self, observer: "_Observer", x: Nest) -> tuple[Recorder, Nest]:
        recorder = Recorder(
            self._model,
            observer.observe,
            observer.take_indices,
            observer.relate,
            self._engine.trace_state,
        )
        self._recorder = recorder
        recorder.enter(x)
        try:
            with recorder.installed():
                return recorder, recorder.leave(introspection.call_in_training(self._model, x))
        finally:
            self.failed_at, self._recorder = recorder.failed_at, None

    def _weight_rows(
        self, variables: Sequence[KerasVariable], *, of_kernels: bool
    ) -> dict[int, Row]:
        """Rows of variables by their identity, of kernels or of all others.

        Kernels are measured behind the call of the model, as it has used them: Keras'
        `SpectralNormalization` assigns them in each. Vectors are measured before it, since the
        moving statistics of a batch normalization change.
        """
        return {
            id(variable): self._rows.weight(variable.value)
            for variable in variables
            if (len(variable.shape) > 1) is of_kernels
        }

    def _sketches(self, record: PassRecord) -> list[Row]:
        """Rows of a single probe: ranks change little in a training."""
        if self._options.is_exact:
            record.sketched = list(filter(rank_sketch.is_sketched, record.weights))
        stop_gradient = self._engine.stop_gradient
        row = self._engine.place_row(rank_sketch.row, rank_sketch.ON_HOST)
        return [row(stop_gradient(variable.value)) for variable in record.sketched]

    def _input_rows(self, record: PassRecord, x: Nest) -> list[Row]:
        found: list[Row] = []
        for path, tensor in named_inputs(self._model, x):
            if is_observable(tensor):
                channel = Channel(len(found), tuple(tensor.shape), str(tensor.dtype))
                record.inputs.append((path, channel))
                found.append(self._rows.signal(tensor))
            elif "complex" in keras.backend.standardize_dtype(tensor.dtype):
                record.notes.append((path, COMPLEX))
        return found

    def _output_rows(
        self, record: PassRecord, batch: Batch, outputs: Nest, recorder: Recorder
    ) -> list[Row]:
        """Rows of a single probe: labels do not change in a training."""
        if not self._options.is_exact or not wants_loss(self._model, record):
            return []
        stop_gradient, has_loss = self._engine.stop_gradient, LOSS in record.objectives
        found = observe_outputs(
            self._model, batch.y, outputs, recorder, stop_gradient, has_loss=has_loss
        )
        record.outputs = [output for output, _ in found]
        return [row for _, row in found]


class _Observer:
    """Rows of the tensors that are observed in one trace.

    Attributes:
        rows: Their rows, in order.
        links: Comparisons of one tensor with another.
        index_rows: Rows of what enters the embeddings.
    """

    def __init__(
        self,
        engine: Engine,
        rows: RowMaker,
        record: PassRecord,
        make_slot: Callable[[int, str], Tensor],
        passes_copies: bool,
    ) -> None:
        self.rows: list[Row] = []
        self.links: list[Tensor] = []
        self.index_rows: list[Row] = []
        self._engine = engine
        self._make = rows
        self._record = record
        self._make_slot = make_slot
        self._passes_copies = passes_copies

    def observe(self, tensor: Tensor) -> tuple[Tensor, Channel]:
        """The tensor to pass on in place of one, and the channel of its statistics.

        The row of its gradient arrives as the "gradient" of a slot, so that no gradient of an
        activation outlives its own step of the backward pass.
        """
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        channel = Channel(len(self.rows), tuple(tensor.shape), dtype)
        self.rows.append(self._make.signal(tensor))
        self._record.channels.append(channel)
        slot = self._make_slot(self._record.options.gradient_width, self._make.dtype)
        tapped = self._engine.tap(tensor, slot, self._make.gradient, self._passes_copies)
        return tapped, channel

    def take_indices(self, site: int, layer: Layer, ids: Tensor) -> Tensor:
        """The indices to pass to an embedding in place of `ids`, each one of its table's.

        A training fails at others by itself, before a repeated probe can.
        """
        if not self._record.options.is_exact:
            return ids
        embedding = IndexRecord(site, layer)
        self._record.indices.append(embedding)
        made = index_rows.row(ids, embedding.num_rows)
        self.index_rows.append(self._engine.stop_gradient(made))
        return index_rows.inside(ids, embedding.num_rows)

    def relate(self, before: Tensor, after: Tensor) -> int:
        """Compares two tensors of one shape, and returns the comparison's number."""
        stop_gradient = self._engine.stop_gradient
        self.links.append(statistics_rows.turns(stop_gradient(before), stop_gradient(after)))
        return len(self.links) - 1


def _nothing() -> None:
    """Nothing is kept outside of `preserving`."""


def _is_measured(variable: KerasVariable) -> bool:
    return bool(keras.backend.is_float_dtype(variable.dtype)) and 0 not in variable.shape
