"""The scalars at which backward passes start: the loss, and a random direction of the outputs."""

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.optimizers import compiled_optimizer
from keras_initcheck.probe.keras_types import Model, Nest, Tensor
from keras_initcheck.probe.tap.pass_record import LOSS, RANDOM, PassRecord
from keras_initcheck.probe.tap.refused_loss import why_left_out
from keras_initcheck.probe.tap.tensor_owners import TensorOwners

_COTANGENT_SIZE = 2**16 + 1  # a prime: tiling it never lines up with an axis


def make_objectives(
    model: Model, batch: Batch, outputs: Nest, owners: TensorOwners, record: PassRecord
) -> tuple[dict[str, Tensor], Tensor]:
    """The objectives that are wanted and possible.

    Args:
        model: The model.
        batch: Its batch.
        outputs: Its outputs.
        owners: Which site made which tensor.
        record: The pass, whose options list what is wanted. Notes on what is not possible, and the
            places where the random cotangent starts, are added to it.

    Returns:
        The objectives by name, and the vector `(NUM_SCALARS,)` of the loss, the factor by which
        the optimizer scales it (both 1 without a loss), and the penalties of the weights in it.
    """
    found: dict[str, Tensor] = {}
    scale = loss = ops.ones((), "float32")
    penalties = ops.zeros((), "float32")
    if wants_loss(model, record):
        value = _loss(model, batch, outputs, record)
        if value is not None:
            loss = ops.cast(value, "float32")
            scale = ops.cast(_scaled(model, ops.ones((), value.dtype)), "float32")
            found[LOSS] = _scaled(model, value)
            penalties = _penalties(model, record)
    if RANDOM in record.options.cotangents:
        value = _random_objective(outputs, owners, record)
        if value is not None:
            found[RANDOM] = value
    return found, ops.stack([loss, scale, penalties])


def wants_loss(model: Model, record: PassRecord) -> bool:
    """Whether the loss is asked for, and the model was given one."""
    return LOSS in record.options.cotangents and introspection.is_compiled(model)


def _scaled(model: Model, value: Tensor) -> Tensor:
    """A loss, scaled as in training.

    Under mixed float16 an unscaled gradient would vanish in the number format, not in the network.
    """
    optimizer = compiled_optimizer(model)
    return optimizer.scale_loss(value) if optimizer is not None else value


def _penalties(model: Model, record: PassRecord) -> Tensor:
    """The sum of the weights' penalties, which a single probe takes."""
    found = introspection.weight_penalties(model) if record.options.is_exact else []
    return sum((ops.cast(each, "float32") for each in found), ops.zeros((), "float32"))


def _loss(model: Model, batch: Batch, outputs: Nest, record: PassRecord) -> Tensor | None:
    try:
        return introspection.compute_loss(model, batch.x, batch.y, outputs, batch.sample_weight)
    except Exception as error:  # whatever a loss of the user's raises
        note = why_left_out(model, batch, outputs, error)
        if note is None:
            raise
        record.notes.append(("loss", note))
        return None


def _random_objective(outputs: Nest, owners: TensorOwners, record: PassRecord) -> Tensor | None:
    """The sum of the outputs times N(0, 1) numbers, whose gradient these numbers are.

    It starts before an output's own activation; see `TensorOwners.before_activation`.
    """
    generator = np.random.default_rng(record.options.seed)
    terms = []
    for output in filter(is_observable, keras.tree.flatten(outputs)):
        start = owners.before_activation(output)
        record.cotangent_places.append(owners.cotangent_place(output))
        size = min(int(np.prod(start.shape)), _COTANGENT_SIZE)
        numbers = generator.standard_normal(size)
        direction = statistics_rows.tiled(numbers, tuple(start.shape), start.dtype)
        terms.append(ops.sum(ops.cast(start * direction, "float32")))
    return sum(terms[1:], terms[0]) if terms else None
