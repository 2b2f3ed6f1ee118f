"""A trial as a few lines of text, with its curve in one of them."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from keras_initcheck.analysis.trial_verdict import update_sizes
from keras_initcheck.outputs.cleaning import one_line
from keras_initcheck.records.number_format import format_count, format_number
from keras_initcheck.records.trial import Trial

BARS = "▁▂▃▄▅▆▇█"
LONGEST_CURVE = 40
"""Characters of the curve."""


def render(trial: Trial) -> str:
    """All lines."""
    return "\n".join([title(trial), *(f"    {line}" for line in lines(trial))])


def title(trial: Trial) -> str:
    """`net: trial of 50 steps, Adam, 50 batches of ndarray, shuffled, 32 samples each, 1.2 s`."""
    parts = (
        f"{one_line(trial.model)}: trial of {trial.num_steps} steps",
        trial.optimizer or "",
        one_line(trial.source),
        f"{trial.batch_size} samples each",
        f"{format_number(trial.seconds)} s",
    )
    return ", ".join(filter(None, parts))


def lines(trial: Trial, is_in_report: bool = False) -> list[str]:
    """Verdict, curve and updates, without the title.

    Args:
        trial: The trial.
        is_in_report: Whether the verdict begins with what it is about.
    """
    shown = [trial.judged] if trial.judged else [name for name, _ in trial.curves][:3]
    verdict = sentence(trial)
    return [
        f"Trial of {trial.num_steps} steps: {verdict}" if is_in_report else verdict,
        *(_curve(trial, name) for name in shown),
        *filter(None, [_updates(trial)]),
    ]


def compared(trials: Sequence[tuple[str, Trial]]) -> list[str]:
    """A line for each of several trials: name, verdict and curve."""
    width = max((len(name) for name, _ in trials), default=0)
    return [
        f"  trial, {name:{width}}  {trial.verdict:14}  {_short_curve(trial)}"
        for name, trial in trials
    ]


def _short_curve(trial: Trial) -> str:
    if not trial.losses:
        return ""
    ends = [format_number(level) for level in (trial.start, trial.end)]
    return f"{ends[0]} {sparkline(trial.losses)} {ends[1]}"


def sentence(trial: Trial) -> str:
    """The verdict: `Learns: the loss fell from 2.41 to 1.10 in 50 steps; guessing costs 2.30`."""
    return one_line(f"{trial.verdict.capitalize()}: {trial.reason}.")


def sparkline(values: Sequence[float], width: int = LONGEST_CURVE) -> str:
    """A curve in one line: the mean of the values behind each character, `×` where none is finite.

    >>> sparkline([8.0, 4.0, 2.0, 1.0]), sparkline([2.0, float("nan")])
    ('█▄▂▁', '▁×')
    """
    edges = [number * len(values) // width for number in range(width + 1)]
    if len(values) <= width:
        edges = list(range(len(values) + 1))
    means = [_mean(values[start:stop]) for start, stop in pairwise(edges)]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return "×" * len(means)
    lowest, height = min(finite), max(finite) - min(finite)
    return "".join(
        BARS[round((mean - lowest) / height * (len(BARS) - 1)) if height > 0 else 0]
        if math.isfinite(mean)
        else "×"
        for mean in means
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.nan


def _curve(trial: Trial, name: str) -> str:
    is_judged = name == trial.judged
    values = trial.losses if is_judged else dict(trial.curves)[name]
    ends = [format_number(value) for value in (values[0], values[-1])]
    noise = f", noise {format_number(trial.noise)} a step" if is_judged else ""
    without = " without penalties" if is_judged and trial.penalties else ""
    return f"{one_line(name)}{without} {ends[0]} {sparkline(values)} {ends[1]}{noise}"


def _updates(trial: Trial) -> str:
    """The sizes of the measured updates: the median of all weights."""
    found = update_sizes(trial)
    if not found:
        return ""
    text = ", ".join(f"{format_number(size)} at step {step + 1}" for step, size in found)
    count = f"{format_count(trial.num_updates)} updates" if trial.num_updates else "Updates"
    return f"{count}, of each weight (median): {text}."
