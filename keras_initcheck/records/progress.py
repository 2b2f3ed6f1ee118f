"""The interface by which long work reports how far it is; `outputs.progress_line` shows it."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Gets each phase of some work as it begins."""

    def __call__(self, phase: str, num_done: Callable[[], int] | None = None) -> None:
        """Notes that a phase begins.

        Args:
            phase: Its name, such as `"building the model"`.
            num_done: The number of layers that the phase has called so far. It may be called from
                another thread, at any time before the next phase.
        """


def show_nothing(phase: str, num_done: Callable[[], int] | None = None) -> None:
    """Shows nothing."""
