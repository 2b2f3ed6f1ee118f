"""One row of the truth table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Net:
    """One row of the table.

    Attributes:
        name: Its name.
        build: Makes the model, drawn anew each time.
        why: Why it is healthy, or what is wrong.
        codes: Empty for a healthy net. Otherwise the codes of which at least one must come as a
            warning or an error.
        culprit: A layer that must be among the culprits, if there is one to name.
        optimizer: What it is compiled with: a name, or what makes an optimizer, with a `rate`.
        loss: What it is compiled with; a cross-entropy or squared error by its output unless told.
        loss_scale: Factor that `loss` has on the one that the labels tell.
        data: Makes inputs and labels from a seed; random ones unless told.
        rate: Learning rate that it is compiled with, and trained with alone; Keras' default, and
            the best of several, unless told.
        cured: Makes it with the finding's advice followed, where `repair` leaves that to the user.
        severity: The severity that the worst finding with one of the codes has at least.
    """

    name: str
    build: Callable[[], Any]
    why: str
    codes: tuple[str, ...] = ()
    culprit: str | None = None
    optimizer: str | Callable[[], Any] = "sgd"
    loss: Any = None
    loss_scale: float = 1.0
    data: Callable[[int], tuple[Any, Any]] | None = None
    rate: float | None = None
    cured: Callable[[], Any] | None = None
    severity: str = "warning"
