"""Functions of NumPy arrays inside of a program that JAX compiles for the host's processors.

The compiled program hands its own memory to the function, as arrays that share it: nothing is
copied and nothing is compiled for the function. `jax.pure_callback` would call JAX inside of the
call back, and wait there for threads that may be waiting for it; here the function is NumPy alone.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad, mlir

from keras_initcheck.probe.engine.protocol import HostRow
from keras_initcheck.probe.keras_types import Tensor

HostFunction = Callable[..., np.ndarray]

_PRIMITIVE_CLASS = getattr(jax.extend.core, "Primitive", None) or jax.core.Primitive
_host_call = _PRIMITIVE_CLASS("keras_initcheck_host_call")


_is_traced_for_host = contextvars.ContextVar("is_traced_for_host", default=False)


@contextlib.contextmanager
def tracing_for(values: Any) -> Iterator[bool]:
    """A context in which a program is traced that runs where the arrays in a nest lie.

    It gives whether that is one device, and the host's processor.
    """
    is_host = are_on_host(values)
    token = _is_traced_for_host.set(is_host)
    try:
        yield is_host
    finally:
        _is_traced_for_host.reset(token)


def is_in_use(tensors: Sequence[Any]) -> bool:
    """Whether tensors, which may be traced, have their rows by NumPy."""
    if any(isinstance(each, jax.core.Tracer) for each in tensors):
        return _is_traced_for_host.get()
    return are_on_host(tensors)


def are_on_host(values: Any) -> bool:
    """Whether the arrays in a nest all lie on one device, and that is the host's processor."""
    arrays = [each for each in jax.tree.leaves(values) if isinstance(each, jax.Array)]
    devices = {device for each in arrays for device in each.devices()}
    return len(devices) == 1 and next(iter(devices)).platform == "cpu"


def call_row(row: HostRow, dtype: str, tensors: Sequence[Any]) -> Tensor:
    """A row of traced tensors or of arrays; it has no gradient.

    NumPy arrays among the arguments are constants, which a compiled program would hold as text.
    """
    constants = {k: each for k, each in enumerate(tensors) if isinstance(each, np.ndarray)}
    others = [each for k, each in enumerate(tensors) if k not in constants]

    num_tensors = len(tensors)

    def function(*arrays: np.ndarray) -> np.ndarray:
        given = iter(arrays)
        return row.function(
            *(constants[k] if k in constants else next(given) for k in range(num_tensors))
        )

    return _host_call.bind(*others, function=function, width=row.width, dtype=dtype)


@_host_call.def_impl
def _run(*tensors: Tensor, function: HostFunction, width: int, dtype: str) -> Tensor:
    return jnp.asarray(function(*map(np.asarray, tensors)).astype(dtype))


@_host_call.def_abstract_eval
def _shape(*tensors: Any, function: HostFunction, width: int, dtype: str) -> Any:
    return jax.core.ShapedArray((width,), np.dtype(dtype))


def _without_tangent(primals: Sequence[Any], tangents: Sequence[Any], **settings: Any) -> Any:
    result = _host_call.bind(*primals, **settings)
    return result, ad.Zero(jax.core.ShapedArray(result.shape, result.dtype))


ad.primitive_jvps[_host_call] = _without_tangent


def _lower(
    context: Any, *operands: Any, function: HostFunction, width: int, dtype: str
) -> Sequence[Any]:
    def call(*arrays: Any) -> tuple[np.ndarray]:
        return (np.asarray(function(*map(np.asarray, arrays)), dtype),)

    results, _, _ = mlir.emit_python_callback(
        context,
        call,
        None,
        list(operands),
        context.avals_in,
        context.avals_out,
        has_side_effect=False,
    )
    found: Sequence[Any] = results
    return found


mlir.register_lowering(_host_call, _lower, platform="cpu")
