"""One watched model in training: its probe, batch and reports, its log, and what is done about
findings. Glue for the callback.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe import engine
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.forward import LOSS, RANDOM
from keras_initcheck.records.errors import DriftError, InitCheckWarning
from keras_initcheck.records.report import Finding, Report
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.rules.judgement import judge
from keras_initcheck.watch.call_stack import warn_user
from keras_initcheck.watch.parts import Part
from keras_initcheck.watch.repair_in_fit import NOT_REPAIRED
from keras_initcheck.watch.settings import Settings

MOST_TOLD = 5
"""Findings that a warning or an error writes out: a network that has diverged has one for each
weight.
"""


class Watch:
    """Watches one model from one training to the next; `begin` and `end` say where one starts and
    stops.

    Args:
        part: The model, and what the user calls it.
        settings: What the user asked for.
        log_dir: The user's log directory.

    Attributes:
        part: As given.
        report: The latest report of the training, or `None`.
        first_report: The one before the first update and before any repair, or `None`.
        batch: What later probes are made with, or `None` before the first one.
    """

    def __init__(self, part: Part, settings: Settings, log_dir: str | Path | None) -> None:
        self.part = part
        self.report: Report | None = None
        self.first_report: Report | None = None
        self.batch: Batch | None = None
        self._settings = settings
        self._log_dir = part.log_dir(log_dir)
        self._probe = Probe(part.model, seed=settings.seed)
        self._log: EventLog | None = None
        self._is_running = self._is_aside = self._has_no_log = False
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
        self._is_running = True
        self._is_aside = self._has_no_log = self._has_told_of_removal = False
        self._num_probes = 0
        self._repairs.begin()

    def end(self) -> None:
        """Closes the log."""
        self._is_running = False
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
            raise _cause(error) from None
        except Exception as error:  # a diagnostic must not end a training
            self.step_aside(f"it failed: {type(error).__name__}: {error}")

    def step_aside(self, reason: str) -> None:
        """Warns that the rest of the training is not watched."""
        self._is_aside = True
        warn_user(f"InitCheck steps aside and the training goes on; {reason}")

    def probe(self, batch: Batch, step: int | None, source: str) -> Report:
        """A probe that the user asks for: the first one begins a training, and what fails is told
        as it is.

        Args:
            batch: What to probe with.
            step: Updates made so far; without it the model's optimizer is asked, and where that has
                made none, probes are counted.
            source: Where the batch came from, for the record.
        """
        if not self._is_running:
            self.begin()
        taken = steps_taken(self.part.model)
        latest = None if self.report is None else self.report.profile.step
        counted = 0 if latest is None else latest + 1
        known = step if step is not None else taken or counted
        try:
            if latest is None:
                self.probe_first(batch, known, source)
            else:
                self._probe_fast(
                    batch, known, source, self._settings.wants_histograms(self._num_probes + 1)
                )
        except _UserError as error:
            raise _cause(error) from None
        assert self.report is not None, "a probe makes one"
        return self.report

    def probe_first(self, batch: Batch, step: int, source: str) -> None:
        """The exact probe that a training begins with, and the repair that may follow it."""
        self.batch = batch
        self.report = None
        has_histograms = bool(self._settings.histogram_freq)
        report = self._measure(
            batch, step, source, (LOSS, RANDOM), is_exact=True, with_histograms=has_histograms
        )
        self.first_report = report
        self._write(report, step)
        self._act(report)
        if self._settings.on_drift == "repair" and not report.ok:
            self._tell_repair(report, self._repairs.at_start(self._probe, report, batch))

    def probe_again(self, step: int, with_histograms: bool = False) -> None:
        """A fast probe with the first batch, where the training has gone on since the last one or
        histograms are wanted.
        """
        if self.batch is None or self.report is None:
            return
        if self.report.profile.step != step or with_histograms:
            self._probe_fast(self.batch, step, self.report.profile.data, with_histograms)

    def _probe_fast(self, batch: Batch, step: int, source: str, with_histograms: bool) -> None:
        is_new = self.report is None or self.report.profile.step != step
        report = self._measure(
            batch, step, source, self._cotangents(), is_exact=False, with_histograms=with_histograms
        )
        if is_new:
            self._write(report, step)
        elif with_histograms:
            self._add_histograms(report)
        self._act(report)
        done = (
            self._repairs.later(self._probe, report, batch)
            if is_new and self._settings.on_drift == "repair"
            else None
        )
        if done is not None:
            self._tell_repair(report, done)

    def _cotangents(self) -> tuple[str, ...]:
        """The loss's gradient is what trains; a model without a loss of its own has a random
        one.
        """
        first = self.first_report
        has_loss = first is None or any(
            site.loss_gradients is not None for site in first.profile.sites
        )
        return (LOSS,) if has_loss else (RANDOM,)

    def _measure(
        self,
        batch: Batch,
        step: int,
        source: str,
        cotangents: tuple[str, ...],
        *,
        is_exact: bool,
        with_histograms: bool,
    ) -> Report:
        profile = self._probe.measure(
            batch,
            cotangents=cotangents,
            is_exact=is_exact,
            with_histograms=with_histograms,
            step=step,
            data=source,
        )
        self._num_probes += 1
        self.report = judge(profile, self._settings.policy)
        return self.report

    def _tell_repair(self, report: Report, done: Repair | None) -> None:
        """Says what was found and done, and logs the repaired model as a run of its own, beside the
        one that led to it.
        """
        if done is not None and done.applied and done.after is not None:
            self.report = done.after
            self._write(self.report, report.profile.step)
        if done is not None:
            text = "\n".join([*(f"- {step}" for step in done.steps), "", done.message])
            self._to_log(lambda log: log.write_text("repair", text))
        warn_user(f"{_message(report)}\n{NOT_REPAIRED if done is None else done}")

    def _write(self, report: Report, step: int) -> None:
        if self._log is not None and self._log.is_lost and not self._has_told_of_removal:
            self._has_told_of_removal = True
            warn_user(
                f"The log in {str(self._log.directory)!r} was removed during the training. It is"
                " written again from this probe on."
            )
        self._to_log(lambda log: log.write(report, step))

    def _add_histograms(self, report: Report) -> None:
        if self._log is not None and self._log.is_lost:
            self._write(report, report.profile.step)
        else:
            self._to_log(lambda log: log.add_histograms(report))

    def _to_log(self, write: Callable[[EventLog], None]) -> None:
        """Writes, where there is a log to write to. Where it cannot be written, probes go on
        without one.
        """
        if (
            self._log_dir is None
            or self._has_no_log
            or not engine.load().is_first_process(self.part.model)
        ):
            return
        try:
            self._log = self._log or EventLog(
                self._log_dir, per_layer=self._settings.per_layer_scalars
            )
            write(self._log)
        except (OSError, ValueError) as error:
            self._has_no_log = True
            warn_user(f"InitCheck steps aside from its log, and probes on without one: {error}")

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
        """Warns where a rule blames a layer that it has not blamed before in this training, and of
        that alone.
        """
        found = _faults(report)
        news = [finding for finding in found if (finding.code, finding.layer) not in self._warned]
        self._warned |= {
            (finding.code, layer)
            for finding in found
            for layer in (finding.layer, *finding.culprits)
        }
        if news:
            warn_user(_message(report, news))


class _UserError(Exception):
    """Carries an exception of the user's own `on_drift` past the guard."""


def _cause(error: _UserError) -> BaseException:
    assert error.__cause__ is not None, "raised from the user's exception"
    return error.__cause__


def _faults(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity != "info"]


def _message(report: Report, told: Sequence[Finding] | None = None) -> str:
    """The worst of what is told, which is all that is no information unless given."""
    found = _faults(report)
    told = found if told is None else told
    news = f", {len(told)} new" if len(told) < len(found) else ""
    lines = [
        f"{report.profile.model}, before step {report.profile.step + 1}: {len(found)}"
        f" finding{'s' * (len(found) > 1)}{news}."
    ]
    lines += [
        f"  {finding.severity}: {finding.code} {finding.slug}: {finding.message} {finding.fix}"
        for finding in told[:MOST_TOLD]
    ]
    if len(told) > MOST_TOLD:
        lines.append(f"  and {len(told) - MOST_TOLD} more, which the report holds.")
    return "\n".join(lines)
