"""The probe's framework code on TensorFlow. A repeated pass is a graph, without XLA; a single one
runs eagerly, which is quicker.
"""

import contextlib
import functools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_initcheck.probe.engine.row_layout import gradients_of, weight_gradients_of
from keras_initcheck.probe.engine.statistics_rows import sample_stride
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse
from keras_initcheck.probe.tap.wrapping import on_the_way_back
from keras_initcheck.records.errors import InitCheckError

try:  # private: there is no other way to give a tape a gradient of one's own and leave nothing behind, see `tap`
    from tensorflow.python.eager import record
except ImportError:
    record = None
try:  # private: the only ways to the generators behind `tf.random`, without making one; see `kept_randomness`
    from tensorflow.python.eager.context import context as eager_context
    from tensorflow.python.ops import stateful_random_ops
except ImportError:
    eager_context, stateful_random_ops = lambda: None, None


def row_dtype() -> str:
    """Dtype of rows."""
    return "float64"


def stop_gradient(tensor: Any) -> Any:
    """`tensor`, cut off from differentiation."""
    return tf.stop_gradient(tensor)


def trace_state() -> object:
    """The graph that is being traced, and whether tapes record: they do not inside of
    `tf.recompute_grad`.
    """
    graph = tf.compat.v1.get_default_graph() if tf.inside_function() else None
    return graph, record is None or record.could_possibly_record()


def to_numpy(tensor: Any) -> Any:
    """See the package's docstring."""
    return (
        tensor.numpy()
        if isinstance(tensor, tf.Tensor | tf.Variable)
        else keras.ops.convert_to_numpy(tensor)
    )


def kept_randomness() -> Callable[[], None]:
    """Keras draws from stateless generators on TensorFlow; layers of the user's need not.

    Where `tf.random.normal` and the like run eagerly, their seeds come from a generator of
    TensorFlow's eager context. `tf.random.get_global_generator()` is one that anybody can use.
    """
    seeds = getattr(eager_context(), "_rng", None)
    shared = getattr(stateful_random_ops, "global_generator", None)
    state = seeds.getstate() if seeds is not None else None
    restore_shared = kept_tensor(shared.state) if shared is not None else None

    def restore() -> None:
        if seeds is not None:
            seeds.setstate(state)
        if restore_shared is not None:
            restore_shared()
        if getattr(stateful_random_ops, "global_generator", None) is not shared:
            tf.random.set_global_generator(shared)

    return restore


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """Eager draws get seeds of a stream that nobody else has: a kernel is kept by its seeds, and
    goes on where it was left.
    """
    restore, seeds = kept_randomness(), getattr(eager_context(), "_rng", None)
    if seeds is not None:
        seeds.setstate(random.Random("keras_initcheck").getstate())
    try:
        yield
    finally:
        restore()


MODULES: tuple[type, ...] = (tf.Module, tf.random.Generator)
TENSORS: tuple[type, ...] = (tf.Variable,)


def own_tensors(module: Any) -> list[Any]:
    """None that stand apart: a module holds its variables as attributes."""
    return []


def num_bytes(tensor: Any) -> int:
    """Variables are there to change: they are kept whatever they take."""
    return 0


def kept_tensor(variable: Any) -> Callable[[], None]:
    """What gives a variable that Keras does not know, and each part of one on several devices, the
    value that it has now.
    """
    parts = [
        part
        for part in getattr(variable, "values", [variable])
        if hasattr(part.handle, "numpy") and part.is_initialized()
    ]
    values = [(part, tf.identity(part)) for part in parts]

    def restore() -> None:
        for part, value in values:
            part.assign(value)

    return restore


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """TensorFlow records gradients on tapes only."""
    yield


def compile_row(row: Callable[..., Any]) -> Callable[..., Any]:
    """`row`, traced once for each rank and dtype, whatever the sizes: one call in place of the few
    dozen that make a row.
    """

    def call(*tensors: Any) -> Any:
        kinds = tuple((tf.as_dtype(tensor.dtype), len(tensor.shape)) for tensor in tensors)
        return _traced_row(row, kinds, keras.config.image_data_format())(*tensors)

    return call


@functools.cache
def _traced_row(
    row: Callable[..., Any], kinds: tuple[tuple[Any, int], ...], data_format: str
) -> Callable[..., Any]:
    """Kept for all models. A row looks for its units where `data_format` has the channels."""
    signature = [tf.TensorSpec([None] * rank, dtype) for dtype, rank in kinds]
    traced: Callable[..., Any] = tf.function(
        row, input_signature=signature, autograph=False
    ).get_concrete_function()
    return traced


