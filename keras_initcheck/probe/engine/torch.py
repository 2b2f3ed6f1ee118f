"""The pass on PyTorch, which runs eagerly. No parameter's `.grad` is touched.

State of modules and generators stands in `torch_state`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from keras_initcheck.probe.engine import statistics_rows, torch_rows, update_rows
from keras_initcheck.probe.engine.defaults import building_scope as building_scope
from keras_initcheck.probe.engine.defaults import place_row as place_row
from keras_initcheck.probe.engine.defaults import replay as replay
from keras_initcheck.probe.engine.defaults import without_strategy as without_strategy
from keras_initcheck.probe.engine.protocol import (
    CompiledPass,
    ForwardPass,
    HostRow,
    LinearMap,
    PassResult,
    Row,
    WayBack,
)
from keras_initcheck.probe.engine.row_layout import gradients_of, weight_gradients_of
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse
from keras_initcheck.probe.engine.torch_fast_rows import fast_gradient_row as fast_gradient_row
from keras_initcheck.probe.engine.torch_fast_rows import fast_signal_row as fast_signal_row
from keras_initcheck.probe.engine.torch_fast_rows import fast_weight_row as fast_weight_row
from keras_initcheck.probe.engine.torch_fast_rows import to_host
from keras_initcheck.probe.engine.torch_state import MODULES as MODULES
from keras_initcheck.probe.engine.torch_state import TENSORS as TENSORS
from keras_initcheck.probe.engine.torch_state import capture_randomness as capture_randomness
from keras_initcheck.probe.engine.torch_state import capture_tensor as capture_tensor
from keras_initcheck.probe.engine.torch_state import isolated_randomness as isolated_randomness
from keras_initcheck.probe.engine.torch_state import num_bytes as num_bytes
from keras_initcheck.probe.engine.torch_state import own_tensors as own_tensors
from keras_initcheck.probe.engine.torch_update import holding as holding
from keras_initcheck.probe.engine.torch_update import updated_values as updated_values
from keras_initcheck.probe.keras_types import Model, Tensor
from keras_initcheck.records.errors import DataError, ProbeError


def row_dtype() -> str:
    """float64, which only Apple's GPUs lack."""
    return "float32" if torch.backends.mps.is_available() else "float64"


def stop_gradient(tensor: Tensor) -> Tensor:
    """`tensor`, cut off from differentiation."""
    return tensor.detach()


def trace_state() -> object:
    """PyTorch runs eagerly: there is no traced loop."""
    return None


def to_numpy(tensor: Any) -> Any:
    """See `Engine.to_numpy`. NumPy has no bfloat16 of its own; Keras registers one."""
    if not isinstance(tensor, torch.Tensor):
        return tensor
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    return (
        tensor.float().numpy().astype("bfloat16")
        if tensor.dtype == torch.bfloat16
        else tensor.numpy()
    )


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """A context without recording, since PyTorch would keep every activation to differentiate."""
    with torch.no_grad():
        yield


_ROWS_IN_FEW_PASSES: dict[Callable[..., Row], Callable[..., Row]] = {
    statistics_rows.exact_row: torch_rows.exact_row,
    statistics_rows.exact_weight_row: torch_rows.exact_weight_row,
    update_rows.update_row: torch_rows.update_row,
}


def compile_row(row: Callable[..., Row], on_host: HostRow | None = None) -> Callable[..., Row]:
    """`row` as it is, since tracing takes longer than its operations; exact ones in few passes."""
    return _ROWS_IN_FEW_PASSES.get(row, row)


def join_rows(rows: list[Row], dtype: str) -> Row:
    """See `Engine.join_rows`; nothing is joined before the transfer to the host."""
    return rows


class _Slot:
    """The place of the row of a gradient.

    Attributes:
        anchor: A number that is differentiated for, whatever else is. All slots share it.
        row: The row, once a gradient has passed.
        width: Number of its columns.
    """

    __slots__ = ("anchor", "row", "width")

    def __init__(self, anchor: Tensor, width: int) -> None:
        self.anchor = anchor
        self.width: int = width
        self.row: Row | None = None

    def take(self) -> Row:
        """The row, of zeros where no gradient has passed; then it is gone."""
        row, self.row = self.row, None
        return torch.zeros(self.width, device=self.anchor.device) if row is None else row


class _Tap(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tensor: Any, anchor: Any, slot: _Slot, row: Callable[[Any], Any], is_copy: bool
    ) -> Any:
        ctx.slot, ctx.make_row = slot, row
        return tensor.clone() if is_copy else tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        ctx.slot.row = ctx.make_row(upstream[0])
        return upstream[0], None, None, None, None


