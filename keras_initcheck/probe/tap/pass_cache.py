"""Passes of one model, kept for as long as nothing that their tracing read has changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import keras

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.optimizers import compiled_optimizer
from keras_initcheck.probe.keras_model.private_api import compiled_loss, flatten_layers

MOST_PASSES = 8
"""A fit needs three passes, the exact one, the fast one, and the fast one with histograms, and as
many again where the last batch is shorter.
"""

Pass = TypeVar("Pass")


@dataclass(frozen=True)
class _Circumstances:
    """The circumstances that tracing reads.

    Attributes:
        values: Values that must be equal.
        objects: Objects that must be the same ones. They are held, because the identity of one that
            is gone may be given to another.
    """

    values: tuple[Any, ...]
    objects: tuple[Any, ...]

    def equal(self, other: "_Circumstances") -> bool:
        same_number = len(self.objects) == len(other.objects)
        return (
            self.values == other.values
            and same_number
            and all(a is b for a, b in zip(self.objects, other.objects, strict=True))
        )


class PassCache(Generic[Pass]):
    """The latest passes of one model, at most `MOST_PASSES`.

    The pass that has not been used for the longest time goes first.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[_Circumstances, Pass]] = []

    def get(self, model: Any, batch: Batch, options: object, make: Callable[[], Pass]) -> Pass:
        """The pass for these circumstances, made where none is kept.

        Args:
            model: The model.
            batch: The batch, of which dtypes, shapes and structure count.
            options: What else the pass depends on, by its value.
            make: Makes the pass.
        """
        wanted = _circumstances(model, batch, options)
        place = next(
            (place for place, (kept, _) in enumerate(self._kept) if kept.equal(wanted)), None
        )
        found = (wanted, make()) if place is None else self._kept.pop(place)
        self._kept = [*self._kept[-MOST_PASSES + 1 :], found]
        return found[1]


def _circumstances(model: Any, batch: Batch, options: object) -> _Circumstances:
    """The circumstances of a pass.

    `compile` makes a new loss each time, so that a second `compile` with the same arguments counts.
    """
    layers = flatten_layers(model)
    kinds = [
        None if part is None else [(tuple(t.shape), str(t.dtype)) for t in keras.tree.flatten(part)]
        for part in batch.parts
    ]
    names = [
        None if part is None else [name for name, _ in introspection.flatten_with_names(part)]
        for part in batch.parts
    ]
    flags = [bool(layer.trainable) for layer in layers]
    settings = (keras.config.image_data_format(), keras.config.floatx())
    compiled = (compiled_optimizer(model), compiled_loss(model))
    return _Circumstances(
        (options, kinds, names, flags, introspection.runs_eagerly(model), settings),
        (*compiled, *layers, *model.variables),
    )
