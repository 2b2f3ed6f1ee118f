"""The optimizers of a model: which one trains each variable, and how many updates it has made.

Some optimizers only wrap others, and have no update of their own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.keras_model.private_api import choose_optimizer, trained_variables
from keras_initcheck.probe.keras_types import KerasVariable, Model


def compiled_optimizer(model: Model) -> Any | None:
    """The optimizer that `compile` gave a model; `None` where it was not called."""
    return getattr(model, "optimizer", None)


def is_multi_optimizer(optimizer: Any) -> bool:
    """Whether `optimizer` chooses another one for each variable, a class that Keras 3.15 added."""
    kind = getattr(keras.optimizers, "MultiOptimizer", None)
    return kind is not None and isinstance(optimizer, kind)


def wrapped_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers to which `optimizer` hands its gradients on.

    A `MultiOptimizer` has several, and may know them only once it is built.
    """
    if is_multi_optimizer(optimizer):
        return list(optimizer.optimizers)
    inner = getattr(optimizer, "inner_optimizer", None)
    return [] if inner is None else [inner]


def flatten_optimizers(optimizer: Any) -> list[Any]:
    """`optimizer` and all that it wraps, at any depth."""
    inner = (each for part in wrapped_optimizers(optimizer) for each in flatten_optimizers(part))
    return [optimizer, *inner]


def innermost_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that make the updates; none for `None`."""
    parts = wrapped_optimizers(optimizer)
    if parts or is_multi_optimizer(optimizer):
        return [each for part in parts for each in innermost_optimizers(part)]
    return [] if optimizer is None else [optimizer]


def is_loss_scaled(optimizer: Any) -> bool:
    """Whether a `LossScaleOptimizer` scales the loss, and skips steps whose gradient overflows."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or any(
        map(is_loss_scaled, wrapped_optimizers(optimizer))
    )


@without_strategy()
def steps_taken(model: Model) -> int:
    """Updates that the model's optimizer has made; 0 for a model without an optimizer.

    Batches whose gradients wait in an accumulator do not count. Of several optimizers the one that
    is furthest counts, also of those that a model with a `train_step` of its own holds as
    attributes: their weights are trained as well.
    """
    held = [
        value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)
    ]
    # Each counter is a variable or, with gradient accumulation, a tensor.
    counters = (
        inner.iterations
        for optimizer in [compiled_optimizer(model), *held]
        for inner in innermost_optimizers(optimizer)
    )
    return max((int(to_numpy(counter)) for counter in counters), default=0)


def family(optimizer: Any) -> str | None:
    """The name of Keras' class of an optimizer: `"Adam"` also for a subclass; `None` for `None`.

    The name of a class that derives from none of Keras' optimizers begins with its module, so that
    nobody takes it for one of them.
    """
    if optimizer is None:
        return None
    for kind in type(optimizer).__mro__:
        if (
            kind is not keras.optimizers.Optimizer
            and getattr(keras.optimizers, kind.__name__, None) is kind
        ):
            return str(kind.__name__)
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"


def families(
    optimizer: Any, variables: Sequence[KerasVariable]
) -> tuple[str | None, dict[int, str]]:
    """The family that trains a model, and the family that trains each of its variables.

    Args:
        optimizer: The compiled optimizer, or `None`.
        variables: The trainable variables.

    Returns:
        The name of the family that trains all variables, or `"MultiOptimizer"` where several do;
        then the name of each variable's own family by the variable's id, which is empty where one
        family trains them all.
    """
    while not is_multi_optimizer(optimizer) and wrapped_optimizers(optimizer):
        (optimizer,) = wrapped_optimizers(optimizer)
    if not is_multi_optimizer(optimizer):
        return family(optimizer), {}
    chosen = zip(variables, chosen_optimizers(optimizer, variables), strict=True)
    found = {id(variable): name for variable, one in chosen if (name := family(one)) is not None}
    names = set(found.values())
    return (names.pop(), {}) if len(names) == 1 else (family(optimizer), found)


def chosen_optimizers(optimizer: Any, variables: Iterable[KerasVariable]) -> list[Any]:
    """The optimizer that a `MultiOptimizer` chooses for each variable.

    `None` stands for a variable without which it was built.
    """
    if not optimizer.built:
        return [choose_optimizer(optimizer, variable) for variable in variables]
    chosen = {
        id(variable): inner
        for inner in optimizer.optimizers
        for variable in trained_variables(inner)
    }
    return [chosen.get(id(variable)) for variable in variables]
