"""One watched model in training: its probe, batch and reports, its log, and what is done about findings. Glue for the callback."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_initcheck.api import Repair, Report, judged
from keras_initcheck.errors import DriftError, InitCheckWarning
from keras_initcheck.frames import warn_user
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe import engine
from keras_initcheck.probe.batch import Batch
from keras_initcheck.probe.forward import LOSS, RANDOM
from keras_initcheck.probe.probe import Probe
from keras_initcheck.repair_in_fit import NOT_REPAIRED, RepairInFit
from keras_initcheck.rules.policy import Policy


@dataclass(frozen=True)
class Settings:
    """What the user asked for. The attributes are arguments of `InitCheck`, which describes them.

    Raises:
        ValueError: A choice in `repair_options` is unknown or out of its range.
    """

    on_drift: str | Callable[[Report], object]
    histogram_freq: int
    per_layer: bool
    policy: Policy
    seed: int
    repair_options: Mapping[str, Any]
    repair_during_training: bool
    max_repairs: int
    repair_pause: int

    def __post_init__(self) -> None:
        self.new_repairs()

    def new_repairs(self) -> RepairInFit:
        """The repairs of one model."""
        choices, most, pause = self.repair_options, self.max_repairs, self.repair_pause
        return RepairInFit(choices, self.repair_during_training, most, pause, self.policy, self.seed)


class Watch:
    """Watches one model from one training to the next; `begin` and `end` say where one starts and stops.

    Args:
        model: The model.
        settings: What the user asked for.
        log_dir: Where this model's log goes.
        source: Where its batch comes from, for the record.

    Attributes:
        report: The latest report of the training, or `None`.
        first_report: The one before the first update and before any repair, or `None`.
        batch: What later probes are made with, or `None` before the first one.
    """

    def __init__(self, model: Any, settings: Settings, log_dir: str | Path | None, source: str) -> None:
        self.model = model
        self.report: Report | None = None
        self.first_report: Report | None = None
        self.batch: Batch | None = None
        self._settings = settings
        self._log_dir = log_dir
        self._source = source
        self._probe = Probe(model, seed=settings.seed)
        self._log: EventLog | None = None
        self._is_aside = False
        self._has_told_of_removal = False
        self._warned: set[tuple[str, str | None]] = set()
        self._repairs = settings.new_repairs()

    @property
    def repairs(self) -> Sequence[Repair]:
        """What each repair of the training did."""
        return tuple(self._repairs.done)

    def begin(self) -> None:
        """A training begins; the one before may have been aborted."""
        self.end()
        self.report = self.first_report = self.batch = None
        self._is_aside = self._has_told_of_removal = False
        self._repairs.begin()

    def end(self) -> None:
        """Closes the log."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def guarded(self, action: Callable[[], None]) -> None:
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
            self.step_aside(f"it failed: {type(error).__name__}: {error}")

    def step_aside(self, reason: str) -> None:
        """Warns that the rest of the training is not watched."""
        self._is_aside = True
        warn_user(f"InitCheck steps aside and the training goes on; {reason}")

    def probe_first(self, batch: Batch, step: int) -> None:
        """The exact probe that a training begins with, and the repair that may follow it."""
        self.batch = batch
        self.report = None
        report = self._measure(batch, step, (LOSS, RANDOM), is_exact=True, with_histograms=bool(self._settings.histogram_freq))
        self.first_report = report
        self._log_and_act(report)
        if self._settings.on_drift == "repair" and not report.ok:
            self._tell_repair(report, self._repairs.at_start(self._probe, report, batch))

    def probe_again(self, batch: Batch, step: int, with_histograms: bool = False) -> None:
        """A fast probe. One at the step of the last probe is made for the histograms that that one lacked, and adds these."""
        is_new = self.report is None or self.report.profile.step != step
        if not is_new and not with_histograms:
            return
        report = self._measure(batch, step, self._cotangents(), is_exact=False, with_histograms=with_histograms)
        if not is_new:
            self._add_histograms(report)
            return
        self._log_and_act(report)
        done = self._repairs.later(self._probe, report, batch) if self._settings.on_drift == "repair" else None
        if done is not None:
            self._tell_repair(report, done)

    def _cotangents(self) -> tuple[str, ...]:
        """The loss's gradient is what trains; a model without a loss of its own has a random one."""
        first = self.first_report
        has_loss = first is None or any(site.loss_gradients is not None for site in first.profile.sites)
        return (LOSS,) if has_loss else (RANDOM,)

    def _measure(self, batch: Batch, step: int, cotangents: tuple[str, ...], is_exact: bool, with_histograms: bool) -> Report:
        profile = self._probe.measure(
            batch, cotangents=cotangents, is_exact=is_exact, with_histograms=with_histograms, step=step, data=self._source
        )
        self.report = judged(profile, self._settings.policy)
        return self.report

    def _log_and_act(self, report: Report) -> None:
        self._write(report, report.profile.step)
        self._act(report)

    def _tell_repair(self, report: Report, done: Repair | None) -> None:
        """Says what was found and done, and logs the repaired model as a run of its own, beside the one that led to it."""
        if done is not None and done.is_kept and done.after is not None:
            self.report = Report(done.after.profile, done.after.findings, done.after.num_exempted)
            self._write(self.report, report.profile.step)
        if done is not None and self._log is not None:
            self._log.write_text("repair", "\n".join([*(f"- {step}" for step in done.steps), "", done.message]))
        warn_user(f"{_message(report)}\n{NOT_REPAIRED if done is None else done}")

    def _write(self, report: Report, step: int) -> None:
        if self._log_dir is None or not engine.load().is_first_process(self.model):
            return
        if self._log is None:
            self._log = EventLog(self._log_dir, per_layer=self._settings.per_layer)
        if self._log.is_lost and not self._has_told_of_removal:
            self._has_told_of_removal = True
            warn_user(f"The log in {str(self._log.directory)!r} was removed during the training. It is written again from this probe on.")
        self._log.write(report, step)

    def _add_histograms(self, report: Report) -> None:
        if self._log is None or self._log.is_lost:
            self._write(report, report.profile.step)
        else:
            self._log.add_histograms(report)

    def _act(self, report: Report) -> None:
        on_drift = self._settings.on_drift
        if report.ok or on_drift in ("ignore", "repair"):
            return
        if callable(on_drift):
            try:
                on_drift(report)
            except Exception as error:
                raise _UserError from error
        elif on_drift == "raise":
            raise DriftError(_message(report), report)
        else:
            self._warn_of_news(report)

    def _warn_of_news(self, report: Report) -> None:
        """Warns where a rule blames a layer that it has not blamed before in this training."""
        found = [finding for finding in report.findings if finding.severity != "info"]
        is_news = any((finding.code, finding.layer) not in self._warned for finding in found)
        self._warned |= {(finding.code, layer) for finding in found for layer in (finding.layer, *finding.culprits)}
        if is_news:
            warn_user(_message(report))


class _UserError(Exception):
    """Carries an exception of the user's own `on_drift` past the guard."""


def _message(report: Report) -> str:
    found = [finding for finding in report.findings if finding.severity != "info"]
    lines = [f"{report.profile.model}, before step {report.profile.step + 1}: {len(found)} finding{'s' * (len(found) > 1)}."]
    lines += [f"  {finding.severity}: {finding.code} {finding.slug}: {finding.message} {finding.fix}" for finding in found]
    return "\n".join(lines)
