"""Keras' own losses, and which of them compares each output with its labels.

An output for which that is ambiguous is left out.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from keras_initcheck.probe.keras_model import introspection

_LOSSES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
}
_NAMES = {
    **{loss: name for name, loss in _LOSSES.items()},
    **{getattr(keras.losses, name): name for name in _LOSSES},
}


@dataclass(frozen=True)
class KnownLoss:
    """One of Keras' losses.

    Attributes:
        name: Keras' name of it, such as `"mean_squared_error"`.
        from_logits: Whether it takes logits.
        ignored_class: Class that it leaves out, or `None`.
        function: A copy of the loss that returns the plain mean.
        is_supposed: Whether the model has a function of the user's own, which is this loss if their
            values agree.
    """

    name: str
    from_logits: bool
    ignored_class: int | None
    function: Any
    is_supposed: bool = False


@dataclass(frozen=True)
class OutputWithLoss:
    """An output with its labels and its loss.

    Attributes:
        name: Name of the output.
        output: Its tensor.
        key: Key of its labels in the batch's `y`; `None` where `y` itself is the labels.
        loss: The loss that compares the two.
    """

    name: str
    output: Any
    key: str | int | None
    loss: KnownLoss

    def labels(self, y: Any) -> Any:
        """The labels of this output."""
        return y if self.key is None else y[self.key]


_Match: TypeAlias = tuple[str, Any, str | int | None, Any]
"""Name, output, key of its labels, and what `compile` was given as its loss."""


def known_loss(loss: Any) -> KnownLoss | None:
    """The loss that `compile` was given for an output, if it is one of Keras' over the last axis.

    `None` for a subclass and for any other loss.
    """
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            # Names such as "crossentropy", which Keras resolves by the labels' shape.
            return None
    is_instance = isinstance(loss, keras.losses.Loss)
    given = type(loss) if is_instance else loss
    name = next((name for known, name in _NAMES.items() if known is given), None)
    if name is None:
        return None
    config = loss.get_config() if is_instance else {}
    if config.get("axis", -1) != -1:
        return None
    function = _LOSSES[name].from_config({**config, "reduction": "sum_over_batch_size"})
    return KnownLoss(
        name, bool(config.get("from_logits", False)), config.get("ignore_class"), function
    )


def supposed_loss(loss: Any, labels: Any, output: Any) -> KnownLoss | None:
    """The cross-entropy of logits that a user's own function may be; `None` where none fits.

    Whoever passes probabilities to such a function has the softmax twice.
    """
    is_own = callable(loss) and known_loss(loss) is None
    shapes = [tuple(getattr(tensor, "shape", ())) for tensor in (labels, output)]
    if not is_own or len(shapes[1]) < 2 or shapes[1][-1] in (None, 1):
        return None
    if shapes[0] == shapes[1]:
        return KnownLoss("categorical_crossentropy", True, None, _of_logits, is_supposed=True)
    if not keras.backend.is_int_dtype(labels.dtype):
        return None
    largest = int(shapes[1][-1]) - 1

    def function(labels: Any, output: Any) -> Any:
        # Labels of another meaning must not end the pass.
        return _of_classes(keras.ops.clip(labels, 0, largest), output)

    return KnownLoss("sparse_categorical_crossentropy", True, None, function, is_supposed=True)


def _of_logits(labels: Any, output: Any) -> Any:
    """The cross-entropy of logits, also on TensorFlow, where Keras' own undoes a softmax.

    A second `log_softmax` changes nothing, and Keras does not look behind it.
    """
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    return loss(labels, keras.ops.log_softmax(output))


def _of_classes(labels: Any, output: Any) -> Any:
    """The same for the numbers of the classes."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss(labels, keras.ops.log_softmax(output))


def match_outputs(model: Any, y: Any, outputs: Any) -> list[OutputWithLoss]:
    """The outputs with their labels and losses, where it is beyond doubt which belong together."""
    if y is None or type(model).compute_loss is not keras.Model.compute_loss:
        return []
    is_single = len(introspection.flatten_with_names(outputs)) == 1
    found = _match_one(model, y, outputs) if is_single else _match_several(model, y, outputs)
    resolved = ((name, output, key, known_loss(loss)) for name, output, key, loss in found)
    return [
        OutputWithLoss(name, output, key, loss)
        for name, output, key, loss in resolved
        if loss is not None and not _is_nested(output)
    ]


def suppose_output(model: Any, y: Any, outputs: Any) -> list[OutputWithLoss]:
    """The only output with the loss that a function of the user's own may be; empty without one."""
    is_single = len(introspection.flatten_with_names(outputs)) == 1
    if y is None or not is_single or type(model).compute_loss is not keras.Model.compute_loss:
        return []
    for name, output, key, given in _match_one(model, y, outputs):
        loss = supposed_loss(given, y if key is None else y[key], output)
        if loss is not None and not _is_nested(output):
            return [OutputWithLoss(name, output, key, loss)]
    return []


def _match_one(model: Any, y: Any, outputs: Any) -> list[_Match]:
    (_, output), *_ = introspection.flatten_with_names(outputs)
    losses = introspection.flatten_with_names(model.loss)
    if len(losses) != 1 or len(introspection.flatten_with_names(y)) != 1:
        return []
    is_keyed = isinstance(outputs, dict)
    names = outputs if is_keyed else getattr(model, "output_names", None) or ["output"]
    return [(str(next(iter(names))), output, _only_key(y), losses[0][1])]


def _only_key(structure: Any) -> str | int | None:
    if isinstance(structure, dict):
        return str(next(iter(structure)))
    return 0 if isinstance(structure, list | tuple) else None


def _match_several(model: Any, y: Any, outputs: Any) -> list[_Match]:
    names = (
        list(outputs)
        if isinstance(outputs, dict)
        else list(getattr(model, "output_names", None) or range(len(outputs)))
    )
    values = list(outputs.values()) if isinstance(outputs, dict) else list(outputs)
    if len(names) != len(values) or len(set(names)) != len(names):
        return []
    found: list[_Match] = []
    for position, (name, output) in enumerate(zip(names, values, strict=True)):
        is_keyed = isinstance(outputs, dict)
        key = _key(y, name, position, len(names), is_keyed)
        loss_key = _key(model.loss, name, position, len(names), is_keyed)
        loss = (
            model.loss[loss_key]
            if loss_key is not None
            else None
            if _is_nested(model.loss)
            else model.loss
        )
        if key is not None and loss is not None:
            found.append((str(name), output, key, loss))
    return found


def _key(structure: Any, name: Any, position: int, count: int, is_keyed: bool) -> Any:
    """The key at which the part of an output stands in `structure`; `None` where there is none."""
    if isinstance(structure, dict):
        return name if name in structure else None
    return (
        position
        if isinstance(structure, list | tuple) and len(structure) == count and not is_keyed
        else None
    )


def _is_nested(structure: Any) -> bool:
    return isinstance(structure, dict | list | tuple)
