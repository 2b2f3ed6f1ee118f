"""The probe's framework code on PyTorch, which runs eagerly. No parameter's `.grad` is touched."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from keras_initcheck.probe.engine.row_layout import gradients_of, weight_gradients_of
from keras_initcheck.probe.engine.statistics_rows import sample_stride
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse
from keras_initcheck.probe.tap.wrapping import on_the_way_back
from keras_initcheck.records.errors import DataError, ProbeError


def row_dtype() -> str:
    """Dtype of rows: Apple's GPUs have no float64."""
    return "float32" if torch.backends.mps.is_available() else "float64"


def stop_gradient(tensor: Any) -> Any:
    """`tensor`, cut off from differentiation."""
    return tensor.detach()


def trace_state() -> object:
    """PyTorch runs eagerly: there is no traced loop."""
    return None


def to_numpy(tensor: Any) -> Any:
    """See the package's docstring. NumPy has no bfloat16 of its own; Keras registers one."""
    if not isinstance(tensor, torch.Tensor):
        return tensor
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    return (
        tensor.float().numpy().astype("bfloat16")
        if tensor.dtype == torch.bfloat16
        else tensor.numpy()
    )


def kept_randomness() -> Callable[[], None]:
    """What puts PyTorch's global generators back as they are now, that of each device."""
    processor = torch.random.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore() -> None:
        torch.random.set_rng_state(processor)
        for device, state in enumerate(cuda):
            torch.cuda.set_rng_state(state, device)
        if metal is not None:
            torch.mps.set_rng_state(metal)

    return restore


@contextlib.contextmanager
def isolated_randomness() -> Iterator[None]:
    """Keras' dropout draws from PyTorch's global generators: they are set for the pass and put
    back.
    """
    restore = kept_randomness()
    torch.manual_seed(0)
    try:
        yield
    finally:
        restore()


MODULES: tuple[type, ...] = (torch.nn.Module,)
TENSORS: tuple[type, ...] = (torch.Tensor, torch.Generator)


def own_tensors(module: Any) -> list[Any]:
    """The parameters and buffers of a module, without those of the modules inside it, and the
    parameters' gradients.
    """
    own = [
        *torch.nn.Module.parameters(module, recurse=False),
        *torch.nn.Module.buffers(module, recurse=False),
    ]
    return own + [tensor.grad for tensor in own if tensor.grad is not None]


def num_bytes(tensor: Any) -> int:
    """What a copy takes."""
    return int(tensor.nbytes) if isinstance(tensor, torch.Tensor) else 0


def kept_tensor(tensor: Any) -> Callable[[], None]:
    """What gives a tensor the values that it has now, if they changed, and the same `.grad`; or a
    generator its state.
    """
    if isinstance(tensor, torch.Generator):
        state = tensor.get_state()
        return lambda: tensor.set_state(state) and None
    gradient = tensor.grad if tensor.is_leaf else None
    is_plain = tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
    values = tensor.detach().clone() if is_plain else None

    def restore() -> None:
        if tensor.is_leaf and tensor.grad is not gradient:
            tensor.grad = gradient
        if values is not None and not torch.equal(_bits(tensor), _bits(values)):
            with torch.no_grad():
                tensor.copy_(values)

    return restore


def _bits(tensor: Any) -> Any:
    """Bytes, in which NaN is the same as NaN, and 0 is not -0."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """PyTorch would keep every activation for a backward pass."""
    with torch.no_grad():
        yield


def compile_row(row: Callable[..., Any]) -> Callable[..., Any]:
    """`row` as it is: its few dozen operations run faster than they would be traced."""
    return row


@torch.no_grad()
def fast_signal_row(tensor: Any) -> Any:
    """See `rows.FAST_SIGNAL`."""
    tensor = _accumulating(tensor)
    unit_means = tensor.mean(dim=0)
    share_zero = (tensor.reshape(-1)[:: sample_stride(tensor.shape)] == 0).to(tensor.dtype).mean()
    return torch.stack(
        [unit_means.mean(), _second_moment(tensor), _second_moment(unit_means), share_zero]
    )


@torch.no_grad()
def fast_gradient_row(tensor: Any) -> Any:
    """See `rows.FAST_GRADIENT`."""
    tensor = _accumulating(tensor)
    return torch.stack([tensor.mean(), _second_moment(tensor)])


def _accumulating(tensor: Any) -> Any:
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)


def _second_moment(tensor: Any) -> Any:
    flat = tensor.reshape(-1)
    return torch.dot(flat, flat) / flat.numel()


class _Tap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Any, slot: Any, row: Callable[[Any], Any], is_copy: bool) -> Any:
        ctx.row = row
        return tensor.clone() if is_copy else tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        with torch.no_grad():
            return upstream[0], ctx.row(upstream[0]), None, None


def tap(tensor: Any, slot: Any, row: Callable[[Any], Any], is_copy: bool = False) -> Any:
    """See the package's docstring."""
    return _Tap.apply(tensor, slot, row, is_copy)


