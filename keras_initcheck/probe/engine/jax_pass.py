"""The compiled pass on JAX, as pure functions of variables' values and a batch.

The values are arguments of the compiled function: captured ones would go stale. The model's Python
code runs once, while its forward pass is traced; what is differentiated is that trace.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from keras_initcheck.probe.engine import jax_host
from keras_initcheck.probe.engine.jax_callbacks import calls_back
from keras_initcheck.probe.engine.protocol import (
    BatchParts,
    CompiledPass,
    ForwardPass,
    Row,
)
from keras_initcheck.probe.engine.row_layout import RowLayout, gradients_of, weight_gradients_of
from keras_initcheck.probe.keras_types import KerasVariable, Model, Tensor

FEWEST_SLOTS = 16
SLOTS_PER_LAYER = 3
"""Tensors that are observed at a layer at most: what enters it, its pre-activation, its output."""


def row_dtype() -> str:
    """float32, unless the user has enabled float64."""
    return "float64" if jax.config.jax_enable_x64 else "float32"


_Results: TypeAlias = tuple[np.ndarray, list[Tensor]]
"""The rows of a pass on the host, and the gradients of the weights that are kept."""


class _TooFewSlotsError(Exception):
    """More slots are needed.

    It takes a message and nothing else, because Keras raises errors of a layer's call anew, from
    their message alone.
    """


def compile_pass(forward: ForwardPass, model: Model, is_repeated: bool) -> CompiledPass:
    """See `Engine.compile_pass`.

    Where the rows of a single pass are not NumPy's, they would make the program several times as
    long. Then the pass runs operation by operation, and each row is compiled once for each shape.
    """
    traced = _TracedPass(forward, model)
    compiled = jax.jit(traced.run, static_argnums=(0, 1, 2))
    may_compile = not getattr(model, "run_eagerly", False)
    is_examined = False

    def call(batch: BatchParts, values: list[Tensor], is_compiled: bool) -> _Results:
        nonlocal is_examined
        state = traced.state()
        with jax_host.tracing_for((values, state, batch)) as is_host:
            while True:
                arguments = (traced.num_slots, is_compiled, is_host, values, state, batch)
                try:
                    vector, gradients = (compiled if is_compiled else traced.run)(*arguments)
                except _TooFewSlotsError:
                    traced.num_slots *= 2
                    continue
                rows = np.asarray(vector)
                if is_compiled and not is_examined:
                    is_examined = True
                    # JAX keeps the trace of the run, and makes no second one.
                    forward.is_closed = not calls_back(compiled.trace(*arguments).jaxpr)
                if not forward.is_closed:
                    jax.effects_barrier()  # a callback may still run when the rows are there
                return rows, gradients

    def is_worth_compiling(batch: BatchParts) -> bool:
        return may_compile and (is_repeated or jax_host.are_on_host((traced.values(), batch)))

    def run(batch: BatchParts) -> np.ndarray:
        vector, gradients = call(batch, traced.values(), is_worth_compiling(batch))
        forward.keep(gradients)
        return vector

    def loss_with(
        batch: BatchParts, variables: Sequence[KerasVariable], values: Sequence[Tensor]
    ) -> float | None:
        if not is_worth_compiling(batch):
            return None
        return float(call(batch, traced.values(variables, values), True)[0][0])

    return CompiledPass(run, loss_with)


class _TracedPass:
    """A forward pass and its gradients as pure functions of variables' values and a batch.

    `jax.vjp` wants all slots before the model runs. A spare one costs nothing.

    Attributes:
        num_slots: Number of slots.
    """

    def __init__(self, forward: ForwardPass, model: Model) -> None:
        self.num_slots: int = FEWEST_SLOTS + SLOTS_PER_LAYER * forward.num_layers
        self._forward = forward
        self._trainable = list(model.trainable_variables)
        self._others = list(model.non_trainable_variables)
        self._trained: tuple[str, ...] = ()
        self._layout = RowLayout()
        self._num_taken = 0

    def values(
        self, variables: Sequence[KerasVariable] = (), values: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """The values of the trainable variables, as they are now, but for those that are given."""
        given = {id(variable): value for variable, value in zip(variables, values, strict=True)}
        return [given.get(id(each), each.value) for each in self._trainable]

    def state(self) -> list[Tensor]:
        """The values of the other variables, as they are now."""
        return [each.value for each in self._others]

    def run(
        self,
        num_slots: int,
        is_compiled: bool,
        is_host: bool,
        values: list[Tensor],
        state: list[Tensor],
        batch: BatchParts,
    ) -> tuple[Tensor, list[Tensor]]:
        """All rows, as one vector, and the gradients of the weights that are kept.

        `is_compiled` and `is_host` decide which rows there are: a program is kept for each.
        """
        # The inner function is traced once, and differentiated for each objective. A single `vjp`
        # of all, pulled with a one and zeros, would send these zeros through taps that an objective
        # does not reach: their rows would claim to be connected.
        run_forward = jax.jit(self._run_forward) if is_compiled else self._run_forward
        slots = [jnp.zeros(*self._forward.slot_type) for _ in range(num_slots)]
        objectives, _ = jax.eval_shape(run_forward, values, slots, state, batch)
        if not objectives:
            return self._join(run_forward(values, slots, state, batch)[1], {}), []
        gradients: dict[str, list[Row]] = {}
        kept: list[Tensor] = []
        for name in objectives:

            def objective(values: Any, slots: Any, name: str = name) -> Any:
                found, rows = run_forward(values, slots, state, batch)
                return found[name], rows

            value, pull, rows = jax.vjp(objective, values, slots, has_aux=True)
            of_weights, of_slots = pull(jnp.ones_like(value))
            gradients[gradients_of(name)] = of_slots[: self._num_taken]
            if name in self._trained:
                row = self._forward.gradient_row
                gradients[weight_gradients_of(name)] = list(map(row, of_weights))
                kept = of_weights if self._forward.keeps_gradients else []
        return self._join(rows, gradients), kept

    def _join(self, rows: dict[str, list[Row]], gradients: dict[str, list[Row]]) -> Tensor:
        ordered = self._layout.pack({**rows, **gradients})
        return jnp.concatenate([row.astype(row_dtype()) for row in ordered])

    def _run_forward(
        self, values: list[Tensor], slots: list[Tensor], state: list[Tensor], batch: BatchParts
    ) -> tuple[dict[str, Tensor], dict[str, list[Row]]]:
        """Runs the forward pass; notes what it gives besides tensors, which outlive no trace."""
        self._num_taken = 0

        def next_slot(width: int, dtype: str) -> Tensor:
            self._num_taken += 1
            if self._num_taken > len(slots):
                raise _TooFewSlotsError("A pass observes more tensors than it has slots for.")
            return slots[self._num_taken - 1]

        trainable = zip(self._trainable, values, strict=True)
        mapping = [*trainable, *zip(self._others, state, strict=True)]
        result = self._forward(next_slot, batch, mapping)
        self._trained, self._layout = result.trained, result.layout
        return result.objectives, result.rows
