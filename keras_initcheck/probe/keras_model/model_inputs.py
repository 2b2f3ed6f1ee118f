"""Names of a model's inputs as its author knows them, and the operations that take each."""

import re
from typing import Any

import keras

from keras_initcheck.probe.keras_model.graph import next_operations, symbolic_inputs
from keras_initcheck.probe.keras_model.introspection import flatten_with_names
from keras_initcheck.probe.keras_types import Model, Nest

_NAME_OF_KERAS = re.compile(r"(keras_tensor|input|input_layer)(_\d+)?")
"""Names that Keras gives where the author gave none."""


def named_inputs(model: Model, x: Nest) -> list[tuple[str, Any]]:
    """The leaves of a batch's inputs, each with the name of its `keras.Input`.

    Inputs without a name of their author's have their path in the nest, such as `image` or `1`.
    """
    found, symbols = flatten_with_names(x), _symbols(model)
    if isinstance(x, dict) or len(symbols) != len(found):
        return found
    given = [_given_name(symbol) for symbol in symbols]
    pairs = zip(given, found, strict=True)
    named = [(name or path, leaf) for name, (path, leaf) in pairs]
    return named if len({name for name, _ in named}) == len(named) else found


def takers_of_inputs(model: Model, x: Nest) -> dict[int, tuple[str, ...]]:
    """Names of the inputs that each operation of a graph takes directly, by the operation's id.

    Keras casts an input to the dtype of its symbol, so that the tensor alone does not tell.
    """
    found: dict[int, tuple[str, ...]] = {}
    for name, symbol in _paired(model, x):
        for operation, _ in next_operations(model, symbol):
            found[id(operation)] = (*found.get(id(operation), ()), name)
    return found


def _paired(model: Model, x: Nest) -> list[tuple[str, Any]]:
    """Name and symbolic tensor of each input; empty where it is not clear which is which."""
    named, symbols = named_inputs(model, x), symbolic_inputs(model)
    flat = _symbols(model)
    if isinstance(x, dict):
        by_name = symbols if isinstance(symbols, dict) else {each.name: each for each in flat}
        return [(name, by_name[name]) for name, _ in named if name in by_name]
    pairs = zip(named, flat, strict=True) if len(flat) == len(named) else ()
    return [(name, symbol) for (name, _), symbol in pairs]


def _symbols(model: Model) -> list[Any]:
    symbols = symbolic_inputs(model)
    return [] if symbols is None or isinstance(symbols, dict) else list(keras.tree.flatten(symbols))


def _given_name(symbol: Any) -> str | None:
    name = str(getattr(symbol, "name", "") or "")
    return None if not name or _NAME_OF_KERAS.fullmatch(name) else name
