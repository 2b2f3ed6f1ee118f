"""`InitCheck`, the callback: probes inside `fit`, logs, and acts on what it finds. Glue only."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_initcheck.api import Repair, Report, judged
from keras_initcheck.errors import DriftError, InitCheckWarning
from keras_initcheck.first_batch import intercept_first_batch
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe import engine, internals
from keras_initcheck.probe.batch import Batch, take_batch
from keras_initcheck.probe.forward import LOSS, RANDOM
from keras_initcheck.probe.probe import Probe
from keras_initcheck.repair_in_fit import NOT_REPAIRED, RepairInFit
from keras_initcheck.rules import catalogue

ACTIONS = ("warn", "raise", "ignore", "repair")


class InitCheck(keras.callbacks.Callback):
    """Probes the model before the first update and then regularly, and logs what it finds to TensorBoard.

    The batch is the first one of the running `fit`; no batch is lost or reordered, and the training is bitwise what it would have been.
    At the end of each epoch `logs` carries `initcheck_log10_forward_gain`, `initcheck_log10_backward_gain` and `initcheck_findings`, so
    that History and every callback listed after this one (CSVLogger, ReduceLROnPlateau) have them too.

    Args:
        log_dir: Directory for TensorBoard; the events go to `<log_dir>/initcheck`. `None` writes none.
        data: Another batch to probe: `(x, y)`, `(x, y, sample_weight)` or whatever yields batches.
        on_drift: What to do when a probe finds a warning or an error: `"warn"`, `"raise"` (a `DriftError` ends the fit), `"ignore"`,
            `"repair"` (what `keras_initcheck.repair` does, before the first update; a warning tells what was done), or a callable that
            gets the `Report`.
        update_freq: `"epoch"`, or a number of batches between probes. `"auto"` is `"epoch"`.
        histogram_freq: Number of epochs between histograms of activations, weights and their gradients; 0 makes none.
        per_layer: Whether every layer gets scalars of its own.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers for rules to judge by, as in `check`.
        exempt: Layers to leave alone, as in `check`.
        seed: Seed of the random gradient that measures backward ratios at the first probe, and of what a repair draws.
        repair_options: With `"repair"`: `method`, `mode`, `layers`, `target`, `tolerance` and `allow_trained` of `repair`.
        repair_during_training: With `"repair"`: whether layers that die, saturate or blow up later are repaired too.
        max_repairs: How often at most during a training.
        repair_pause: Probes after such a repair that go by without one.

    Attributes:
        report: The latest `Report`, or `None`.
        first_report: The report before the first update and before any repair, or `None`.

    Raises:
        ValueError: An argument is out of its range.
        DriftError: From `fit`, with `on_drift="raise"`.

    Cost: the first probe traces or compiles a forward and two backward passes; each later one is about a training step.
    A probe that fails warns once and steps aside; the training goes on.

    Example:
        model.fit(x, y, callbacks=[InitCheck("logs")])
    """

    def __init__(
        self,
        log_dir: str | Path | None = "logs",
        data: Any = None,
        on_drift: str | Callable[[Report], object] = "warn",
        update_freq: str | int = "auto",
        histogram_freq: int = 0,
        *,
        per_layer: bool = False,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        exempt: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        repair_options: Mapping[str, Any] | None = None,
        repair_during_training: bool = False,
        max_repairs: int = 3,
        repair_pause: int = 2,
    ) -> None:
        super().__init__()
        _check_arguments(on_drift, update_freq, histogram_freq)
        if on_drift != "repair" and (repair_options or repair_during_training):
            raise ValueError(f'`repair_options` and `repair_during_training` need on_drift="repair". Received: on_drift={on_drift!r}.')
        self.log_dir = log_dir
        self.data = data
        self.on_drift = on_drift
        self.update_freq = update_freq
        self.histogram_freq = histogram_freq
        self.per_layer = per_layer
        self.policy = catalogue.policy_of(select, ignore, thresholds, exempt)
        self.seed = seed
        self.report: Report | None = None
        self.first_report: Report | None = None
        self._probe: Probe | None = None
        self._batch: Batch | None = None
        self._log: EventLog | None = None
        self._is_aside = False
        self._repairs = RepairInFit(repair_options or {}, repair_during_training, max_repairs, repair_pause, self.policy, seed)
        self._warned: set[tuple[str, str | None]] = set()
        self._restore: Callable[[], None] = _nothing
        self._batches_seen = 0

    @property
    def repairs(self) -> Sequence[Repair]:
        """What each repair of the latest training did."""
        return tuple(self._repairs.done)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Probes given data, or arranges that the first batch of the fit is probed before the first update."""
        self._is_aside = False
        self._repairs.begin()
        self._guarded(self._begin)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes every `update_freq` batches."""
        self._batches_seen += int(self.model.steps_per_execution)
        if isinstance(self.update_freq, int) and self._batches_seen >= self.update_freq:
            self._batches_seen = 0
            self._guarded(self._probe_again)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes where `update_freq` says so, and adds the latest values to `logs`."""
        with_histograms = bool(self.histogram_freq) and (epoch + 1) % self.histogram_freq == 0
        if with_histograms or self.update_freq in ("epoch", "auto"):
            self._guarded(lambda: self._probe_again(with_histograms))
        if logs is not None and self.report is not None:
            logs.update(_values(self.report))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log."""
        self._restore()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _begin(self) -> None:
        if self._probe is None or self._probe.model is not self.model:
            self._probe = Probe(self.model, seed=self.seed)
            self._warned.clear()
        if self.data is not None:
            self._batch = take_batch(*self.data) if isinstance(self.data, tuple) else take_batch(self.data)
            self._first_probe(self._batch)
        else:
            self._restore = intercept_first_batch(self.model, self._keep_and_probe, self._give_up)

    def _keep_and_probe(self, batch: Batch) -> None:
        def keep() -> None:
            self._batch = Batch(*(None if p is None else keras.tree.map_structure(keras.ops.convert_to_tensor, p) for p in batch))
            self._first_probe(self._batch)

        self._guarded(keep)

    def _first_probe(self, batch: Batch) -> None:
        self.report = None
        report = self._measure(batch, (LOSS, RANDOM), is_exact=True, with_histograms=bool(self.histogram_freq))
        self.first_report = report
        if self.on_drift == "repair" and not report.ok:
            self._tell_repair(report, self._repairs.at_start(self._known_probe, report, batch))

    def _probe_again(self, with_histograms: bool = False) -> None:
        if self._batch is None:
            return
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        is_new = self.report is None or self.report.profile.step != internals.steps_taken(self.model)
        if is_new or with_histograms:
            report = self._measure(self._batch, (LOSS,), is_exact=False, with_histograms=with_histograms)
            done = self._repairs.later(self._known_probe, report, self._batch) if self.on_drift == "repair" else None
            if done is not None:
                self._tell_repair(report, done)

    def _measure(self, batch: Batch, cotangents: tuple[str, ...], is_exact: bool, with_histograms: bool) -> Report:
        step = internals.steps_taken(self.model)
        source = "first batch of fit" if self.data is None else "data of InitCheck"
        profile = self._known_probe.measure(
            batch, cotangents=cotangents, is_exact=is_exact, with_histograms=with_histograms, step=step, data=source
        )
        self.report = judged(profile, self.policy)
        self._write(self.report, step)
        self._act(self.report)
        return self.report

    @property
    def _known_probe(self) -> Probe:
        assert self._probe is not None, "on_train_begin makes it"
        return self._probe

    def _tell_repair(self, report: Report, done: Repair | None) -> None:
        """Says what was found and done, and logs the repaired model as a run of its own, beside the one that led to it."""
        if done is not None and done.is_kept and done.after is not None:
            self.report = Report(done.after.profile, done.after.findings, done.after.num_exempted)
            self._write(self.report, report.profile.step)
        if done is not None and self._log is not None:
            self._log.write_text("repair", "\n".join([*(f"- {step}" for step in done.steps), "", done.message]))
        warnings.warn(f"{_message(report)}\n{NOT_REPAIRED if done is None else done}", InitCheckWarning, stacklevel=2)

    def _write(self, report: Report, step: int) -> None:
        if self.log_dir is None or not engine.load().is_first_process(self.model):
            return
        if self._log is None:
            self._log = EventLog(self.log_dir, per_layer=self.per_layer)
        self._log.write(report, step)

    def _act(self, report: Report) -> None:
        if report.ok or self.on_drift in ("ignore", "repair"):
            return
        if callable(self.on_drift):
            try:
                self.on_drift(report)
            except Exception as error:
                raise _UserError from error
        elif self.on_drift == "raise":
            raise DriftError(_message(report), report)
        else:
            self._warn_of_news(report)

    def _warn_of_news(self, report: Report) -> None:
        """Warns where a rule blames a layer that it has not blamed before in this training."""
        found = [finding for finding in report.findings if finding.severity != "info"]
        is_news = any((finding.code, finding.layer) not in self._warned for finding in found)
        self._warned |= {(finding.code, layer) for finding in found for layer in (finding.layer, *finding.culprits)}
        if is_news:
            warnings.warn(_message(report), InitCheckWarning, stacklevel=2)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Runs `action`; what fails in it ends the diagnostics, not the training."""
        if self._is_aside:
            return
        try:
            action()
        except (DriftError, InitCheckWarning):  # the latter where the user made warnings errors
            raise
        except _UserError as error:
            assert error.__cause__ is not None, "raised from the user's exception"
            raise error.__cause__ from None
        except Exception as error:  # a diagnostic must not end a training
            self._step_aside(f"it failed: {type(error).__name__}: {error}")

    def _give_up(self, error: Exception) -> None:
        self._step_aside(
            f"the first batch could not be taken off this fit ({type(error).__name__}: {error}). Pass one: InitCheck(data=(x, y))"
        )

    def _step_aside(self, reason: str) -> None:
        self._is_aside = True
        warnings.warn(f"InitCheck steps aside and the training goes on; {reason}", InitCheckWarning, stacklevel=2)


