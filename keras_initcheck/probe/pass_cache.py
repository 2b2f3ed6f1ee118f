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
"""A fit needs three: the exact pass, the fast one, and the fast one with histograms; twice that
where the last batch is shorter.
"""

Pass = TypeVar("Pass")


@dataclass(frozen=True)
class _Circumstances:
    """What tracing reads: values that are compared as such, and objects that have to be the same
    ones.

    The objects are held, because the identity of one that is gone may be given to another.
    """

    values: tuple[Any, ...]
    objects: tuple[Any, ...]

    def are(self, other: "_Circumstances") -> bool:
        same_number = len(self.objects) == len(other.objects)
        return (
            self.values == other.values
            and same_number
            and all(a is b for a, b in zip(self.objects, other.objects, strict=True))
        )


class PassCache(Generic[Pass]):
    """The latest passes of one model, `MOST_PASSES` at most; the one that was not asked for longest
    goes first.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[_Circumstances, Pass]] = []

    def get(self, model: Any, batch: Batch, options: object, make: Callable[[], Pass]) -> Pass:
        """The pass for these circumstances, made where there is none.

        Args:
            model: The model.
            batch: The batch, of which dtypes, shapes and structure count.
            options: What else the pass depends on, by its value.
            make: Makes the pass.
        """
        wanted = _circumstances(model, batch, options)
        place = next(
            (place for place, (known, _) in enumerate(self._kept) if known.are(wanted)), None
        )
        found = (wanted, make()) if place is None else self._kept.pop(place)
        self._kept = [*self._kept[-MOST_PASSES + 1 :], found]
        return found[1]


def _circumstances(model: Any, batch: Batch, options: object) -> _Circumstances:
    """`compile` makes its loss anew each time, so that a second one is seen even with the same
    arguments.
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
