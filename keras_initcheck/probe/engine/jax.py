"""Rows, taps and devices on JAX. The pass itself stands in `jax_pass`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import keras
import numpy as np
from jax.experimental import multihost_utils, sparse

from keras_initcheck.probe.engine import jax_host
from keras_initcheck.probe.engine.defaults import building_scope as building_scope
from keras_initcheck.probe.engine.defaults import capture_randomness as capture_randomness
from keras_initcheck.probe.engine.defaults import capture_tensor as capture_tensor
from keras_initcheck.probe.engine.defaults import holding as holding
from keras_initcheck.probe.engine.defaults import isolated_randomness as isolated_randomness
from keras_initcheck.probe.engine.defaults import join_rows as join_rows
from keras_initcheck.probe.engine.defaults import num_bytes as num_bytes
from keras_initcheck.probe.engine.defaults import own_tensors as own_tensors
from keras_initcheck.probe.engine.defaults import replay as replay
from keras_initcheck.probe.engine.defaults import without_gradients as without_gradients
from keras_initcheck.probe.engine.defaults import without_strategy as without_strategy
from keras_initcheck.probe.engine.jax_pass import compile_pass as compile_pass
from keras_initcheck.probe.engine.jax_pass import row_dtype as row_dtype
from keras_initcheck.probe.engine.jax_update import updated_values as updated_values
from keras_initcheck.probe.engine.protocol import (
    HostRow,
    LinearMap,
    Row,
    WayBack,
)
from keras_initcheck.probe.engine.statistics_rows import fast_sample
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse
from keras_initcheck.probe.keras_types import Tensor


def stop_gradient(tensor: Tensor) -> Tensor:
    """`tensor`, cut off from differentiation."""
    return jax.lax.stop_gradient(tensor)


def trace_state() -> object:
    """A token of the trace that is being built."""
    return _current_trace_state()


def _find_trace_state() -> Callable[[], object]:
    """JAX's function for the trace state.

    It stands in `jax.extend.core` from 0.10 on, and stood in `jax.core` from 0.4.34 on.
    """
    for module in (jax.extend.core, jax.core):
        found = getattr(module, "get_opaque_trace_state", None)
        if found is not None:
            return functools.partial(found, convention="flax")
    return lambda: jax.core.find_top_trace(()).level


_current_trace_state = _find_trace_state()


def to_numpy(tensor: Any) -> Any:
    """See `Engine.to_numpy`."""
    return keras.ops.convert_to_numpy(tensor)


MODULES: tuple[type, ...] = ()
TENSORS: tuple[type, ...] = ()
"""None, because arrays do not change."""


def compile_row(row: Callable[..., Row], on_host: HostRow | None = None) -> Callable[..., Row]:
    """`row` by NumPy where tensors lie in the host's memory, else compiled once for each shape."""

    def compiled(*tensors: Any) -> Row:
        return _compiled_row(row, keras.config.image_data_format())(*tensors)

    return compiled if on_host is None else place_row(compiled, on_host)


def place_row(row: Callable[..., Row], on_host: HostRow) -> Callable[..., Row]:
    """`row` by NumPy where tensors lie in the host's memory, else as it is."""

    def call(*tensors: Any) -> Row:
        if jax_host.is_in_use(tensors):
            return jax_host.call_row(on_host, row_dtype(), tensors)
        return row(*tensors)

    return call


@functools.cache
def _compiled_row(row: Callable[..., Any], data_format: str) -> Callable[..., Any]:
    """The jitted row, kept for all models; its units are where `data_format` has the channels."""
    compiled: Callable[..., Any] = jax.jit(lambda *tensors: row(*tensors))
    return compiled


def fast_signal_row(tensor: Tensor) -> Row:
    """See `statistics_rows.FAST_SIGNAL`."""
    samples = tensor.shape[0] if tensor.ndim else 1
    sample = _accumulating(tensor.reshape(samples, -1)[fast_sample(tensor.shape)])
    unit_means = jnp.mean(sample, axis=0)
    return jnp.stack(
        [
            _second_moment(tensor),
            jnp.mean(unit_means),
            _second_moment(sample),
            _second_moment(unit_means),
            jnp.mean((sample == 0).astype(sample.dtype)),
        ]
    )


def fast_gradient_row(tensor: Tensor) -> Row:
    """See `statistics_rows.FAST_GRADIENT`."""
    second_moment = _second_moment(tensor)
    return jnp.stack([second_moment, jnp.ones_like(second_moment)])


def fast_weight_row(tensor: Tensor) -> Row:
    """See `statistics_rows.FAST_WEIGHT`."""
    return jnp.stack([jnp.mean(_accumulating(tensor)), _second_moment(tensor)])


def _second_moment(tensor: Any) -> Any:
    return jnp.mean(jnp.square(_accumulating(tensor)))


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


def tap(
    tensor: Tensor, slot: Tensor, row: Callable[[Tensor], Row], is_copy: bool = False
) -> Tensor:
    """See `Engine.tap`; nobody can write to an array, so that a copy is never needed."""
    return _tap(tensor, slot, row)


def linearize(
    function: Callable[[list[Tensor]], Tensor], tensors: list[Tensor], way_back: WayBack
) -> LinearMap:
    """See `Engine.linearize`.

    Functions with a custom reverse rule, and loops of unknown length, go one way only. JAX runs no
    layer again on the way back: what it differentiates is a trace.
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

    return LinearMap(outputs.size, pull, push)


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a sparse array or matrix, as the sparse array that `fit` would make."""
    return (
        sparse.BCOO.from_scipy_sparse(value.tocsr()[:size])
        if is_scipy_sparse(value)
        else value[:size]
    )


def gather(value: Any) -> Any:
    """See `Engine.gather`.

    An array is a whole on JAX, whatever devices hold parts of it. Where other processes hold some
    of it, each gets a copy of all.
    """
    if not isinstance(value, jax.Array) or value.is_fully_addressable or value.is_fully_replicated:
        return value
    return multihost_utils.process_allgather(value, tiled=True)


def is_first_process(model: Any) -> bool:
    """Whether this is the first process.

    Every process runs every pass, as it must where arrays lie on all of them.
    """
    return bool(jax.process_index() == 0)
