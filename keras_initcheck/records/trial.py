"""A trial: real training steps that were made in a sandbox and taken back.

As those of a report, the methods that render it import their renderer themselves.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from keras_initcheck.records.record import Record

Verdict = Literal["learns", "learns slowly", "does not learn", "diverges", "undecided"]


@dataclass(frozen=True, eq=False, repr=False)
class Trial(Record):
    """Training steps of the compiled model, made on its data and taken back.

    Attributes:
        model: Name of the model.
        verdict: `"learns"`, `"learns slowly"`, `"does not learn"`, `"diverges"` or `"undecided"`.
        reason: The reason for it, in words.
        curves: `(name, values)` of each number that the model's train step returns, with a value
            for each step: that of the step's batch before its update.
        judged: Name of the curve that the verdict is about; `""` where several losses pull in
            different directions, or none is returned.
        penalties: What the regularizers of the weights add to the judged curve, per step; empty
            where they add nothing. The verdict is about the rest.
        guessing_loss: Loss of the best constant prediction of the labels; `nan` where the loss or
            its labels are not known.
        start: Level at which the judged curve begins: the median of the steps of its first fifth.
        end: Level at which it ends: the median of the last fifth.
        noise: Standard deviation of a step's loss around its level.
        num_updates: Updates that the optimizer made, fewer than steps where it collects gradients
            or skips those that overflow.
        weights: Paths of the trainable variables.
        watched_steps: The steps, counted from 0, whose updates were measured.
        relative_updates: For each of them, the root mean square of each weight's update over that
            of the weight; `nan` for a weight that is zero.
        optimizer: Class name of the optimizer; `None` without one.
        batch_size: Samples of each batch; the first one's where they differ.
        source: Where the batches came from, in words.
        seconds: Wall time of the trial.
    """

    model: str
    verdict: Verdict
    reason: str
    curves: tuple[tuple[str, tuple[float, ...]], ...] = ()
    judged: str = ""
    penalties: tuple[float, ...] = ()
    guessing_loss: float = math.nan
    start: float = math.nan
    end: float = math.nan
    noise: float = math.nan
    num_updates: int = 0
    weights: tuple[str, ...] = ()
    watched_steps: tuple[int, ...] = ()
    relative_updates: tuple[tuple[float, ...], ...] = ()
    optimizer: str | None = None
    batch_size: int = 0
    source: str = ""
    seconds: float = 0.0

    @property
    def losses(self) -> tuple[float, ...]:
        """The judged curve without penalties; empty where none is judged."""
        found = dict(self.curves).get(self.judged, ())
        if not self.penalties:
            return found
        return tuple(loss - penalty for loss, penalty in zip(found, self.penalties, strict=True))

    @property
    def num_steps(self) -> int:
        """Number of steps that were made."""
        return max((len(values) for _, values in self.curves), default=0)

    @property
    def learns(self) -> bool:
        """Whether the model learned in the trial, fast or slowly."""
        return self.verdict in ("learns", "learns slowly")

    @property
    def fails(self) -> bool:
        """Whether it did not, beyond doubt."""
        return self.verdict in ("does not learn", "diverges")

    def __repr__(self) -> str:
        return f"<Trial {self.model}: {self.verdict}: {self.reason}>"

    def __str__(self) -> str:
        from keras_initcheck.outputs import trial_text

        return trial_text.render(self)

    def _repr_html_(self) -> str:
        """The lines of the text and the figure, as a notebook displays them."""
        from keras_initcheck.outputs import notebook

        return notebook.text_and_figure(str(self), self.figure() if self.num_steps else None)

    def figure(self, *, dark: bool = False) -> Any:
        """Returns a plotly figure of the curve; `.show()` opens it, a notebook displays it.

        Args:
            dark: Whether to use colors for a dark background.

        Raises:
            ValueError: The trial has no curve.
        """
        from keras_initcheck.outputs.figures.trial import draw_trial

        return draw_trial(self, dark=dark)