class _UserError(Exception):
    """Carries an exception of the user's own `on_drift` past the guard."""


def _nothing() -> None:
    """Nothing to put back."""


def _check_arguments(on_drift: Any, update_freq: Any, histogram_freq: Any) -> None:
    if not callable(on_drift) and on_drift not in ACTIONS:
        raise ValueError(f"`on_drift` must be one of {ACTIONS} or a callable. Received: on_drift={on_drift!r}.")
    is_count = isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq > 0
    if update_freq not in ("auto", "epoch") and not is_count:
        raise ValueError(f'`update_freq` must be "auto", "epoch" or a positive integer. Received: update_freq={update_freq!r}.')
    if not isinstance(histogram_freq, int) or histogram_freq < 0:
        raise ValueError(f"`histogram_freq` must be an integer, 0 or more. Received: histogram_freq={histogram_freq!r}.")


def _values(report: Report) -> dict[str, float]:
    """What `logs` carries: the keys are always the same, because CSVLogger fixes its columns at the first epoch."""
    profile = report.profile
    gains = {"forward": profile.log10_forward_gain, "backward": profile.log10_backward_gain}
    found = {f"initcheck_log10_{name}_gain": float("nan") if gain is None else gain for name, gain in gains.items()}
    return {**found, "initcheck_findings": float(report.count("warning") + report.count("error"))}


def _message(report: Report) -> str:
    found = [finding for finding in report.findings if finding.severity != "info"]
    lines = [f"{report.profile.model}, before step {report.profile.step + 1}: {len(found)} finding{'s' * (len(found) > 1)}."]
    lines += [f"  {finding.severity}: {finding.code} {finding.slug}: {finding.message} {finding.fix}" for finding in found]
    return "\n".join(lines)