def fast_signal_row(tensor: Any) -> Any:
    """See `rows.FAST_SIGNAL`."""
    tensor = _accumulating(tensor)
    unit_means = tf.reduce_mean(tensor, axis=0)
    sample = tf.reshape(tensor, [-1])[:: sample_stride(tensor.shape)]
    share_zero = tf.reduce_mean(tf.cast(tf.equal(sample, 0), tensor.dtype))
    return tf.stack(
        [tf.reduce_mean(unit_means), _second_moment(tensor), _second_moment(unit_means), share_zero]
    )


def fast_gradient_row(tensor: Any) -> Any:
    """See `rows.FAST_GRADIENT`."""
    tensor = _accumulating(tensor)
    return tf.stack([tf.reduce_mean(tensor), _second_moment(tensor)])


def _accumulating(tensor: Any) -> Any:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _second_moment(tensor: Any) -> Any:
    return tf.nn.l2_loss(tensor) * (2.0 / max(math.prod(tensor.shape), 1))


def tap(tensor: Any, slot: Any, row: Callable[[Any], Any], is_copy: bool = False) -> Any:
    """See the package's docstring.

    TensorFlow registers each `tf.custom_gradient` of a traced function for good, and with it the
    graph and the model: it serves only where TensorFlow has moved `record`.
    """

    def backward(upstream: Any) -> tuple[Any, Any]:
        made = row(upstream)
        with tf.control_dependencies(
            [made]
        ):  # first the row, then on: a row that is put off keeps its gradient in memory
            return tf.identity(upstream), made

    if record is None:
        return tf.custom_gradient(lambda tensor, slot: (tf.identity(tensor), backward))(
            tensor, slot
        )
    with record.stop_recording():
        passed = tf.identity(tensor)
    record.record_operation("InitCheckTap", [passed], [tensor, slot], backward)
    return passed


def linearised(
    function: Callable[[list[Any]], Any], tensors: list[Any], model: Any
) -> tuple[int, Callable[[Any], list[Any]], Callable[[Any], Any]]:
    """See the package's docstring. `J v` is the gradient of `Jᵀ u`, which is linear in `u`."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        outputs = function(tensors)

    def pull(vector: np.ndarray) -> list[Any]:
        direction = tf.cast(vector, outputs.dtype)
        zeros = tf.UnconnectedGradients.ZERO
        with on_the_way_back(model):
            return list(
                tape.gradient(
                    outputs, tensors, output_gradients=direction, unconnected_gradients=zeros
                )
            )

    def push(tangents: list[Any]) -> np.ndarray:
        direction = tf.zeros_like(outputs)
        with on_the_way_back(model), tf.GradientTape() as outer:
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

    return math.prod(outputs.shape), pull, push


def replay(batches: list[Any], iterator: Any, model: Any) -> Any:
    """An iterator over `batches`, which may be filled after this call, in place of `iterator`.

    It has the same type specification, so that no compiled function is traced again. The plain
    generator of `train_on_batch` has none.
    """
    if isinstance(iterator, tf.distribute.DistributedIterator):
        return _replay_on_replicas(batches, iterator.element_spec, model.distribute_strategy)
    if not hasattr(iterator, "element_spec"):
        return iter(batches)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=iterator.element_spec
    )
    return iter(dataset)


def _replay_on_replicas(batches: list[Any], element_spec: Any, strategy: Any) -> Any:
    """A distributed iterator deals the elements of its dataset out to the replicas in turn: each
    gets back the part that it had.
    """

    def parts() -> Iterator[Any]:
        for batch in batches:
            leaves = [strategy.experimental_local_results(leaf) for leaf in tf.nest.flatten(batch)]
            for of_replica in zip(*leaves, strict=True):
                yield tf.nest.pack_sequence_as(batch, of_replica)

    if (
        strategy.num_replicas_in_sync > 1
    ):  # a leaf then is a PerReplicaSpec, which has no public way to the replicas' own
        element_spec = tf.nest.map_structure(lambda leaf: leaf._component_specs[0], element_spec)
    return iter(
        strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_generator(parts, output_signature=element_spec)
        )
    )


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a sparse tensor or matrix, as the sparse tensor that `fit` would
    make.
    """
    if is_scipy_sparse(value):
        rows = value.tocsr()[:size].tocoo()
        places = np.stack([rows.row, rows.col], axis=1).astype("int64")
        return tf.sparse.reorder(tf.SparseTensor(places, rows.data, rows.shape))
    return tf.sparse.slice(value, [0] * len(value.shape), [size, *value.shape[1:]])


