"""The verdict on a trial's curves: what its steps can tell, and what noise hides.

Levels are medians, and noise is a median of differences, so that one bad batch decides nothing.
`tests/benchmarks/trial.py` prints what the thresholds give on healthy and faulty networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from keras_initcheck.records.number_format import format_number, format_share
from keras_initcheck.records.trial import Trial, Verdict

FEWEST_STEPS = 10
"""Steps of the shortest trial that is judged: two windows and some differences to see noise."""
WINDOW = 5
"""The levels are those of the first and of the last fifth of the steps."""
CERTAIN = 4.0
"""Standard errors from which a change is none of chance."""
SUSPECTED = 1.5
"""Standard errors from which a fall that is not certain may yet become one."""
FAST = 0.1
"""Share of what is to be learned below which a certain fall is slow."""
SMALLEST_FALL = 0.02
"""Share of the loss that a trial has to be able to see before it denies a fall."""
DOUBLED = 2.0
"""Factor on the larger of the first loss and guessing's from which a loss that rose diverges."""
LEARNED = 0.5
"""Share of guessing's loss below which a network is trained, and little is left to learn."""
WARMED_UP = 0.5
"""Share of its later height below which a learning rate is too small to be judged."""
SMALLEST_MOVE = 0.01
"""Share of their size that weights have to move in the longest trial; as in the rule on the first
step that changes nothing."""
SMALLEST_SIZE = 1e-12
"""Size of a loss below which it counts as zero."""
MOST_STEPS = 10_000
"""Longest trial that is recommended."""

BEST_FIRST: tuple[Verdict, ...] = (
    "learns",
    "learns slowly",
    "undecided",
    "does not learn",
    "diverges",
)
"""The verdicts from the best to the worst."""

Judgement = tuple[Verdict, str]


@dataclass(frozen=True)
class Levels:
    """Where a curve begins and ends.

    Attributes:
        first: Its first value.
        start: Median of its first fifth.
        end: Median of its last fifth.
        noise: Standard deviation of a step around its level, in the second half.
        error: Standard error of the difference of the two levels.
        end_error: Standard error of the level at the end.
        num_steps: Number of its steps.
    """

    first: float
    start: float
    end: float
    noise: float
    error: float
    end_error: float
    num_steps: int

    @property
    def fall(self) -> float:
        """How far the level fell."""
        return self.start - self.end


