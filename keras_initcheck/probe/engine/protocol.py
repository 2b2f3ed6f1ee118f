"""The interface of an engine: its functions, and the forward pass that it is given.

mypy checks the modules of the three backends against it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from keras_initcheck.probe.engine.row_layout import RowLayout
from keras_initcheck.probe.keras_types import KerasVariable, Model, Nest, Tensor

Row: TypeAlias = Tensor
"""The statistics of one tensor, `(columns,)`."""

Restore: TypeAlias = Callable[[], None]
"""Puts back what was captured; a second call finds nothing to do."""

WayBack: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Makes a context for a backward pass, in which checkpoints may run layers again."""

StateMapping: TypeAlias = Sequence[tuple[KerasVariable, Tensor]]
"""Variables with the values that a pass uses instead of their own."""


BatchParts: TypeAlias = tuple[Nest, Nest, Nest]
"""Inputs, labels and sample weights of a batch: a nest of tensors, which frameworks can trace."""


@dataclass(frozen=True)
class PassResult:
    """The result of a forward pass, to be differentiated and brought to the host.

    Attributes:
        objectives: Scalars at which backward passes start, by name.
        rows: The rows of the forward pass, by section; engines add those of the gradients.
        layout: The order of all rows.
        trained: Names of the objectives whose gradients of the weights are wanted, too.
    """

    objectives: dict[str, Tensor]
    rows: dict[str, list[Row]]
    layout: RowLayout
    trained: tuple[str, ...]


class ForwardPass(Protocol):
    """A forward pass that an engine runs and differentiates.

    Attributes:
        is_closed: Whether the compiled pass has been traced, runs no Python unless it is traced
            again, and changes nothing but its result. An engine that knows it notes it here.
        most_objectives: Number of objectives at most.
    """

    is_closed: bool
    most_objectives: int

    def __call__(
        self,
        make_slot: Callable[[int, str], Tensor],
        parts: BatchParts,
        state_mapping: StateMapping,
        passes_copies: bool = False,
    ) -> PassResult:
        """Runs the model once.

        Args:
            make_slot: `make_slot(width, dtype)` returns a vector of zeros whose "gradient" will be
                a row, or whatever else the engine's `tap` takes.
            parts: The batch.
            state_mapping: Values of variables; empty where the variables' own are used.
            passes_copies: Whether observed tensors are passed on as copies, for layers that write
                to the tensors they are given.
        """

    @property
    def num_layers(self) -> int:
        """Number of layers and graph operations that may be observed."""

    @property
    def slot_type(self) -> tuple[int, str]:
        """Width and dtype of the slots, which are all alike."""

    @property
    def keeps_gradients(self) -> bool:
        """Whether `keep` wants gradients."""

    def gradient_row(self, tensor: Tensor) -> Row:
        """The row of a gradient."""

    def keep(self, gradients: Sequence[Tensor]) -> None:
        """Takes the gradients of the weights, as a run has left them."""

    def way_back(self) -> AbstractContextManager[None]:
        """A context for the backward pass, in which checkpoints may run layers again."""


@dataclass(frozen=True)
class HostRow:
    """A row as a function of NumPy arrays, for devices that compute in the host's memory.

    Attributes:
        function: Returns the row. It must not change the arrays, and must call no framework.
        width: Number of the row's columns.
    """

    function: Callable[..., np.ndarray]
    width: int


@dataclass(frozen=True)
class CompiledPass:
    """A pass, ready to run.

    Attributes:
        run: Runs it on a batch and returns all rows, in the order of the layout, as one host
            vector.
        loss_with: `loss_with(batch, variables, values)` is the loss with other values of some
            trainable variables; `None` where running the whole pass again is not the quickest way.
    """

    run: Callable[[BatchParts], np.ndarray]
    loss_with: (
        Callable[[BatchParts, Sequence[KerasVariable], Sequence[Tensor]], float | None] | None
    ) = None


@dataclass(frozen=True)
class LinearMap:
    """A function of tensors, linearized at a point; `u` and `J v` are vectors on the host.

    Attributes:
        num_outputs: Number of the function's outputs.
        pull: `pull(u)` returns `Jᵀ u`, a tensor for each input.
        push: `push(tensors)` returns `J v`; it raises whatever the framework does where an
            operation has no such derivative.
    """

    num_outputs: int
    pull: Callable[[np.ndarray], list[Tensor]]
    push: Callable[[list[Tensor]], np.ndarray]


