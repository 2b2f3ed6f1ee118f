"""The record of a repair: reports before and after, the steps, and the way back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import Report
from keras_initcheck.records.trial import Trial
from keras_initcheck.repairs.plan import Plan, Step
from keras_initcheck.repairs.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Repair:
    """A repair that was planned, applied, or tried and undone.

    `print(repair)` shows the steps and their result; a notebook shows signal and gradient before
    and after as well.

    Attributes:
        before: The report that the repair started from.
        after: The report on the changed model, also where the changes were undone; `None` where
            nothing was changed.
        plan: The steps, the findings they target, and the findings that no step resolves.
        message: The result in a sentence or two.
        trials: Name and trial of each candidate, the model as it was first, where they were tried.
    """

    before: Report
    after: Report | None
    plan: Plan
    message: str
    trials: tuple[tuple[str, Trial], ...] = field(default=(), kw_only=True)
    _snapshot: Snapshot | None = field(default=None, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The changes that were made, or that a dry run would make first."""
        return self.plan.steps

    @property
    def unresolved(self) -> tuple[tuple[Finding, str], ...]:
        """Warnings and errors that no re-initialization resolves, each with its reason."""
        return self.plan.unresolved

    @property
    def applied(self) -> bool:
        """Whether the model has the new values; false again after `undo`."""
        return self._snapshot is not None and not self._snapshot.is_restored

    @property
    def result(self) -> Report:
        """The report on the model as the repair left it."""
        return self.before if self.after is None or not self.applied else self.after

    @without_strategy()
    def undo(self) -> None:
        """Restores, bitwise, the values that the model had before the repair.

        Training since then is lost. A second call changes nothing.
        """
        if self._snapshot is not None and self.applied:
            with ONE_AT_A_TIME:
                self._snapshot.restore()

    def __str__(self) -> str:
        from keras_initcheck.outputs import trial_text

        return "\n".join([f"{self.plan}", *trial_text.compared(self.trials), self.message])

    def figure(self, *, dark: bool = False) -> Any:
        """Returns a plotly figure of signal and gradient before and after the repair.

        Args:
            dark: Whether to use colors for a dark background.

        Raises:
            ValueError: Nothing was changed, so that there is no state after the repair.
        """
        from keras_initcheck.outputs.figure_data import FigureData
        from keras_initcheck.outputs.figures import draw

        frames = [FigureData.from_report(report) for _, report in self._before_and_after()]
        return draw("before_after", frames, dark=dark)

    def save_html(self, path: str | Path) -> None:
        """Writes the reports before and after as one HTML file that works offline.

        Raises:
            ValueError: Nothing was changed, so that there is no state after the repair.
            OSError: The file cannot be written.
        """
        from keras_initcheck.outputs.html_report import compare_html

        compare_html(self._before_and_after(), path)

    def _before_and_after(self) -> list[tuple[str, Report]]:
        if self.after is None:
            raise ValueError(
                "There must be a changed model to compare. Received: a repair that changed"
                f" nothing. {self.message}"
            )
        return [("before", self.before), ("after", self.after)]

    def _repr_html_(self) -> str:
        """The steps and the figure, as a notebook displays them."""
        from keras_initcheck.outputs import notebook

        return notebook.text_and_figure(str(self), None if self.after is None else self.figure())
