"""The compiled pass on JAX, as pure functions of variables' values and a batch.

The values are arguments of the compiled function: captured ones would go stale. Only a repeated
pass is compiled as a whole; a single one compiles the rows, shape by shape.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keras_initcheck.probe.engine.jax_callbacks import calls_back
from keras_initcheck.probe.engine.protocol import (
    BatchParts,
    CompiledPass,
    ForwardPass,
    PassResult,
    Row,
)
from keras_initcheck.probe.engine.row_layout import RowLayout, gradients_of, weight_gradients_of
from keras_initcheck.probe.keras_types import Model, Tensor


def row_dtype() -> str:
    """float32, unless the user has enabled float64."""
    return "float64" if jax.config.jax_enable_x64 else "float32"


class _TooFewSlotsError(Exception):
    """More slots are needed.

    It takes a message and nothing else, because Keras raises errors of a layer's call anew, from
    their message alone.
    """


def compile_pass(forward: ForwardPass, model: Model, is_repeated: bool) -> CompiledPass:
    """See `Engine.compile_pass`."""
    traced = _TracedPass(forward, model)
    compiled = jax.jit(traced.run)
    run = compiled if is_repeated else traced.run
    is_examined = not is_repeated

    def call(batch: Any) -> np.ndarray:
        nonlocal is_examined
        values, state = traced.values()
        if not traced.slot_types:
            # No number is computed: tracers of shapes alone show how many slots a pass takes.
            jax.eval_shape(traced.count_slots, values, state, batch)
        while True:
            try:
                rows = np.asarray(run(values, state, batch))
            except _TooFewSlotsError:
                traced.add_slots()
                continue
            if not is_examined:
                is_examined = True
                # JAX keeps the trace of the run, and makes no second one.
                forward.is_closed = not calls_back(compiled.trace(values, state, batch).jaxpr)
            if not forward.is_closed:
                jax.effects_barrier()  # a callback may still run when the rows are there
            return rows

    return call


class _TracedPass:
    """A forward pass and its gradients as pure functions of variables' values and a batch.

    The number of slots and the objectives are found by an abstract run, because `jax.vjp` wants all
    slots before the model runs. A real run may differ by a few slots: whether a cast that changes
    nothing returns the same object or another depends on the kind of tracer.

    Attributes:
        slot_types: Width and dtype of each slot.
    """

    def __init__(self, forward: ForwardPass, model: Model) -> None:
        self.slot_types: list[tuple[int, str]] = []
        self._forward = forward
        self._trainable = list(model.trainable_variables)
        self._others = list(model.non_trainable_variables)
        self._objectives: tuple[str, ...] = ()
        self._trained: tuple[str, ...] = ()
        self._layout = RowLayout()
        self._taken: list[tuple[int, str]] = []

    def values(self) -> tuple[list[Tensor], list[Tensor]]:
        """The values of the trainable variables and of the others, as they are now."""
        return [each.value for each in self._trainable], [each.value for each in self._others]

    def count_slots(
        self, values: list[Tensor], state: list[Tensor], batch: BatchParts
    ) -> dict[str, list[Row]]:
        """Runs the pass with a new slot for whoever asks, and notes how many there are."""
        self.slot_types.clear()

        def make_slot(width: int, dtype: str) -> Tensor:
            self.slot_types.append((width, dtype))
            return jnp.zeros(width, dtype)

        return self._run_forward(make_slot, values, state, batch).rows

    def add_slots(self) -> None:
        """Doubles the slots: those of a pass are alike, and a spare one costs nothing."""
        self.slot_types.extend(self._taken[-1:] * len(self._taken))

    def run(self, values: list[Tensor], state: list[Tensor], batch: BatchParts) -> Tensor:
        """All rows, as one vector."""
        slots = [jnp.zeros(width, dtype) for width, dtype in self.slot_types]
        rows: dict[str, list[Row]] = {}
        gradients: dict[str, list[Row]] = {}
        if not self._objectives:
            rows = self._run_with_slots(values, slots, state, batch).rows
        for name in self._objectives:
            # One forward pass for each objective. A single `vjp` of both, pulled with a one and a
            # zero, would send that zero through taps that this objective does not reach: their rows
            # would claim to be connected.
            objective = functools.partial(self._objective, name, state, batch)
            value, pull, rows = jax.vjp(objective, values, slots, has_aux=True)
            of_weights, of_slots = pull(jnp.ones_like(value))
            gradients[gradients_of(name)] = of_slots[: len(self._taken)]
            if name in self._trained:
                row = self._forward.gradient_row
                gradients[weight_gradients_of(name)] = list(map(row, of_weights))
        ordered = self._layout.pack({**rows, **gradients})
        return jnp.concatenate([row.astype(row_dtype()) for row in ordered])

    def _objective(
        self,
        name: str,
        state: list[Tensor],
        batch: BatchParts,
        values: list[Tensor],
        slots: list[Tensor],
    ) -> tuple[Tensor, dict[str, list[Row]]]:
        result = self._run_with_slots(values, slots, state, batch)
        return result.objectives[name], result.rows

    def _run_with_slots(
        self, values: list[Tensor], slots: list[Tensor], state: list[Tensor], batch: BatchParts
    ) -> PassResult:
        self._taken.clear()

        def next_slot(width: int, dtype: str) -> Tensor:
            self._taken.append((width, dtype))
            if len(self._taken) > len(slots):
                raise _TooFewSlotsError("A pass observes more tensors than its abstract run did.")
            return slots[len(self._taken) - 1]

        return self._run_forward(next_slot, values, state, batch)

    def _run_forward(
        self,
        make_slot: Callable[[int, str], Tensor],
        values: list[Tensor],
        state: list[Tensor],
        batch: BatchParts,
    ) -> PassResult:
        """Runs the forward pass; notes what it gives besides tensors, which outlive no trace."""
        trainable = zip(self._trainable, values, strict=True)
        mapping = [*trainable, *zip(self._others, state, strict=True)]
        result = self._forward(make_slot, batch, mapping)
        self._objectives = tuple(result.objectives)
        self._trained, self._layout = result.trained, result.layout
        return result