def gathered(value: Any) -> Any:
    """See the package's docstring. A replica that got nothing of an uneven last batch holds a part
    without rows.
    """
    if not isinstance(value, tf.distribute.DistributedValues) or isinstance(value, tf.Variable):
        return value
    parts = value.values
    if isinstance(parts[0], tf.SparseTensor):
        return tf.sparse.concat(0, parts)
    return tf.concat(parts, axis=0) if len(parts[0].shape) else parts[0]


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """Outside of every `tf.distribute` scope: there a model runs on one device, and Keras does not
    divide its loss by the replicas.

    TensorFlow enters scopes only within each other, and has no public way out of one: they stand in
    a list of the graph.
    """
    entered = tf.compat.v1.get_default_graph()._distribution_strategy_stack
    scopes = list(entered)
    entered.clear()
    try:
        yield
    finally:
        entered[:] = scopes


def building_scope(model: Any) -> Any:
    """The scope in which `fit` builds a model: that of the strategy under which it was made, or of
    the current one.
    """
    return model.distribute_strategy.scope()


def is_first_process(model: Any) -> bool:
    """The chief writes; the first worker where there is none."""
    resolver = getattr(model.distribute_strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    jobs = resolver.cluster_spec().jobs
    return bool(
        resolver.task_type == ("chief" if "chief" in jobs else "worker") and not resolver.task_id
    )


def compile_pass(
    forward: Callable[..., Any], model: Any, gradient_row: Callable[[Any], Any], is_repeated: bool
) -> Callable[[Any], np.ndarray]:
    """A function of a batch that runs `forward` and its gradients, and brings all rows to the host
    in one transfer.

    Args:
        forward: `forward(make_slot, batch, state_mapping)` gives a `Pass`: scalars to
            differentiate by name, rows by section, and the layout of all rows.
        model: The model; its variables are read when the function runs, not when it is traced.
        gradient_row: Row of a weight's gradient.
        is_repeated: Whether the function will be called often enough for tracing to pay: that takes
            ten times as long as one eager call.

    Returns:
        A function that returns all rows in the order of the layout as one vector. The row of a
        gradient that does not exist is zero.
    """

    def step(batch: Any) -> Any:
        slots: list[Any] = []

        def make_slot(width: int, dtype: str) -> Any:
            slot = tf.zeros([width], dtype)
            tape.watch(slot)
            slots.append(slot)
            return slot

        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            result = forward(make_slot, batch, ())
        rows = dict(result.rows)
        for name, objective in result.objectives.items():
            wanted = variables if name in result.trained else []
            with on_the_way_back(model):
                of_slots, of_weights = tape.gradient(objective, [slots, wanted])
            rows[gradients_of(name)] = [
                slot if gradient is None else gradient
                for slot, gradient in zip(slots, of_slots, strict=True)
            ]
            rows[weight_gradients_of(name)] = [
                gradient_row(tf.convert_to_tensor(_present(*pair)))
                for pair in zip(of_weights, wanted, strict=True)
            ]
        ordered = result.layout.pack(rows)
        return tf.concat([tf.cast(row, row_dtype()) for row in ordered], axis=0)

    traced: list[Callable[[Any], Any]] = []

    def call_traced(batch: Any) -> np.ndarray:
        if not traced:  # a concrete function, because TensorFlow warns of retracing where many models are probed, each in its own one
            traced.append(tf.function(step, autograph=False).get_concrete_function(batch))
        return np.asarray(traced[0](batch))

    def call(batch: Any) -> np.ndarray:
        if is_repeated:
            return call_traced(batch)
        try:
            return np.asarray(step(batch))
        except InitCheckError:
            raise
        except Exception as error:
            return _second_try(lambda: call_traced(batch), model, error)

    return call


def _second_try(call: Callable[[], np.ndarray], model: Any, error: Exception) -> np.ndarray:
    """What does not run eagerly may run as a graph, as it does in a training: Keras' own float8
    layers, for one.
    """
    if getattr(model, "run_eagerly", False):
        raise error
    try:
        return call()
    except Exception:  # the eager one says more
        raise error from error.__cause__


def _present(gradient: Any, variable: Any) -> Any:
    return tf.zeros_like(variable) if gradient is None else gradient
