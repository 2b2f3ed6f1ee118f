"""Decides when a model in training is repaired, and with which options."""

from collections.abc import Sequence

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.layer_selection import options_for
from keras_initcheck.repairs.options import RepairOptions, Selection, every_weight
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.repairs.repairer import Repairer
from keras_initcheck.rules.catalogue import RULES_BY_SLUG
from keras_initcheck.rules.judgement import judge
from keras_initcheck.watch.settings import Settings

NOT_REPAIRED = (
    'Not repaired: the model was trained before. Pass repair_options={"allow_trained": True} to'
    " change it."
)


class RepairInFit:
    """Repairs a model before its first update and, if asked to, layers that break later.

    Args:
        settings: The callback's configuration.

    Attributes:
        done: The repairs of this training.
    """

    def __init__(self, settings: Settings) -> None:
        self.done: list[Repair] = []
        self._settings = settings
        self._options = settings.repair or RepairOptions()
        self._probes_to_pause = 0

    def before_training(self, probe: Probe, report: Report, batch: Batch) -> Repair | None:
        """Repairs what the first probe found; `None` if the model was trained before."""
        if report.profile.step and not self._options.allow_trained:
            return None
        return self._run(probe, report, report.findings, batch)

    def during_training(self, probe: Probe, report: Report, batch: Batch) -> Repair | None:
        """Repairs layers that broke since, and leaves what the other layers have learned alone.

        Returns:
            The repair; `None` if nothing broke, or a repair is not due.
        """
        self._probes_to_pause = max(0, self._probes_to_pause - 1)
        if not self._is_due() or not _broken(report):
            return None
        # The probe that found them was fast: an exact one decides.
        exact = judge(probe.measure(batch, step=report.profile.step), self._settings.policy)
        broken = _broken(exact)
        if not broken:
            return None
        self._probes_to_pause = self._settings.repair_pause + 1
        blamed = {layer for finding in broken for layer in (finding.layer, *finding.culprits)}
        return self._run(probe, exact, broken, batch, lambda weight: weight.layer in blamed)

    def _is_due(self) -> bool:
        is_wanted = self._settings.repair_during_training and not self._probes_to_pause
        return is_wanted and len(self.done) < self._settings.max_repairs

    def _run(
        self,
        probe: Probe,
        report: Report,
        findings: Sequence[Finding],
        batch: Batch,
        may_change: Selection = every_weight,
    ) -> Repair:
        seed = self._settings.seed + len(self.done)  # each repair draws other numbers
        options = options_for(self._options, probe.owned, seed, may_change)
        repairer = Repairer(probe, batch, self._settings.policy, options, report.profile.step)
        self.done.append(repairer.run(report, findings=findings))
        return self.done[-1]


def _broken(report: Report) -> list[Finding]:
    return [
        finding
        for finding in report.findings
        if RULES_BY_SLUG[finding.slug].breaks_layers and finding.severity != "info"
    ]
