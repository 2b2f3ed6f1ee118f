"""Guards of a pass: no other pass beside it, and no Ctrl-C while things are put back."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from keras_initcheck.records.errors import ProbeError

RUNNING = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
"""Methods of a model that change and read what a pass puts back."""

ONE_AT_A_TIME = threading.RLock()
"""Held by whatever runs or changes a model. There is one for all models: they may share layers, and
the random states that a pass sets and puts back belong to the process. A thread may take it again,
because a model's own code may probe another model."""


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


def refuse_while_in_use(model: Any) -> None:
    """Refuses a model that another thread is running.

    A pass would put back what that thread has changed meanwhile. A run that starts later is not
    noticed.

    Raises:
        ProbeError: Another thread is in the model's `fit`, `evaluate`, `predict` or the like.
    """
    here, name = threading.get_ident(), model.name
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost if thread != here else None
        while frame is not None:
            if frame.f_code.co_name in RUNNING and frame.f_locals.get("self") is model:
                raise ProbeError(
                    f"The model {name!r} must not run in another thread while it is probed."
                    f" Received: one that is in `{frame.f_code.co_name}` there. Probe it before or"
                    " after, or in the training itself with `InitCheck`."
                )
            frame = frame.f_back
