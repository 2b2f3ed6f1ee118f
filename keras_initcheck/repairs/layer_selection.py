"""Resolves the layers that a user names to the variables of a model."""

import fnmatch
from collections.abc import Sequence
from typing import Any

from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.private_api import flatten_layers
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.repairs.options import (
    ModelRepairOptions,
    RepairOptions,
    Selection,
    every_weight,
)


def options_for(
    options: RepairOptions,
    owned: Sequence[OwnedVariable],
    seed: int,
    may_change: Selection = every_weight,
) -> ModelRepairOptions:
    """The options of one repair of the model that owns the variables.

    Args:
        options: The user's options.
        owned: The model's variables with their owners.
        seed: Seed of the values that are drawn.
        may_change: Restricts the layers that may change further.

    Raises:
        ValueError: An entry of `options.layers` matches no layer with variables.
        TypeError: An entry is neither a string nor a layer.
    """
    chosen = selection(options.layers, owned)
    selects = chosen if may_change is every_weight else _both(chosen, may_change)
    return ModelRepairOptions(**vars(options), seed=seed, selects=selects)


def selection(layers: Any, owned: Sequence[OwnedVariable]) -> Selection:
    """A predicate for `ModelRepairOptions.selects`.

    Args:
        layers: `None` for all; a path such as `"encoder/dense_3"`, a pattern such as `"encoder/*"`,
            a layer (with all layers inside it), or a sequence of these.
        owned: The model's variables with their owners.

    Raises:
        ValueError: An entry matches no layer with variables; the message lists the layers.
        TypeError: An entry is neither a string nor a layer.
    """
    if layers is None:
        return every_weight
    entries = layers if isinstance(layers, Sequence) and not isinstance(layers, str) else [layers]
    chosen = {path for entry in entries for path in _paths(entry, owned)}
    return lambda weight: weight.layer in chosen


def _both(first: Selection, second: Selection) -> Selection:
    return lambda weight: first(weight) and second(weight)


def _paths(entry: Any, owned: Sequence[OwnedVariable]) -> set[str]:
    if isinstance(entry, str):
        found = {
            each.layer
            for each in owned
            if fnmatch.fnmatchcase(each.layer, entry) or each.layer.startswith(f"{entry}/")
        }
    elif introspection.is_layer(entry):
        inside = {id(layer) for layer in flatten_layers(entry)}
        found = {each.layer for each in owned if id(each.owner) in inside}
    else:
        raise TypeError(
            f"`layers` must hold paths, patterns and layers. Received: {entry!r} of type"
            f" {type(entry).__name__}."
        )
    if not found:
        raise ValueError(
            f"`layers` must mean layers of the model that have weights. Received: {entry!r}. It"
            f" has: {_known(owned)}."
        )
    return found


def _known(owned: Sequence[OwnedVariable]) -> str:
    names = list(dict.fromkeys(each.layer for each in owned))
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
