"""The probe's framework code on JAX. Variables' values are arguments of the compiled function:
captured ones would go stale.

Only a repeated pass is compiled as a whole; a single one compiles the rows, shape by shape.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import keras
import numpy as np
from jax.experimental import multihost_utils, sparse

from keras_initcheck.probe.engine.row_layout import gradients_of, weight_gradients_of
from keras_initcheck.probe.engine.statistics_rows import sample_stride
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse


def row_dtype() -> str:
    """Dtype of rows: JAX has float64 only where the user enabled it."""
    return "float64" if jax.config.jax_enable_x64 else "float32"


def stop_gradient(tensor: Any) -> Any:
    """`tensor`, cut off from differentiation."""
    return jax.lax.stop_gradient(tensor)


def trace_state() -> object:
    """A token of the trace that is being built."""
    return _current_trace_state()


def _find_trace_state() -> Callable[[], object]:
    """JAX's function for it, which has stood in three places: from 0.10 on in `jax.extend.core`,
    before in `jax.core`, from 0.4.34 on.
    """
    for module in (jax.extend.core, jax.core):
        found = getattr(module, "get_opaque_trace_state", None)
        if found is not None:
            return functools.partial(found, convention="flax")
    return lambda: jax.core.find_top_trace(()).level


_current_trace_state = _find_trace_state()


def to_numpy(tensor: Any) -> Any:
    """See the package's docstring."""
    return keras.ops.convert_to_numpy(tensor)


def kept_randomness() -> Callable[[], None]:
    """JAX has no global random state."""
    return lambda: None


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """JAX has no global random state."""
    yield


MODULES: tuple[type, ...] = ()
TENSORS: tuple[type, ...] = ()
"""None: arrays do not change."""


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """JAX differentiates what it is asked to, and nothing else."""
    yield


def compile_row(row: Callable[..., Any]) -> Callable[..., Any]:
    """`row`, compiled once for each shape."""
    return lambda *tensors: _compiled_row(row, keras.config.image_data_format())(*tensors)


@functools.cache
def _compiled_row(row: Callable[..., Any], data_format: str) -> Callable[..., Any]:
    """Kept for all models. A row looks for its units where `data_format` has the channels."""
    compiled: Callable[..., Any] = jax.jit(lambda *tensors: row(*tensors))
    return compiled


def fast_signal_row(tensor: Any) -> Any:
    """See `rows.FAST_SIGNAL`."""
    tensor = _accumulating(tensor)
    # A product with ones, because a reduction over the leading axis of a 4-D tensor is slow on
    # XLA's CPU backend.
    count = tensor.shape[0] if tensor.ndim else 1
    flat = tensor.reshape(count, -1)
    unit_means = jnp.full((1, count), 1 / count, flat.dtype) @ flat
    sample = tensor.reshape(-1)[:: sample_stride(tensor.shape)]
    share_zero = jnp.mean((sample == 0).astype(tensor.dtype))
    return jnp.stack(
        [
            jnp.mean(unit_means),
            jnp.mean(tensor * tensor),
            jnp.mean(unit_means * unit_means),
            share_zero,
        ]
    )


def fast_gradient_row(tensor: Any) -> Any:
    """See `rows.FAST_GRADIENT`."""
    tensor = _accumulating(tensor)
    return jnp.stack([jnp.mean(tensor), jnp.mean(tensor * tensor)])


