"""The TensorBoard log of one model in one training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe import engine
from keras_initcheck.records.report import Report
from keras_initcheck.watch.call_stack import warn_user


class TrainingLog:
    """Writes reports to a run directory, which is made with the first one.

    A log that cannot be written costs one warning, and the training is probed without one. Only one
    process of several writes.

    Args:
        directory: The log directory; `None` writes nothing.
        model: The watched model, whose distribution knows the processes.
        per_layer_scalars: Whether every layer gets scalars of its own.
    """

    def __init__(
        self, directory: str | Path | None, model: Any, *, per_layer_scalars: bool
    ) -> None:
        self._directory = directory
        self._model = model
        self._per_layer_scalars = per_layer_scalars
        self._log: EventLog | None = None
        self._has_failed = False
        self._has_warned_of_removal = False

    def write(self, report: Report, step: int) -> None:
        """Writes a report at a step."""
        log = self._log
        if log is not None and log.is_lost and not self._has_warned_of_removal:
            self._has_warned_of_removal = True
            warn_user(
                f"The log in {str(log.directory)!r} was removed during the training. It is"
                " written again from this probe on."
            )
        self._write(lambda log: log.write(report, step))

    def add_histograms(self, report: Report) -> None:
        """Adds the report's histograms to a step that was written without them."""
        if self._log is not None and self._log.is_lost:
            self.write(report, report.profile.step)
        else:
            self._write(lambda log: log.add_histograms(report))

    def write_repair(self, text: str) -> None:
        """Writes the steps of a repair as markdown."""
        self._write(lambda log: log.write_text("repair", text))

    def close(self) -> None:
        """Ends the run; a later report would begin another one."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _write(self, write: Callable[[EventLog], None]) -> None:
        if self._directory is None or self._has_failed:
            return
        if not engine.load().is_first_process(self._model):
            return
        try:
            if self._log is None:
                self._log = EventLog(self._directory, per_layer_scalars=self._per_layer_scalars)
            write(self._log)
        except (OSError, ValueError) as error:
            self._has_failed = True
            warn_user(f"InitCheck steps aside from its log, and probes on without one: {error}")
