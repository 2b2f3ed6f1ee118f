"""The first step as a witness: the compiled optimizer's update, made and taken back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.protocol import Engine
from keras_initcheck.probe.engine.update_rows import ON_HOST, update_row
from keras_initcheck.probe.keras_model import introspection, learning_rates
from keras_initcheck.probe.keras_model.optimizers import (
    chosen_optimizers,
    compiled_optimizer,
    flatten_optimizers,
    is_loss_scaled,
    is_multi_optimizer,
    wrapped_optimizers,
)
from keras_initcheck.probe.keras_model.private_api import trained_variables
from keras_initcheck.probe.keras_types import KerasVariable, Tensor
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.records.errors import ProbeError
from keras_initcheck.records.first_step import FirstStep

FloatArray = npt.NDArray[np.float64]

OVERFLOWS = (
    "the gradient overflows at the present loss scale; training skips such steps until the scale is"
    " low enough"
)
NOT_EAGER = "the model runs as a graph only"


@dataclass(frozen=True)
class Descent:
    """What a backward pass from the loss has left: where the first step begins.

    Attributes:
        batch: The batch.
        variables: The trainable variables.
        gradients: The loss's gradient of each, multiplied by `loss_scale`.
        loss: Value of the loss.
        loss_scale: Factor by which the optimizer had multiplied the loss.
        loss_with: As in `engine.protocol.CompiledPass`.
    """

    batch: Batch
    variables: Sequence[KerasVariable]
    gradients: Sequence[Tensor]
    loss: float
    loss_scale: float
    loss_with: Callable[..., float | None] | None = None


def measure_first_step(
    model: Any, engine: Engine, descent: Descent, positions: Sequence[int]
) -> FirstStep | None:
    """Makes the update of a model's optimizer, and takes it back.

    Args:
        model: The model.
        engine: The engine of the backend.
        descent: The pass before.
        positions: For each weight of the profile, the position of its variable in the descent; -1
            for one that is not trained.

    Returns:
        The step; `None` where the compiled optimizer trains none of the model's variables.

    Raises:
        ProbeError: No step can be made of the gradients.

    Cost: an update and a forward pass, and the memory of the weights and of the optimizer's slots
    once more. Side effects: none; an optimizer without slots has none afterwards.
    """
    with preserved(model):
        optimizer = _without_loss_scale(compiled_optimizer(model))
        trained = _trained(model, engine, optimizer, descent.variables)
        if not trained:
            return None
        variables = [descent.variables[position] for position in trained]
        gradients = _true_gradients(model, descent, trained)
        (rate, warms_up), momentum = _prepare(optimizer), learning_rates.momentum(optimizer)
        decay = learning_rates.decay(optimizer)
        values = engine.updated_values(optimizer, variables, gradients)
        epsilons = _epsilons(optimizer, variables)
        table = _table(engine, variables, values, gradients, epsilons)
        after = _loss_after(model, engine, descent, variables, values)
    rows = dict(zip(trained, table, strict=True))
    ordered = np.array([rows.get(position, _NO_ROW) for position in positions]).reshape(-1, 5)
    return FirstStep(
        loss_before=descent.loss,
        loss_after=after,
        promised_change=float(np.sum(table[:, 0])),
        learning_rate=rate,
        momentum=momentum,
        relative_updates=tuple(_quotient(ordered[:, 1], ordered[:, 2]).tolist()),
        shares_below_epsilon=tuple(ordered[:, 3].tolist()),
        relative_sizes=tuple(_quotient(ordered[:, 4], ordered[:, 2]).tolist()),
        decay=decay,
        warms_up=warms_up,
    )


_NO_ROW = np.full(5, np.nan)


def _without_loss_scale(optimizer: Any) -> Any:
    """The optimizer that gets the gradients of the loss itself."""
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        (optimizer,) = wrapped_optimizers(optimizer)
    for each in flatten_optimizers(optimizer):
        each.loss_scale_factor = None
    return optimizer


def _trained(
    model: Any, engine: Engine, optimizer: Any, variables: Sequence[KerasVariable]
) -> list[int]:
    """Positions of the variables that an optimizer trains; builds it if nothing did so far."""
    if not optimizer.built and variables:
        with engine.building_scope(model):
            optimizer.build(list(variables))
    known = {id(variable) for variable in trained_variables(optimizer)}
    return [position for position, variable in enumerate(variables) if id(variable) in known]


def _true_gradients(model: Any, descent: Descent, trained: Sequence[int]) -> list[Tensor]:
    """The gradients of the loss, without the factor by which the optimizer scales it."""
    if len(descent.gradients) != len(descent.variables):
        raise ProbeError(NOT_EAGER)
    are_replacements = [
        getattr(descent.variables[position], "overwrite_with_gradient", False)
        for position in trained
    ]
    gradients = [descent.gradients[position] for position in trained]
    if any(are_replacements):
        _check_eager(gradients)
    found = [
        gradient if is_replacement or descent.loss_scale == 1 else gradient / descent.loss_scale
        for gradient, is_replacement in zip(gradients, are_replacements, strict=True)
    ]
    if is_loss_scaled(compiled_optimizer(model)) and not _are_finite(found):
        raise ProbeError(OVERFLOWS)
    return found


def _check_eager(gradients: Sequence[Tensor]) -> None:
    """Refuses gradients without values: TensorFlow makes those of float8 layers in a graph.

    Raises:
        ProbeError: A gradient has no value.
    """
    try:
        _are_finite(gradients)
    except TypeError as error:
        raise ProbeError(NOT_EAGER) from error


def _are_finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(to_numpy(ops.all(ops.isfinite(tensor)))) for tensor in tensors)


def _prepare(optimizer: Any) -> tuple[float, bool]:
    """Makes the next update a whole one, at the rate that `hold_largest_rate` returns."""
    for each in flatten_optimizers(optimizer):
        if getattr(each, "gradient_accumulation_steps", None):
            each.gradient_accumulation_steps = None
    return learning_rates.hold_largest_rate(optimizer)


def _epsilons(optimizer: Any, variables: Sequence[KerasVariable]) -> list[float]:
    is_multi = is_multi_optimizer(optimizer)
    chosen = chosen_optimizers(optimizer, variables) if is_multi else [optimizer] * len(variables)
    return [learning_rates.epsilon(each) for each in chosen]


def _loss_after(
    model: Any,
    engine: Engine,
    descent: Descent,
    variables: Sequence[KerasVariable],
    values: Sequence[Tensor],
) -> float:
    """The loss of the model with other values of its variables."""
    batch = descent.batch
    if descent.loss_with is not None:
        found = descent.loss_with(batch.parts, variables, values)
        if found is not None:
            return found
    mapping = [*introspection.regularized_values(model), *zip(variables, values, strict=True)]
    with (
        engine.holding(variables, values),
        engine.without_gradients(),
        keras.StatelessScope(mapping, collect_losses=True),
    ):
        outputs = introspection.call_in_training(model, batch.x)
        loss = introspection.compute_loss(model, batch.x, batch.y, outputs, batch.sample_weight)
        return float(to_numpy(ops.cast(loss, "float32")))


def _table(
    engine: Engine,
    variables: Sequence[KerasVariable],
    values: Sequence[Tensor],
    gradients: Sequence[Tensor],
    epsilons: Sequence[float],
) -> FloatArray:
    """`(variables, 5)`: promised change, size of the update and of the weight, share below epsilon.

    The size of the weight after the update comes last. Sizes are root mean squares.
    """
    row = engine.compile_row(update_row, ON_HOST)
    rows = [
        row(variable.value, value, gradient, ops.convert_to_tensor(epsilon, "float32"))
        for variable, value, gradient, epsilon in zip(
            variables, values, gradients, epsilons, strict=True
        )
    ]
    raw = np.stack([np.asarray(to_numpy(each), np.float64) for each in rows])
    largest, means, size = raw[:, :4], raw[:, 4:8], raw[:, 10]
    with np.errstate(all="ignore"):  # a step that diverges has no finite size
        sizes = largest[:, 1:] * np.sqrt(means[:, 1:])
        promised = largest[:, 0] * largest[:, 1] * means[:, 0] * size
        shares = raw[:, 8] / raw[:, 9]
    shares[np.isnan(epsilons)] = np.nan
    return np.column_stack([promised, sizes[:, :2], shares, sizes[:, 2]])


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """`nan` where the denominator is zero."""
    with np.errstate(all="ignore"):
        found: FloatArray = np.where(denominator > 0, numerator / denominator, math.nan)
    return found