def linearised(
    function: Callable[[list[Any]], Any], tensors: list[Any], model: Any
) -> tuple[int, Callable[[Any], list[Any]], Callable[[Any], Any]]:
    """See the package's docstring. `J v` is the gradient of `Jᵀ u`, which is linear in `u`."""
    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in tensors]
        outputs = function(inputs)

    def pull(vector: np.ndarray) -> list[Any]:
        if not outputs.requires_grad:
            return [torch.zeros_like(tensor) for tensor in inputs]
        direction = torch.as_tensor(vector, dtype=outputs.dtype, device=outputs.device)
        with on_the_way_back(model):
            found = torch.autograd.grad(
                outputs, inputs, direction, retain_graph=True, allow_unused=True
            )
        return [
            torch.zeros_like(tensor) if each is None else each
            for each, tensor in zip(found, inputs, strict=True)
        ]

    def push(tangents: list[Any]) -> np.ndarray:
        if not outputs.requires_grad:
            return np.zeros(outputs.numel())
        direction = torch.zeros_like(outputs).requires_grad_()
        with on_the_way_back(model):
            pulled = torch.autograd.grad(
                outputs, inputs, direction, create_graph=True, allow_unused=True
            )
            used = [
                (each, tangent)
                for each, tangent in zip(pulled, tangents, strict=True)
                if each is not None
            ]
            (found,) = torch.autograd.grad(
                [each for each, _ in used], [direction], [tangent for _, tangent in used]
            )
        return np.asarray(found.cpu())

    return outputs.numel(), pull, push


def replay(batches: list[Any], iterator: Any, model: Any) -> Any:
    """An iterator over `batches`, which may be filled after this call, in place of `iterator`."""
    return iter(batches)


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a matrix of SciPy, dense as `fit` makes them.

    Raises:
        DataError: A sparse tensor, which Keras takes nowhere on this backend.
    """
    if not is_scipy_sparse(value):
        raise DataError(
            "Keras must be given dense tensors on torch, in `fit` too. Received: layout"
            f" {value.layout}. Pass x.to_dense()."
        )
    return value.tocsr()[:size].toarray()


def gathered(value: Any) -> Any:
    """Each process has a batch of its own on PyTorch."""
    return value


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """PyTorch has no scopes: each process holds the whole model."""
    yield


@contextlib.contextmanager
def building_scope(model: Any) -> Iterator[None]:
    """PyTorch has no scopes."""
    yield


def is_first_process(model: Any) -> bool:
    """Rank 0 writes."""
    return (
        not (torch.distributed.is_available() and torch.distributed.is_initialized())
        or torch.distributed.get_rank() == 0
    )


def compile_pass(
    forward: Any, model: Any, gradient_row: Callable[[Any], Any], is_repeated: bool
) -> Callable[[Any], np.ndarray]:
    """A function of a batch that runs `forward` and its gradients, and brings all rows to the host
    in one transfer.

    The arguments and the result are those of the TensorFlow module. Nothing is compiled: each call
    runs eagerly.
    """

    def call(batch: Any) -> np.ndarray:
        slots: list[Any] = []
        device = next((variable.value.device for variable in model.variables), "cpu")

        def make_slot(width: int, dtype: str) -> Any:
            slots.append(
                torch.zeros(width, dtype=getattr(torch, dtype), device=device, requires_grad=True)
            )
            return slots[-1]

        variables = [variable.value for variable in model.trainable_variables]
        with torch.enable_grad():
            try:
                result = forward(make_slot, batch, ())
            except RuntimeError as error:
                if forward.copies or "modified inplace" not in str(error):
                    raise
                forward.copies = (
                    True  # `x += y` in a layer: a view must not be written to, a copy may
                )
                slots.clear()
                result = forward(make_slot, batch, ())
        rows = dict(result.rows)
        for number, (name, objective) in enumerate(result.objectives.items(), start=1):
            wanted = [*slots, *(variables if name in result.trained else [])]
            is_last = number == len(result.objectives)
            found = [None] * len(wanted)
            if (
                objective.requires_grad
            ):  # not where nothing on the way to it can be observed or trained
                found = _gradients(model, objective, wanted, retain_graph=not is_last)
            found = [
                torch.zeros_like(source) if gradient is None else gradient
                for gradient, source in zip(found, wanted, strict=True)
            ]
            rows[gradients_of(name)] = found[: len(slots)]
            rows[weight_gradients_of(name)] = list(map(gradient_row, found[len(slots) :]))
        dtype = getattr(torch, row_dtype())
        ordered = result.layout.pack(rows)
        return np.asarray(torch.cat([row.detach().to(dtype) for row in ordered]).cpu())

    return call


def _gradients(model: Any, objective: Any, wanted: list[Any], retain_graph: bool) -> list[Any]:
    try:
        with on_the_way_back(model):
            return list(
                torch.autograd.grad(objective, wanted, retain_graph=retain_graph, allow_unused=True)
            )
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise ProbeError(
            f"`torch.utils.checkpoint` must be called with use_reentrant=False in {model.name!r}."
            " Received: a reentrant one, which lets no gradient be taken but that of all"
            " parameters at once."
        ) from error