class Engine(Protocol):
    """The framework code of one backend.

    Attributes:
        MODULES: Classes of objects with a state of their own that Keras does not know, and that a
            layer may hold and change.
        TENSORS: Classes of single tensors and generators of that kind.
    """

    MODULES: tuple[type, ...]
    TENSORS: tuple[type, ...]

    def row_dtype(self) -> str:
        """The dtype in which rows reach the host, the widest that the device has."""

    def fast_signal_row(self, tensor: Tensor) -> Row:
        """The row with the columns of `FAST_SIGNAL`, in few passes and few operations."""

    def fast_gradient_row(self, tensor: Tensor) -> Row:
        """The row with the columns of `FAST_GRADIENT`, in few passes and few operations."""

    def fast_weight_row(self, tensor: Tensor) -> Row:
        """The row with the columns of `FAST_WEIGHT`, in few passes and few operations."""

    def compile_row(
        self, row: Callable[..., Row], on_host: HostRow | None = None
    ) -> Callable[..., Row]:
        """`row`, compiled where that pays within one pass.

        Args:
            row: The row, of tensors.
            on_host: The same of NumPy arrays, for an engine that may take it instead.
        """

    def join_rows(self, rows: list[Row], dtype: str) -> Row:
        """The rows of one tensor, behind one another, in a dtype."""

    def place_row(self, row: Callable[..., Row], on_host: HostRow) -> Callable[..., Row]:
        """`row` as it is, or the same of NumPy arrays where the engine takes that."""

    def stop_gradient(self, tensor: Tensor) -> Tensor:
        """`tensor`, cut off from differentiation."""

    def tap(
        self, tensor: Tensor, slot: Tensor, row: Callable[[Tensor], Row], is_copy: bool = False
    ) -> Tensor:
        """`tensor` unchanged; the "gradient" that `slot` receives is `row(gradient of tensor)`.

        Args:
            tensor: Any tensor.
            slot: What `make_slot` made for a row of this width.
            row: The row of a gradient.
            is_copy: Makes it harmless that somebody writes to the result, where tensors can be
                written to.
        """

    def trace_state(self) -> object:
        """A token that differs inside a traced loop of the framework."""

    def without_gradients(self) -> AbstractContextManager[None]:
        """A context for a forward pass that nobody will differentiate."""

    def compile_pass(self, forward: ForwardPass, model: Model, is_repeated: bool) -> CompiledPass:
        """A function of a batch that runs a forward pass and its gradients.

        It brings all rows to the host in one transfer.

        Args:
            forward: The forward pass.
            model: The model; its variables are read when the function runs, not when it is traced.
            is_repeated: Whether the function will be called often enough for tracing to pay.

        Returns:
            The function. In its vector, the row of a gradient that does not exist is zero.
        """

    def updated_values(
        self, optimizer: Any, variables: Sequence[KerasVariable], gradients: Sequence[Tensor]
    ) -> list[Tensor]:
        """The values that variables would have after an optimizer's update.

        The variables and those of the optimizer keep their own. Where the framework's optimizers
        write to variables in place, a copy of all of them is held meanwhile.

        Args:
            optimizer: A built optimizer.
            variables: Variables that it trains.
            gradients: Their gradients.
        """

    def holding(
        self, variables: Sequence[KerasVariable], values: Sequence[Tensor]
    ) -> AbstractContextManager[None]:
        """A context in which what reads variables past Keras finds other values in them."""

    def linearize(
        self, function: Callable[[list[Tensor]], Tensor], tensors: list[Tensor], way_back: WayBack
    ) -> LinearMap:
        """`function` of a list of tensors, which returns a vector, as a linear map at `tensors`."""

    def to_numpy(self, tensor: Any) -> Any:
        """The values of a tensor on the host, perhaps in the same memory."""

    def capture_randomness(self) -> Restore:
        """Captures the framework's global random state."""

    def isolated_randomness(self) -> AbstractContextManager[None]:
        """A context in which draws do not depend on that state; it leaves the state as it was."""

    def own_tensors(self, module: Any) -> list[Any]:
        """The tensors of one of `MODULES` that its attributes do not show."""

    def num_bytes(self, tensor: Any) -> int:
        """The bytes that a copy of one of `TENSORS` takes."""

    def capture_tensor(self, tensor: Any) -> Restore:
        """Captures the values of one of `TENSORS`."""

    def sparse_head(self, value: Any, size: int) -> Any:
        """The first samples of sparse data, the framework's or SciPy's, as `fit` passes them on."""

    def gather(self, value: Any) -> Any:
        """A value of which each replica holds a part, whole, in the replicas' order.

        Any other value stays as it is.
        """

    def replay(self, batches: list[Nest], iterator: Any, model: Model) -> Any:
        """An iterator over `batches`, which may be filled later, in place of `iterator`."""

    def without_strategy(self) -> AbstractContextManager[None]:
        """A context outside of the scope of a strategy that runs a model on replicas."""

    def building_scope(self, model: Model) -> AbstractContextManager[None]:
        """A context in which a model gets its variables where its training expects them."""

    def is_first_process(self, model: Model) -> bool:
        """Whether this process writes, of those that train a model together."""
