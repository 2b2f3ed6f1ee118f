"""One line on a terminal that shows what long work is doing; it is gone when the work is done."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

DELAY = 2.0
"""Seconds that work takes before a line appears: what is quicker needs none."""
INTERVAL = 0.1
"""Seconds between two drawings of the line."""


class ProgressLine:
    """A context in which the phases of some work appear on a terminal, with the time they take.

    Nothing is shown in the first `DELAY` seconds, and nothing at all where the stream is no
    terminal: a file, a pipe, a notebook. The line is drawn by a thread, since a phase may be one
    long call, and the thread ends with the context.

    Args:
        is_wanted: Whether anything is to be shown.
        stream: The stream; standard error by default.
        clock: Seconds since any moment.
    """

    def __init__(
        self,
        is_wanted: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._over = threading.Event()
        self._phase: tuple[str, Callable[[], int] | None] = ("beginning", None)
        self._thread = threading.Thread(target=self._draw, name="initcheck progress", daemon=True)
        self._is_shown = is_wanted and _is_terminal(self._stream)

    def __call__(self, phase: str, num_done: Callable[[], int] | None = None) -> None:
        """Notes that a phase begins; see `Progress`."""
        self._phase = (phase, num_done)

    def __enter__(self) -> "ProgressLine":
        self._start = self._clock()
        if self._is_shown:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._is_shown:
            self._thread.join()

    def _draw(self) -> None:
        while self._clock() - self._start < DELAY:
            if self._over.wait(INTERVAL):
                return
        try:
            self._draw_line()
        except Exception:  # a stream that was closed meanwhile must not disturb the work
            return

    def _draw_line(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        line = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=self._stream),
            transient=True,  # the line is taken away
            auto_refresh=False,  # this thread draws
            redirect_stdout=False,  # what the model prints goes where it always does
            redirect_stderr=False,
            get_time=self._clock,
        )
        task: Any = line.add_task(self._describe())
        line.tasks[0].start_time = self._start
        with line:
            while True:
                line.update(task, description=self._describe(), refresh=True)
                if self._over.wait(INTERVAL):
                    return

    def _describe(self) -> str:
        phase, num_done = self._phase
        count = 0 if num_done is None else num_done()
        return f"initcheck: {phase}{f', layer {count}' if count else ''}"


def _is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; a process without a console has no stream at all."""
    try:
        return bool(stream is not None and stream.isatty())
    except ValueError:  # it is closed
        return False
