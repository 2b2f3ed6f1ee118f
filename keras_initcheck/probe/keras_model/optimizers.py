"""Which of Keras' optimizers trains each variable, past the optimizers that only wrap others."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_initcheck.probe.keras_model import introspection


def is_loss_scaled(optimizer: Any) -> bool:
    """Whether a `LossScaleOptimizer` scales the loss, and skips the steps whose gradient
    overflows.
    """
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or any(
        map(is_loss_scaled, introspection.wrapped_optimizers(optimizer))
    )


def family(optimizer: Any) -> str | None:
    """The name of the class of Keras that an optimizer is of, `"Adam"` also for a subclass of it;
    `None` for no optimizer.

    A class that derives from none of Keras' optimizers has its module's name in front, so that
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


def families(optimizer: Any, variables: Sequence[Any]) -> tuple[str | None, dict[int, str]]:
    """What trains a model as a whole, and what trains each of its variables.

    Args:
        optimizer: The compiled optimizer, or `None`.
        variables: The trainable variables.

    Returns:
        The name of the family that trains them all, or `"MultiOptimizer"` where several do; and
        then for the id of each variable that of its own. Where one family trains them all, nothing
        is said of single variables.
    """
    while not introspection.is_multi_optimizer(optimizer) and introspection.wrapped_optimizers(
        optimizer
    ):
        (optimizer,) = introspection.wrapped_optimizers(optimizer)
    if not introspection.is_multi_optimizer(optimizer):
        return family(optimizer), {}
    chosen = zip(variables, introspection.chosen_optimizers(optimizer, variables), strict=True)
    found = {id(variable): name for variable, one in chosen if (name := family(one)) is not None}
    names = set(found.values())
    return (names.pop(), {}) if len(names) == 1 else (family(optimizer), found)