def tap(
    tensor: Tensor, slot: Tensor, row: Callable[[Tensor], Row], is_copy: bool = False
) -> Tensor:
    """See `Engine.tap`."""
    return _Tap.apply(tensor, slot.anchor, slot, row, is_copy)


def linearize(
    function: Callable[[list[Tensor]], Tensor], tensors: list[Tensor], way_back: WayBack
) -> LinearMap:
    """See `Engine.linearize`; `J v` is the gradient of `Jᵀ u`, which is linear in `u`."""
    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in tensors]
        outputs = function(inputs)

    def pull(vector: np.ndarray) -> list[Any]:
        if not outputs.requires_grad:
            return [torch.zeros_like(tensor) for tensor in inputs]
        direction = torch.as_tensor(vector, dtype=outputs.dtype, device=outputs.device)
        with way_back():
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
        with way_back():
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

    return LinearMap(outputs.numel(), pull, push)


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a SciPy matrix, dense as `fit` makes them.

    Raises:
        DataError: The data is a sparse tensor, which Keras takes nowhere on this backend.
    """
    if not is_scipy_sparse(value):
        raise DataError(
            "Keras must be given dense tensors on torch, in `fit` too. Received: layout"
            f" {value.layout}. Pass x.to_dense()."
        )
    return value.tocsr()[:size].toarray()


def gather(value: Any) -> Any:
    """See `Engine.gather`; each process has a whole batch of its own."""
    return value


def is_first_process(model: Any) -> bool:
    """Whether this process has rank 0, or is the only one."""
    return (
        not (torch.distributed.is_available() and torch.distributed.is_initialized())
        or torch.distributed.get_rank() == 0
    )


def compile_pass(forward: ForwardPass, model: Model, is_repeated: bool) -> CompiledPass:
    """See `Engine.compile_pass`; nothing is compiled, and each call runs eagerly."""
    passes_copies = False

    def run_forward(make_slot: Callable[[int, str], Tensor], batch: Any) -> PassResult:
        with torch.enable_grad():
            return forward(make_slot, batch, (), passes_copies)

    def call(batch: Any) -> np.ndarray:
        nonlocal passes_copies
        slots = _Slots(model)
        variables = [variable.value for variable in model.trainable_variables]
        try:
            result = run_forward(slots.make, batch)
        except RuntimeError as error:
            if passes_copies or "modified inplace" not in str(error):
                raise
            # `x += y` in a layer writes to the tensor that it was given. A tap hands on a view,
            # which PyTorch protects, since its gradient is ours; a copy bears being written to.
            passes_copies = True
            slots = _Slots(model)
            result = run_forward(slots.make, batch)
        rows, last = dict(result.rows), next(reversed(result.objectives), None)
        for name, objective in result.objectives.items():
            slots.clear()
            wanted = [slots.anchor, *(variables if name in result.trained else [])]
            _, *found = _gradients(forward, model, objective, wanted, is_last=name == last)
            rows[gradients_of(name)] = [slot.take() for slot in slots.made]
            rows[weight_gradients_of(name)] = list(map(forward.gradient_row, found))
            if name in result.trained:
                forward.keep(found)
        return to_host(result.layout.pack(rows), getattr(torch, row_dtype()))

    return CompiledPass(call)


class _Slots:
    """The slots of one run.

    Attributes:
        anchor: See `_Slot`; it lies on the device of the model.
        made: The slots, in order.
    """

    def __init__(self, model: Model) -> None:
        device = next((variable.value.device for variable in model.variables), "cpu")
        self.anchor: Tensor = torch.zeros((), device=device, requires_grad=True)
        self.made: list[_Slot] = []

    def make(self, width: int, dtype: str) -> _Slot:
        """A slot of that many columns."""
        self.made.append(_Slot(self.anchor, width))
        return self.made[-1]

    def clear(self) -> None:
        """Forgets what passed so far: a model may differentiate in its own `call`."""
        for slot in self.made:
            slot.row = None


def _gradients(
    forward: ForwardPass, model: Model, objective: Tensor, wanted: list[Tensor], is_last: bool
) -> list[Tensor]:
    """The gradients of an objective; zeros where it does not depend on a tensor.

    Raises:
        ProbeError: The model uses reentrant checkpoints.
    """
    if not objective.requires_grad:
        # Nothing on the way to it can be observed or trained.
        return [torch.zeros_like(source) for source in wanted]
    try:
        with forward.way_back():
            found = torch.autograd.grad(
                objective, wanted, retain_graph=not is_last, allow_unused=True
            )
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise ProbeError(
            f"`torch.utils.checkpoint` must be called with use_reentrant=False in {model.name!r}."
            " Received: a reentrant one, which can only return the gradients of all parameters at"
            " once."
        ) from error
    return [
        torch.zeros_like(source) if gradient is None else gradient
        for gradient, source in zip(found, wanted, strict=True)
    ]