def _accumulating(tensor: Any) -> Any:
    return tensor if tensor.dtype == jnp.float64 else tensor.astype(jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _tap(tensor: Any, slot: Any, row: Callable[[Any], Any]) -> Any:
    return tensor


def _tap_forward(tensor: Any, slot: Any, row: Callable[[Any], Any]) -> tuple[Any, None]:
    return tensor, None


def _tap_backward(row: Callable[[Any], Any], _: None, upstream: Any) -> tuple[Any, Any]:
    return upstream, row(upstream)


_tap.defvjp(_tap_forward, _tap_backward)


def tap(tensor: Any, slot: Any, row: Callable[[Any], Any], is_copy: bool = False) -> Any:
    """See the package's docstring."""
    return _tap(tensor, slot, row)


def linearised(
    function: Callable[[list[Any]], Any], tensors: list[Any], model: Any
) -> tuple[int, Callable[[Any], list[Any]], Callable[[Any], Any]]:
    """See the package's docstring. Functions with a custom reverse rule, and loops of unknown
    length, go one way only.
    """
    outputs, pull_back = jax.vjp(function, tensors)
    compiled_pull = jax.jit(pull_back)
    pushes: list[Callable[[Any], Any]] = []

    def pull(vector: np.ndarray) -> list[Any]:
        return list(compiled_pull(jnp.asarray(vector, outputs.dtype))[0])

    def push(tangents: list[Any]) -> np.ndarray:
        if not pushes:
            pushes.append(jax.jit(jax.linearize(function, tensors)[1]))
        return np.asarray(pushes[0](tangents))

    return outputs.size, pull, push


def replay(batches: list[Any], iterator: Any, model: Any) -> Any:
    """An iterator over `batches`, which may be filled after this call, in place of `iterator`."""
    return iter(batches)


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a sparse array or matrix, as the sparse array that `fit` would make."""
    return (
        sparse.BCOO.from_scipy_sparse(value.tocsr()[:size])
        if is_scipy_sparse(value)
        else value[:size]
    )


def gathered(value: Any) -> Any:
    """An array is a whole on JAX, whatever devices hold parts of it. Where other processes hold
    some, each gets a copy of all.
    """
    if not isinstance(value, jax.Array) or value.is_fully_addressable or value.is_fully_replicated:
        return value
    return multihost_utils.process_allgather(value, tiled=True)


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """JAX has no scopes: a distribution is a property of the arrays, and the probe's passes are
    sharded as a train step is.
    """
    yield


@contextlib.contextmanager
def building_scope(model: Any) -> Iterator[None]:
    """Keras lays variables out by its current distribution."""
    yield


def is_first_process(model: Any) -> bool:
    """Every process runs every pass, as it must where arrays lie on all of them; the first one
    writes.
    """
    return bool(jax.process_index() == 0)


class _TooFewSlotsError(Exception):
    """More slots are needed. Keras raises exceptions of a layer's call anew, with a message
    alone.
    """


def compile_pass(
    forward: Callable[..., Any], model: Any, gradient_row: Callable[[Any], Any], is_repeated: bool
) -> Callable[[Any], np.ndarray]:
    """A function of a batch that runs `forward` and its gradients, and brings all rows to the host
    in one transfer.

    The arguments and the result are those of the TensorFlow module. The number of slots and of
    objectives is found by an abstract run. A real one may differ by a few slots: whether a cast
    that changes nothing gives the same object or another depends on the kind of tracer.
    """
    trainable = list(model.trainable_variables)
    others = list(model.non_trainable_variables)
    slot_types: list[tuple[int, str]] = []
    names: list[str] = []
    latest: list[Any] = []
    taken: list[tuple[int, str]] = []

    def run(values: Any, slots: Any, state: Any, batch: Any) -> Any:
        taken.clear()

        def next_slot(width: int, dtype: str) -> Any:
            taken.append((width, dtype))
            if len(taken) > len(slots):
                raise _TooFewSlotsError("A pass observes more tensors than its abstract run did.")
            return slots[len(taken) - 1]

        mapping = [*zip(trainable, values, strict=True), *zip(others, state, strict=True)]
        latest[:] = [forward(next_slot, batch, mapping)]
        return latest[0]

    def objective(name: str, state: Any, batch: Any, values: Any, slots: Any) -> Any:
        result = run(values, slots, state, batch)
        return result.objectives[name], result.rows

    def count_slots(values: Any, state: Any, batch: Any) -> Any:
        def make_slot(width: int, dtype: str) -> Any:
            slot_types.append((width, dtype))
            return jnp.zeros(width, dtype)

        slot_types.clear()
        mapping = [*zip(trainable, values, strict=True), *zip(others, state, strict=True)]
        result = forward(make_slot, batch, mapping)
        names[:] = result.objectives
        return result.rows

    def step(values: Any, state: Any, batch: Any) -> Any:
        slots = [jnp.zeros(width, dtype) for width, dtype in slot_types]
        rows, gradients = {} if names else run(values, slots, state, batch).rows, {}
        for name in names:
            # A pass for each objective: pulling zero through the other ones would reach tensors
            # that this one does not depend on.
            value, pull, rows = jax.vjp(
                functools.partial(objective, name, state, batch), values, slots, has_aux=True
            )
            weight_gradients, slot_gradients = pull(jnp.ones_like(value))
            gradients[gradients_of(name)] = slot_gradients[: len(taken)]
            if name in latest[0].trained:
                gradients[weight_gradients_of(name)] = list(map(gradient_row, weight_gradients))
        ordered = latest[0].layout.pack({**rows, **gradients})
        return jnp.concatenate([row.astype(row_dtype()) for row in ordered])

    run_step = jax.jit(step) if is_repeated else step

    def call(batch: Any) -> np.ndarray:
        values, state = [v.value for v in trainable], [v.value for v in others]
        if not slot_types:
            jax.eval_shape(count_slots, values, state, batch)
        while True:
            try:
                return np.asarray(run_step(values, state, batch))
            except _TooFewSlotsError:
                slot_types.extend(taken[-1:] * len(taken))

    return call
