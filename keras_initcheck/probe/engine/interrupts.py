"""Ctrl-C while things are put back."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A context that holds Ctrl-C back until it is left.

    Python interrupts its main thread only, so that there is nothing to do in another one.
    """
    previous = signal.getsignal(signal.SIGINT)
    # `None` stands for a handler that is not Python's.
    if threading.current_thread() is not threading.main_thread() or previous is None:
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
