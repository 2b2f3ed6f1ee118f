"""A trial: so many real steps of the compiled model's own training, made and taken back."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.analysis.trial_verdict import judge_trial
from keras_initcheck.probe.data.arguments import as_steps
from keras_initcheck.probe.data.batch import Batch, num_samples
from keras_initcheck.probe.data.batches import Batches
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.randomness import untouched_global_randomness
from keras_initcheck.probe.keras_model import guessing, introspection, learning_rates
from keras_initcheck.probe.keras_model.messages import error_summary
from keras_initcheck.probe.keras_model.optimizers import (
    compiled_optimizer,
    family,
    flatten_optimizers,
    steps_taken,
)
from keras_initcheck.probe.keras_types import KerasVariable, Tensor
from keras_initcheck.probe.tap.everything import Everything
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.records.errors import DataError, InitCheckError, ProbeError
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.trial import Trial

MOST_LABELS = 2**22
"""Numbers among the labels from which the loss of guessing is computed."""


def run_trial(
    model: Any,
    batches: Batches,
    *,
    build: Callable[[Batch], None] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Trial:
    """Makes steps on the batches, and takes them back.

    Args:
        model: A compiled model.
        batches: The batches, one for each step.
        build: Builds an unbuilt model from a batch, before anything is kept.
        on_step: Called with the number of steps that are done.

    Returns:
        The trial.

    Raises:
        ProbeError: The model is not compiled, or a step fails.
        DataError: A batch cannot be used, or labels are missing.

    Cost: the steps, and the memory of all variables once more. Side effects: those of the data set;
    everything of the model is put back.
    """
    check_compiled(model)
    start = time.perf_counter()
    with untouched_global_randomness():
        first = next(batches.items)
    if build is not None and introspection.has_call(model):
        build(first)
    with preserved(model, kind=Everything):
        run = _Run(model, batches)
        for batch in chain([first], batches.items):
            run.step(batch)
            if on_step is not None:
                on_step(run.num_steps)
        return run.trial(batches.source, time.perf_counter() - start)


def with_trial(profile: Profile, model: Any, batches: Batches) -> Profile:
    """The profile with a trial of the model, or with the reason why a step failed.

    Raises:
        DataError: As in `run_trial`.
    """
    try:
        return replace(profile, trial=run_trial(model, batches))
    except ProbeError as error:
        notes = (*profile.not_probed, ("trial", str(error)))
        return replace(profile, structure=replace(profile.structure, not_probed=notes))


class _Run:
    """The steps of one trial, inside of what puts them back."""

    def __init__(self, model: Any, batches: Batches) -> None:
        # Its own function would keep what it traced for the trial's batches.
        model.train_function = None
        model.steps_per_execution = 1
        model.train_step = _as_in_fit(model.train_step, batches.is_bare)
        self.model = model
        self.num_steps: int = 0
        self._count = batches.count
        self._logs: list[dict[str, float]] = []
        self._penalties: list[float] = []
        self._watched: dict[int, tuple[float, ...]] = {}
        self._loss = guessing.guessed_loss(model)
        self._labels: list[np.ndarray] = []
        self._batch_size = 0
        self._steps_before = steps_taken(model)
        self._accumulation = max(
            getattr(each, "gradient_accumulation_steps", None) or 1
            for each in flatten_optimizers(compiled_optimizer(model))
        )

    def step(self, batch: Batch) -> None:
        """Makes one step, and notes what it returns."""
        _check_labels(self.model, batch)
        self._batch_size = self._batch_size or num_samples(batch)
        self._note_labels(batch)
        if guessing.trains_as_keras(self.model):
            penalties = introspection.weight_penalties(self.model)
            self._penalties += [sum(float(to_numpy(each)) for each in penalties)] * bool(penalties)
        before = _copies(self.model.trainable_variables) if self._is_watched() else None
        try:
            # Before Keras 3.6 `train_on_batch` returns means since the latest reset.
            self.model.reset_metrics()
            logs = self.model.train_on_batch(*batch.parts, return_dict=True)
        except InitCheckError:
            raise
        except Exception as error:
            raise ProbeError(
                f"The model {self.model.name!r} must train on the data. Received at step"
                f" {self.num_steps + 1} of the trial: {error_summary(error)}. `fit` should fail on"
                " this batch as well."
            ) from error
        if before:
            self._watched[self.num_steps] = _relative_updates(
                before, self.model.trainable_variables
            )
        self._logs.append(_numbers(logs))
        self.num_steps += 1

    def _is_watched(self) -> bool:
        """Whether the update is the first, or twice as many were made as at the one before."""
        number, rest = divmod(self.num_steps + 1, self._accumulation)
        is_last = number == self._count // self._accumulation
        return not rest and (is_last or not number & (number - 1))

    def _note_labels(self, batch: Batch) -> None:
        if batch.sample_weight is not None or batch.y is None:
            self._loss = None
        if self._loss is None or sum(each.size for each in self._labels) > MOST_LABELS:
            return
        labels = keras.tree.flatten(batch.y)
        self._labels += [to_numpy(labels[0])] * (len(labels) == 1)

    def trial(self, source: str, seconds: float) -> Trial:
        """The record of all steps."""
        names = dict.fromkeys(name for logs in self._logs for name in logs)
        curves = tuple(
            (name, tuple(logs.get(name, math.nan) for logs in self._logs)) for name in names
        )
        guess = math.nan
        if self._loss is not None and self._labels:
            guess = guessing.guessing_loss(self._loss, np.concatenate(self._labels))
        optimizer = compiled_optimizer(self.model)
        made = Trial(
            self.model.name,
            "undecided",
            "",
            curves,
            penalties=tuple(self._penalties),
            guessing_loss=guess,
            num_updates=steps_taken(self.model) - self._steps_before,
            weights=tuple(variable.path for variable in self.model.trainable_variables),
            watched_steps=tuple(self._watched),
            relative_updates=tuple(self._watched.values()),
            optimizer=family(optimizer),
            batch_size=self._batch_size,
            source=source,
            seconds=seconds,
        )
        warm_up = learning_rates.share_of_largest_rate(optimizer)
        return judge_trial(made, accumulation=self._accumulation, warm_up=warm_up)


def check_trial(model: Any, x: Any, steps: Any) -> int:
    """The number of steps of a trial, which belongs to a probe.

    Raises:
        ValueError: It is not a positive whole number, or there is no data to train on.
        ProbeError: As in `check_compiled`.
    """
    count = as_steps(steps, "trial_steps")
    if x is None:
        raise ValueError(
            "`trial_steps` must come with data, because a trial trains on it. Received:"
            f" trial_steps={count} without `x`. Pass the inputs and labels that `fit` gets."
        )
    check_compiled(model)
    return count


def check_compiled(model: Any) -> None:
    """Refuses a model that cannot be trained.

    Raises:
        ProbeError: It was not compiled with an optimizer.
    """
    if not introspection.is_compiled(model) or compiled_optimizer(model) is None:
        raise ProbeError(
            "A trial makes the steps of a compiled model. Received: the model"
            f" {model.name!r}, which is not compiled with an optimizer. Call"
            ' `model.compile("adam", loss)` before.'
        )


def _check_labels(model: Any, batch: Batch) -> None:
    if batch.y is None and guessing.trains_as_keras(model) and getattr(model, "loss", None):
        raise DataError(
            "A trial needs the labels that the compiled loss compares outputs with. Received: data"
            " without labels. Pass `y`, or data that yields (x, y)."
        )


def _as_in_fit(train_step: Callable[..., Any], is_bare: bool) -> Callable[..., Any]:
    """A train step that gets its batch as `fit` passes it on: without what is not there."""

    def step(*arguments: Any) -> Any:
        *state, (x, y, sample_weight) = arguments
        if sample_weight is not None:
            return train_step(*state, (x, y, sample_weight))
        if y is not None:
            return train_step(*state, (x, y))
        return train_step(*state, x if is_bare and not isinstance(x, list | tuple) else (x,))

    return step


def _numbers(logs: Any) -> dict[str, float]:
    """The single numbers among what a train step returns."""
    found = {}
    for name, value in (logs or {}).items():
        if isinstance(value, dict):
            found.update({f"{name}/{inner}": each for inner, each in _numbers(value).items()})
        elif np.size(value) == 1:
            found[str(name)] = float(np.reshape(value, ()))
    return found


def _copies(variables: Sequence[KerasVariable]) -> list[Tensor]:
    return [ops.copy(ops.stop_gradient(variable.value)) for variable in variables]


def _relative_updates(
    before: Sequence[Tensor], variables: Sequence[KerasVariable]
) -> tuple[float, ...]:
    """Root mean square of each update over that of the weight; one transfer for all."""
    rows = [
        ops.stack([_mean_square(variable.value, old), _mean_square(old)])
        for old, variable in zip(before, variables, strict=True)
    ]
    table = np.asarray(to_numpy(ops.stack(rows)), "float64")
    with np.errstate(all="ignore"):
        found = np.sqrt(np.where(table[:, 1] > 0, table[:, 0] / table[:, 1], np.nan))
    return tuple(found.tolist())


def _mean_square(tensor: Tensor, subtracted: Tensor = 0.0) -> Tensor:
    difference = ops.cast(tensor, "float32") - ops.cast(subtracted, "float32")
    return ops.mean(ops.square(ops.stop_gradient(difference)))
