"""What keeps a pass whole: no other pass beside it, and no Ctrl-C in the middle of putting things back."""

import contextlib
import signal
import threading
from collections.abc import Iterator

ONE_AT_A_TIME = threading.RLock()
"""Held by whatever runs or changes a model. One for all models: they may share layers, and the random states that a pass sets and puts
back belong to the process. A thread may take it again, so that code which a pass calls may probe, too."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C back until leaving. Python interrupts its main thread only: nothing is to be done in another one."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:  # `None`: a handler that is not Python's
        yield
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held:
            signal.raise_signal(signal.SIGINT)
