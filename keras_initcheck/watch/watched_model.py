"""One watched model during one training: its probes, its log, and the actions on its findings."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import LOSS, RANDOM
from keras_initcheck.records.errors import DriftError, InitCheckWarning
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.rules.judgement import judge
from keras_initcheck.watch.call_stack import warn_user
from keras_initcheck.watch.parts import Part
from keras_initcheck.watch.repair_in_fit import NOT_REPAIRED, RepairInFit
from keras_initcheck.watch.settings import IGNORE, RAISE, REPAIR, Settings
from keras_initcheck.watch.training_log import TrainingLog

MAX_LISTED = 5
"""Findings that a warning or an error lists: a diverged network has one for each weight."""


class WatchedModel:
    """A model that is watched during one training, or during one loop of the user's own.

    Args:
        part: The model, and the user's name for it.
        settings: The callback's configuration.
        probe: The model's probe, with the passes that it compiled in an earlier training.

    Attributes:
        part: As given.
        probe: As given.
        report: The latest report; `None` before the first probe.
        first_report: The report before the first update and before any repair; `None` until then.
        batch: The batch that later probes measure; `None` before the first probe.
        planned_steps: Updates that the training plans; `None` where that is not known.
    """

    def __init__(self, part: Part, settings: Settings, probe: Probe) -> None:
        self.part = part
        self.probe = probe
        self.report: Report | None = None
        self.first_report: Report | None = None
        self.batch: Batch | None = None
        self.planned_steps: int | None = None
        self._settings = settings
        # A part may be frozen on purpose while another one trains.
        self._policy = settings.policy.without("IC308") if part.label else settings.policy
        self._log = TrainingLog(
            part.log_dir(settings.log_dir),
            part.model,
            per_layer_scalars=settings.per_layer_scalars,
        )
        self._repairs = RepairInFit(settings)
        self._warned: set[tuple[str, str | None]] = set()
        self._num_probes = 0
        self._is_aside = self._is_in_user_code = False

    @property
    def repairs(self) -> Sequence[Repair]:
        """The repairs of this training."""
        return tuple(self._repairs.done)

    def close(self) -> None:
        """Closes the log."""
        self._log.close()

    def guarded(self, action: Callable[[], None]) -> None:
        """Runs `action`; an error in it ends the diagnostics, not the training.

        Raises:
            DriftError: With `on_drift="raise"`.
            InitCheckWarning: The user turned warnings into errors.
            Exception: The user's own `on_drift` raised it.
        """
        if self._is_aside:
            return
        self._is_in_user_code = False
        try:
            action()
        except (DriftError, InitCheckWarning):
            raise
        except Exception as error:  # a diagnostic must not end a training
            if self._is_in_user_code:
                raise
            self.step_aside(f"it failed: {type(error).__name__}: {error}")

    def step_aside(self, reason: str) -> None:
        """Warns that the rest of the training is not watched."""
        self._is_aside = True
        warn_user(f"InitCheck steps aside and the training goes on; {reason}")

    def probe_in_loop(self, batch: Batch, step: int | None) -> Report:
        """Makes a probe that the user asks for; the first one is exact, later ones are fast.

        Args:
            batch: The batch to probe with.
            step: Updates made so far. If omitted, the model's optimizer is asked, and if that has
                made none, probes are counted.

        Returns:
            The latest report, on a model that was repaired the one after it.
        """
        if step is None:
            step = steps_taken(self.part.model) or self._next_count()
        if self.report is None:
            return self.probe_first(batch, step)
        return self._probe_fast(batch, step, self._settings.wants_histograms(self._num_probes + 1))

    def probe_first(self, batch: Batch, step: int) -> Report:
        """Makes the exact probe that a training begins with, and the repair that may follow it."""
        self.batch = batch
        with_histograms = bool(self._settings.histogram_freq)
        report = self._measure(
            batch, step, (LOSS, RANDOM), is_exact=True, with_histograms=with_histograms
        )
        self.first_report = report
        self._log.write(report, step)
        self._act(report)
        if not self._settings.repairs_drift or report.ok:
            return report
        done = self._repairs.before_training(self.probe, report, batch)
        if done is None:
            warn_user(f"{_message(report)}\n{NOT_REPAIRED}")
            return report
        return self._record_repair(report, done)

    def probe_again(self, step: int, with_histograms: bool = False) -> None:
        """Makes a fast probe with the first batch, unless this step was probed already."""
        if self.batch is None or self.report is None:
            return
        if self.report.profile.step != step or with_histograms:
            self._probe_fast(self.batch, step, with_histograms)

    def log_values(self) -> dict[str, float]:
        """The values for Keras' `logs`; empty before the first probe.

        The keys stay the same from then on, since CSVLogger fixes its columns at the first epoch.
        """
        if self.report is None:
            return {}
        prefix = f"initcheck_{self.part.label}_" if self.part.label else "initcheck_"
        profile = self.report.profile
        gains = {"forward": profile.log10_forward_gain, "backward": profile.log10_backward_gain}
        values = {
            f"{prefix}log10_{name}_gain": float("nan") if gain is None else gain
            for name, gain in gains.items()
        }
        return {**values, f"{prefix}findings": float(len(_faults(self.report)))}

    def _next_count(self) -> int:
        return 0 if self.report is None else self.report.profile.step + 1

    def _probe_fast(self, batch: Batch, step: int, with_histograms: bool) -> Report:
        is_new = self.report is None or self.report.profile.step != step
        report = self._measure(
            batch, step, self._cotangents(), is_exact=False, with_histograms=with_histograms
        )
        if is_new:
            self._log.write(report, step)
        elif with_histograms:
            self._log.add_histograms(report)
        self._act(report)
        if not is_new or not self._settings.repairs_drift:
            return report
        done = self._repairs.during_training(self.probe, report, batch)
        return report if done is None else self._record_repair(report, done)

    def _cotangents(self) -> tuple[str, ...]:
        """The loss's gradient, which trains the model; a random one if the model has no loss."""
        first = self.first_report
        has_loss = first is None or first.profile.measurement.loss_gradients is not None
        return (LOSS,) if has_loss else (RANDOM,)

    def _measure(
        self,
        batch: Batch,
        step: int,
        cotangents: tuple[str, ...],
        *,
        is_exact: bool,
        with_histograms: bool,
    ) -> Report:
        profile = self.probe.measure(
            batch,
            cotangents=cotangents,
            is_exact=is_exact,
            with_histograms=with_histograms,
            step=step,
            with_first_step=is_exact and not step,
        )
        self._num_probes += 1
        if profile.first_step is not None:
            planned = replace(profile.first_step, planned_steps=self.planned_steps)
            profile = replace(profile, first_step=planned)
        self.report = judge(profile, self._policy)
        return self.report

    def _record_repair(self, report: Report, done: Repair) -> Report:
        """Warns of a repair and logs the repaired model as a run beside the one that led to it."""
        latest = done.result if done.applied else report
        if done.applied:
            self._log.write(latest, report.profile.step)
        steps = "".join(f"- {step}\n" for step in done.steps)
        self._log.write_repair(f"{steps}\n{done.message}")
        warn_user(f"{_message(report)}\n{done}")
        self.report = latest
        return latest

    def _act(self, report: Report) -> None:
        on_drift = self._settings.on_drift
        if report.ok or on_drift in (IGNORE, REPAIR):
            return
        if callable(on_drift):
            self._is_in_user_code = True
            on_drift(report)
            self._is_in_user_code = False
        elif on_drift == RAISE:
            raise DriftError(_message(report), report)
        else:
            self._warn_of_news(report)

    def _warn_of_news(self, report: Report) -> None:
        """Warns only of layers that a rule blames for the first time in this training."""
        found = _faults(report)
        news = [finding for finding in found if (finding.code, finding.layer) not in self._warned]
        self._warned |= {
            (finding.code, layer)
            for finding in found
            for layer in (finding.layer, *finding.culprits)
        }
        if news:
            warn_user(_message(report, news))


def _faults(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity != "info"]


def _message(report: Report, chosen: Sequence[Finding] | None = None) -> str:
    """The worst of the chosen findings, by default of all warnings and errors."""
    found = _faults(report)
    listed = found if chosen is None else chosen
    news = f", {len(listed)} new" if len(listed) < len(found) else ""
    lines = [
        f"{report.profile.model}, before step {report.profile.step + 1}: {len(found)}"
        f" finding{'s' * (len(found) > 1)}{news}."
    ]
    lines += [
        f"  {finding.severity}: {finding.code} {finding.slug}: {finding.headline}"
        for finding in listed[:MAX_LISTED]
    ]
    if len(listed) > MAX_LISTED:
        lines.append(f"  and {len(listed) - MAX_LISTED} more, which the report holds.")
    return "\n".join(lines)
