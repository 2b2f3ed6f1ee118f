"""Candidates for a repair, each tried for some training steps; the one that learns best stays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras_initcheck.analysis.trial_verdict import is_better, order
from keras_initcheck.probe.data.batches import Batches
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.probe.trial import run_trial
from keras_initcheck.records.report import Report
from keras_initcheck.records.trial import Trial
from keras_initcheck.repairs.options import AUTO, LSUV
from keras_initcheck.repairs.repair import Repair

AS_IT_IS = "as it is"
"""Name of the model without a repair among the candidates."""
CANDIDATES = (AUTO, "he", LSUV)
"""Methods that are tried where the method is `"auto"`."""


def candidates(method: str) -> tuple[str, ...]:
    """The methods to try."""
    return CANDIDATES if method == AUTO else (method,)


def repair_by_trial(
    model: Any,
    before: Report,
    batches: Batches,
    repairs: Mapping[str, Callable[[], Repair]],
) -> Repair:
    """Tries repairs for some steps on the same batches, and keeps the one that learns best.

    A repair that its own probe does not find better is no candidate. The model itself is one: it
    stays what it was unless a candidate learns better beyond the noise of the losses.

    Args:
        model: A compiled model.
        before: The report on it.
        batches: The batches; they are kept in memory, to be the same for all.
        repairs: For each method what repairs the model, the same way each time.

    Returns:
        The repair that was kept, or the first one, undone; with all trials.
    """
    kept = list(batches.items)

    def tried() -> Trial:
        return run_trial(model, replace(batches, items=iter(kept)))

    with ONE_AT_A_TIME:
        trials = [(AS_IT_IS, tried())]
        outcomes = {method: _try(repair, tried) for method, repair in repairs.items()}
        trials += [(method, trial) for method, (_, trial) in outcomes.items() if trial is not None]
        best, best_trial = min(trials[1:], key=lambda each: order(each[1]), default=trials[0])
        if not is_better(best_trial, trials[0][1]):
            return _none(outcomes, trials)
        found = repairs[best]()
    steps = best_trial.num_steps
    message = f"{found.message} Of {len(trials)} trials of {steps} steps, `{best}` learns best."
    return replace(found, message=message, trials=tuple(trials))


def _try(repair: Callable[[], Repair], tried: Callable[[], Trial]) -> tuple[Repair, Trial | None]:
    """A repair and its trial, and the model as it was before."""
    outcome = repair()
    if not outcome.applied:
        return outcome, None
    try:
        return outcome, tried()
    finally:
        outcome.undo()


def _none(
    outcomes: dict[str, tuple[Repair, Trial | None]], trials: Sequence[tuple[str, Trial]]
) -> Repair:
    """The first repair, undone, where none learns better than the model as it is."""
    first = next(iter(outcomes.values()))[0]
    if len(trials) == 1:
        return replace(first, trials=tuple(trials))
    message = (
        f"Undone, the model is what it was: in trials of {trials[0][1].num_steps} steps no"
        " repaired model learns better than it does."
    )
    return replace(first, message=message, trials=tuple(trials))