def levels(losses: Sequence[float]) -> Levels:
    """The levels of a curve of two values or more; values that are not finite are left out.

    The noise of a step is that of the difference of two neighbors, divided by √2: the trend between
    neighbors is small. Each half has its own, since losses that fall far often become calm. A
    median of n values has 1.25 times the standard error of their mean.

    >>> found = levels([4.0, 4.2, 3.8, 4.0, 4.0, 2.0, 2.0, 2.2, 1.8, 2.0])
    >>> round(found.start, 2), round(found.end, 2)
    (4.1, 1.9)
    """
    values = np.asarray(losses, "float64")
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Levels(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, len(losses))
    width = max(len(values) // WINDOW, 1)
    halves = values[: len(values) // 2 + 1], values[len(values) // 2 - 1 :]
    noises = [_deviation(np.diff(half)) / math.sqrt(2.0) for half in halves]
    errors = [1.25 * noise / math.sqrt(width) for noise in noises]
    return Levels(
        first=float(values[0]),
        start=float(np.median(values[:width])),
        end=float(np.median(values[-width:])),
        noise=noises[1],
        error=math.hypot(*errors),
        end_error=errors[1],
        num_steps=len(losses),
    )


def _deviation(values: npt.NDArray[np.float64]) -> float:
    """Standard deviation of normal values with outliers, from the median distance."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def judged_curve(names: Sequence[str]) -> str:
    """The name of the loss among the curves; `""` without one, or where there are several.

    >>> judged_curve(["loss", "kl_loss"]), judged_curve(["d_loss", "g_loss"]), judged_curve([])
    ('loss', '', '')
    """
    losses = [name for name in names if "loss" in name.lower()]
    known = [name for name in ("loss", "total_loss") if name in losses]
    return known[0] if known else losses[0] if len(losses) == 1 else ""


def judge_trial(trial: Trial, *, accumulation: int = 1, warm_up: float = 1.0) -> Trial:
    """The trial with its verdict.

    Args:
        trial: A trial without one.
        accumulation: Batches whose gradients are collected for an update.
        warm_up: The learning rate at its end, as a share of that of later steps.
    """
    trial = replace(trial, judged=judged_curve([name for name, _ in trial.curves]))
    found = levels(trial.losses)
    verdict, reason = (
        _not_finite(trial)
        or _not_judged(trial, accumulation)
        or _judge(found, trial.guessing_loss, warm_up, _largest_update(trial))
    )
    return replace(
        trial,
        verdict=verdict,
        reason=reason,
        start=found.start,
        end=found.end,
        noise=found.noise,
    )


def order(trial: Trial) -> tuple[int, float]:
    """A key that sorts trials from the best verdict to the worst, and by the loss at their end."""
    return BEST_FIRST.index(trial.verdict), math.inf if math.isnan(trial.end) else trial.end


def is_better(trial: Trial, other: Trial) -> bool:
    """Whether a network learns better than another one in a trial on the same batches.

    Its verdict is better, or, with the same verdict, its loss ends lower by more than noise.
    """
    if trial.verdict != other.verdict:
        return order(trial) < order(other)
    found, compared = levels(trial.losses), levels(other.losses)
    error = math.hypot(found.end_error, compared.end_error)
    return compared.end - found.end > CERTAIN * error


def _not_finite(trial: Trial) -> Judgement | None:
    """A loss that is NaN or infinite, and stays so."""
    for name, values in trial.curves:
        if "loss" in name.lower() and values and not math.isfinite(values[-1]):
            bad = [number for number, value in enumerate(values) if math.isfinite(value)]
            step = bad[-1] + 2 if bad else 1
            called = "the loss" if name == trial.judged else f"`{name}`"
            return "diverges", f"{called} is {values[-1]} from step {step} on"
    return None


def _not_judged(trial: Trial, accumulation: int) -> Judgement | None:
    """Why the steps tell nothing, if they do not."""
    if not trial.judged:
        names = [f"`{name}`" for name, _ in trial.curves if "loss" in name.lower()]
        if names:
            return "undecided", (
                f"the train step returns several losses ({', '.join(names[:3])}), none of which"
                " has to fall"
            )
        return "undecided", "the train step returns no number that is called a loss"
    if trial.num_steps < FEWEST_STEPS:
        return "undecided", f"a verdict takes {FEWEST_STEPS} steps or more"
    if accumulation > 1 and trial.num_updates < FEWEST_STEPS // 2:
        return "undecided", (
            f"the optimizer collects the gradients of {accumulation} batches for an update, and"
            f" made {trial.num_updates}; {FEWEST_STEPS * accumulation} steps would tell"
        )
    return None


def update_sizes(trial: Trial) -> list[tuple[int, float]]:
    """Each watched step with its relative update, the median of all weights.

    Weights that were zero at the first watched step do not count: a bias that has just begun to
    move doubles with a step of any size.
    """
    first = next(iter(trial.relative_updates), ())
    found = []
    for step, row in zip(trial.watched_steps, trial.relative_updates, strict=True):
        pairs = zip(first, row, strict=True)
        sizes = [size for before, size in pairs if not math.isnan(before + size)]
        if sizes:
            found.append((step, float(np.median(sizes))))
    return found


def _largest_update(trial: Trial) -> float:
    """Relative update of the median weight at the step where it is largest; `nan` if unknown."""
    return max((size for _, size in update_sizes(trial)), default=math.nan)


def _judge(found: Levels, guess: float, warm_up: float, update: float) -> Judgement:
    """The verdict on a curve that ends with a finite loss."""
    worst = found.first if math.isnan(guess) else max(found.first, guess)
    # A first half that went up and down by far more says nothing of where the loss has come to.
    rise = found.end - found.first
    if found.end > DOUBLED * max(worst, 0.0) and rise > CERTAIN * found.end_error:
        return "diverges", f"the loss rose {_way(found, guess, found.first)}"
    reference = found.start if math.isnan(guess) else min(found.start, guess)
    learned, size = reference - found.end, max(abs(reference), SMALLEST_SIZE)
    is_certain = found.fall > CERTAIN * found.error and learned > CERTAIN * found.end_error
    if is_certain and learned >= FAST * size:
        return "learns", f"the loss fell {_way(found, guess)}"
    if guess > 0 and found.end < LEARNED * guess:
        return "undecided", (
            f"the loss is {format_number(found.end)}, and was so from the start, where guessing"
            f" costs {format_number(guess)}: little is left to learn"
        )
    if warm_up < WARMED_UP:
        return "undecided", (
            "the learning rate still warms up: at the end it is"
            f" {format_share(warm_up)} of that of later steps"
        )
    if is_certain and learned > SMALLEST_FALL / 10 * size:
        return "learns slowly", f"the loss fell by little, {_way(found, guess)}"
    if update * MOST_STEPS < SMALLEST_MOVE:
        return "does not learn", (
            f"an update moves the weights by {format_number(update, width=9)} of their size"
            f" (median), and the loss went {_way(found, guess)}"
        )
    return _judge_without_progress(found, guess)


def _judge_without_progress(found: Levels, guess: float) -> Judgement:
    """The verdict on a loss that did not fall below both where it began and guessing."""
    limit, size = CERTAIN * found.error, max(abs(found.end), SMALLEST_SIZE)
    is_above_guess = found.end - limit > DOUBLED * guess
    if found.fall < SUSPECTED * found.error and (is_above_guess or limit < SMALLEST_FALL * size):
        return "does not learn", f"the loss did not fall, {_way(found, guess)}"
    steps = _steps_needed(found, limit, size)
    is_at_guess = found.end + CERTAIN * found.end_error > guess
    if found.fall > limit and not is_at_guess:
        return "learns slowly", f"the loss fell by little, {_way(found, guess)}"
    if found.fall > limit:
        return "undecided", (
            f"the loss fell {_way(found, math.nan)}, and is not below guessing's"
            f" {format_number(guess)} yet; {steps} would tell"
        )
    return "undecided", (
        f"the loss goes up and down by {format_number(found.noise)} a step, which hides what it"
        f" fell, {_way(found, guess)}; {steps} would tell"
    )


def _steps_needed(found: Levels, limit: float, size: float) -> str:
    """Steps after which the noise of the levels would hide nothing.

    A trend adds up while the error of a level falls with the root of the steps; without one, the
    smallest fall that matters has to be seen.
    """
    if found.fall > SUSPECTED * found.error:
        factor = (limit / found.fall) ** (2.0 / 3.0)
    else:
        factor = (limit / (SMALLEST_FALL * size)) ** 2
    steps = found.num_steps * max(factor, 2.0)
    if steps > MOST_STEPS:
        return f"no trial of {MOST_STEPS} steps"
    return f"about {math.ceil(steps / 50) * 50} steps"


def _way(found: Levels, guess: float, start: float | None = None) -> str:
    """`from 2.41 to 1.10 in 50 steps; guessing costs 2.30`."""
    begin = found.start if start is None else start
    guessing = "" if math.isnan(guess) else f"; guessing costs {format_number(guess)}"
    return (
        f"from {format_number(begin)} to {format_number(found.end)} in {found.num_steps}"
        f" steps{guessing}"
    )
