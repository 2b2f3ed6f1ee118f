"""Guards of a pass: no other pass beside it, and none of a model that runs already."""

import sys
import threading
from types import FrameType
from typing import Any

from keras_initcheck.records.errors import ProbeError

RUNNING = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
"""Methods of a model that change and read what a pass puts back."""

ONE_AT_A_TIME = threading.RLock()
"""Held by whatever runs or changes a model. There is one for all models: they may share layers, and
the random states that a pass sets and puts back belong to the process. A thread may take it again,
because a model's own code may probe another model."""


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
