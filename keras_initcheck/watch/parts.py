"""The watched models: the trained one, or parts of it under the names that the user gave."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

MAX_NAME = 100
"""Longest name of a directory, in characters; file systems allow 255 bytes."""


@dataclass(frozen=True)
class Part:
    """A model to watch.

    Attributes:
        model: The model.
        label: The user's name for it; empty for the only model.
        data: Data to probe it with: a tuple of `x`, `y` and `sample_weight` or fewer, an object
            that yields batches, or `None`.
        directory: Name of its directory in the log; empty for the only model.
    """

    model: Any
    label: str = ""
    data: Any = None
    directory: str = ""

    def is_same(self, other: "Part") -> bool:
        """Whether both are the same model under the same name, with the same data."""
        return self.model is other.model and self.label == other.label and self.data is other.data

    def log_dir(self, root: str | Path | None) -> str | Path | None:
        """The directory of its log, inside the user's log directory."""
        return root if root is None or not self.directory else Path(root) / self.directory


def parts_of(parts: Mapping[str, tuple[Any, ...]] | None, data: Any) -> tuple[Part, ...]:
    """The parts that the user named; none if only the trained model is watched.

    Raises:
        ValueError: Both parts and data were passed, or a part is not `(model, x)`, `(model, x, y)`
            or `(model, x, y, sample_weight)`.
        TypeError: A part's model is not a `keras.Model`.
    """
    if parts is None:
        return ()
    if not isinstance(parts, Mapping) or not parts:
        raise ValueError(
            '`parts` must be a dict such as {"generator": (generator, noise)}. Received:'
            f" parts={parts!r:.80}."
        )
    if data is not None:
        raise ValueError(
            "`data` must be left out where there are `parts`: each brings its own. Received: both."
        )
    found: list[Part] = []
    for label, part in parts.items():
        if (
            not isinstance(label, str)
            or not label
            or not isinstance(part, tuple)
            or not 2 <= len(part) <= 4
        ):
            raise ValueError(
                "`parts` must map names to (model, x), (model, x, y) or (model, x, y,"
                f" sample_weight). Received: {label!r}: {type(part).__name__} of length"
                f" {len(part) if isinstance(part, tuple) else 'unknown'}."
            )
        if not isinstance(part[0], keras.Model):
            raise TypeError(
                f"A part must begin with a keras.Model. Received: {label!r}:"
                f" {type(part[0]).__name__}."
            )
        found.append(
            Part(part[0], label, part[1:], _directory(label, [other.directory for other in found]))
        )
    return tuple(found)


def _directory(label: str, taken: list[str]) -> str:
    """`label` as the name of a directory on every file system.

    It differs from the names that are taken by more than case.
    """
    name = re.sub(r"[^\w.-]", "_", label).lstrip(".")[:MAX_NAME] or "part"
    folded = [other.casefold() for other in taken]
    return (
        name
        if name.casefold() not in folded
        else _directory(f"{name[: MAX_NAME - 4]}_{len(taken) + 1}", taken)
    )
