"""The pass on TensorFlow.

A repeated pass is a graph, without XLA; a single one runs eagerly, because tracing takes ten times
as long as an eager call. State stands in `tensorflow_state`, replicas in `tensorflow_devices`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_initcheck.probe.engine.defaults import holding as holding
from keras_initcheck.probe.engine.defaults import num_bytes as num_bytes
from keras_initcheck.probe.engine.defaults import own_tensors as own_tensors
from keras_initcheck.probe.engine.defaults import place_row as place_row
from keras_initcheck.probe.engine.defaults import without_gradients as without_gradients
from keras_initcheck.probe.engine.protocol import (
    CompiledPass,
    ForwardPass,
    HostRow,
    LinearMap,
    Row,
    WayBack,
)
from keras_initcheck.probe.engine.row_layout import gradients_of, weight_gradients_of
from keras_initcheck.probe.engine.tensorflow_devices import building_scope as building_scope
from keras_initcheck.probe.engine.tensorflow_devices import gather as gather
from keras_initcheck.probe.engine.tensorflow_devices import is_first_process as is_first_process
from keras_initcheck.probe.engine.tensorflow_devices import replay as replay
from keras_initcheck.probe.engine.tensorflow_devices import sparse_head as sparse_head
from keras_initcheck.probe.engine.tensorflow_devices import without_strategy as without_strategy
from keras_initcheck.probe.engine.tensorflow_rows import fast_gradient_row as fast_gradient_row
from keras_initcheck.probe.engine.tensorflow_rows import fast_signal_row as fast_signal_row
from keras_initcheck.probe.engine.tensorflow_rows import fast_weight_row as fast_weight_row
from keras_initcheck.probe.engine.tensorflow_rows import join_rows as join_rows
from keras_initcheck.probe.engine.tensorflow_rows import put_together
from keras_initcheck.probe.engine.tensorflow_state import MODULES as MODULES
from keras_initcheck.probe.engine.tensorflow_state import TENSORS as TENSORS
from keras_initcheck.probe.engine.tensorflow_state import capture_randomness as capture_randomness
from keras_initcheck.probe.engine.tensorflow_state import capture_tensor as capture_tensor
from keras_initcheck.probe.engine.tensorflow_state import is_closed
from keras_initcheck.probe.engine.tensorflow_state import isolated_randomness as isolated_randomness
from keras_initcheck.probe.engine.tensorflow_update import updated_values as updated_values
from keras_initcheck.probe.keras_types import Model, Tensor
from keras_initcheck.records.errors import InitCheckError

try:
    # Private: no public way gives a tape a gradient of one's own and leaves nothing behind.
    from tensorflow.python.eager import record
except ImportError:
    record = None

LOGITS = "_keras_logits"
"""Attribute that Keras sets on the result of a softmax or a sigmoid: the tensor before it. Private,
and nothing public replaces it: on TensorFlow, Keras' cross-entropies take the logits from there and
clip no probability, so that a copy of the result without it has another loss."""


def row_dtype() -> str:
    """float64, which TensorFlow has on every device."""
    return "float64"


def stop_gradient(tensor: Tensor) -> Tensor:
    """`tensor`, cut off from differentiation, and the logits behind it as well.

    Where no tape records, nothing is to be cut: an operation less for each gradient.
    """
    if isinstance(tensor, tf.Tensor) and record is not None and not record.could_possibly_record():
        return tensor
    logits = getattr(tensor, LOGITS, None)
    return _with_logits(
        tf.stop_gradient(tensor), None if logits is None else tf.stop_gradient(logits)
    )


def _with_logits(tensor: Any, logits: Any) -> Tensor:
    """`tensor`, in which losses find the logits behind it unless those are `None`."""
    if logits is not None:
        setattr(tensor, LOGITS, logits)
    found: Tensor = tensor
    return found


def trace_state() -> object:
    """The graph that is being traced, and whether tapes record.

    They do not inside of `tf.recompute_grad`.
    """
    graph = tf.compat.v1.get_default_graph() if tf.inside_function() else None
    return graph, record is None or record.could_possibly_record()


def to_numpy(tensor: Any) -> Any:
    """See `Engine.to_numpy`."""
    return (
        tensor.numpy()
        if isinstance(tensor, tf.Tensor | tf.Variable)
        else keras.ops.convert_to_numpy(tensor)
    )


def compile_row(row: Callable[..., Row], on_host: HostRow | None = None) -> Callable[..., Row]:
    """`row`, traced once for each rank and dtype, whatever the sizes.

    One call takes the place of the few dozen that make a row.
    """

    def call(*tensors: Any) -> Any:
        kinds = tuple((tf.as_dtype(tensor.dtype), len(tensor.shape)) for tensor in tensors)
        return _traced_row(row, kinds, keras.config.image_data_format())(*tensors)

    return call


@functools.cache
def _traced_row(
    row: Callable[..., Any], kinds: tuple[tuple[Any, int], ...], data_format: str
) -> Callable[..., Any]:
    """The traced row, kept for all models; its units are where `data_format` has the channels."""
    signature = [tf.TensorSpec([None] * rank, dtype) for dtype, rank in kinds]
    traced: Callable[..., Any] = tf.function(
        row, input_signature=signature, autograph=False
    ).get_concrete_function()
    return traced


class Slot:
    """The place where the row of one tensor's gradient arrives.

    Args:
        width: Number of columns of the row.
        dtype: Its dtype.
        source: A tensor that is watched, so that a tape follows what a tap passes on.
    """

    def __init__(self, width: int, dtype: str, source: Tensor) -> None:
        self.source: Tensor = source
        self._width = width
        self._dtype = dtype
        self._row: Row | None = None

    def put(self, row: Row) -> None:
        """Keeps the row until it is taken."""
        self._row = row

    def take(self) -> Row:
        """The row that has arrived since the last call; zeros where none has."""
        row, self._row = self._row, None
        return tf.zeros([self._width], self._dtype) if row is None else row


def tap(tensor: Tensor, slot: Any, row: Callable[[Tensor], Row], is_copy: bool = False) -> Tensor:
    """See `Engine.tap`; the slot is no tensor, and is given the row.

    The logits behind the tensor are passed on as they are, so that the loss has the value and the
    gradients of a training. Where it takes them, no gradient reaches the tensor itself.

    TensorFlow registers each `tf.custom_gradient` of a traced function for good, and with it the
    graph and the model: it serves only where TensorFlow has moved `record`.
    """

    def backward(upstream: Any) -> tuple[Any, None]:
        upstream = tf.convert_to_tensor(upstream)
        slot.put(row(upstream))
        return upstream, None

    logits = getattr(tensor, LOGITS, None)
    if record is None:
        passed = tf.custom_gradient(lambda tensor, source: (tf.identity(tensor), backward))(
            tensor, slot.source
        )
        return _with_logits(passed, logits)
    with record.stop_recording():
        passed = tf.identity(tensor)
    record.record_operation("InitCheckTap", [passed], [tensor, slot.source], backward)
    return _with_logits(passed, logits)


def linearize(
    function: Callable[[list[Tensor]], Tensor], tensors: list[Tensor], way_back: WayBack
) -> LinearMap:
    """See `Engine.linearize`; `J v` is the gradient of `Jᵀ u`, which is linear in `u`."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        outputs = function(tensors)

    def pull(vector: np.ndarray) -> list[Any]:
        direction = tf.cast(vector, outputs.dtype)
        zeros = tf.UnconnectedGradients.ZERO
        with way_back():
            return list(
                tape.gradient(
                    outputs, tensors, output_gradients=direction, unconnected_gradients=zeros
                )
            )

    def push(tangents: list[Any]) -> np.ndarray:
        direction = tf.zeros_like(outputs)
        with way_back(), tf.GradientTape() as outer:
            outer.watch(direction)
            pulled = tape.gradient(
                outputs,
                tensors,
                output_gradients=direction,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        found = outer.gradient(
            pulled,
            direction,
            output_gradients=tangents,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return np.asarray(found)

    return LinearMap(math.prod(outputs.shape), pull, push)


def compile_pass(forward: ForwardPass, model: Model, is_repeated: bool) -> CompiledPass:
    """See `Engine.compile_pass`."""
    traced: list[Callable[[Any], Tensor]] = []

    def call_traced(batch: Any) -> np.ndarray:
        if not traced:
            # A concrete function, because TensorFlow would warn of retracing where many models are
            # probed, each in a function of its own.
            function = tf.function(lambda batch: _all_rows(forward, model, batch), autograph=False)
            traced.append(function.get_concrete_function(batch))
            forward.is_closed = is_closed(traced[0], model)
        return np.asarray(traced[0](batch))

    def call(batch: Any) -> np.ndarray:
        if is_repeated:
            return call_traced(batch)
        try:
            return np.asarray(_all_rows(forward, model, batch))
        except InitCheckError:
            raise
        except Exception as error:
            return _retry_as_graph(lambda: call_traced(batch), model, error)

    return CompiledPass(call)


def _all_rows(forward: ForwardPass, model: Model, batch: Any) -> Tensor:
    """All rows of a pass, as one vector."""
    slots: list[Slot] = []

    def make_slot(width: int, dtype: str) -> Slot:
        slots.append(Slot(width, dtype, source))
        return slots[-1]

    variables = [variable.value for variable in model.trainable_variables]
    source = tf.zeros([])
    # Under a persistent tape TensorFlow makes each loop differentiable twice, which costs a fifth
    # of a recurrent network's pass.
    with tf.GradientTape(persistent=forward.most_objectives > 1) as tape:
        tape.watch(source)
        result = forward(make_slot, batch, ())
    rows = dict(result.rows)
    for name, objective in result.objectives.items():
        wanted = variables if name in result.trained else []
        with forward.way_back():
            _, of_weights = tape.gradient(objective, [source, wanted])
        rows[gradients_of(name)] = [slot.take() for slot in slots]
        present = (_present(*pair) for pair in zip(of_weights, wanted, strict=True))
        gradients = [tf.convert_to_tensor(each) for each in present]
        rows[weight_gradients_of(name)] = list(map(forward.gradient_row, gradients))
        if name in result.trained:
            forward.keep(gradients)
    return put_together(result.layout.pack(rows), row_dtype())


def _retry_as_graph(call: Callable[[], np.ndarray], model: Model, error: Exception) -> np.ndarray:
    """The rows of a pass that failed eagerly, run as a graph, as a training would run it.

    Keras' own float8 layers, for one, run in graphs only.
    """
    if getattr(model, "run_eagerly", False):
        raise error
    try:
        return call()
    except Exception:
        # The eager error has the message that a user can read.
        raise error from error.__cause__


def _present(gradient: Tensor | None, source: Tensor) -> Tensor:
    """A gradient, or zeros where the objective does not depend on its source."""
    return tf.zeros_like(source) if gradient is None else gradient
