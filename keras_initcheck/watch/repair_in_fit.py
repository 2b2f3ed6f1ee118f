"""When a running `fit` is repaired, and with which choices. Glue for the callback."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.report import Finding, Report
from keras_initcheck.repairs.layer_selection import options_for
from keras_initcheck.repairs.options import RepairOptions, Selection, every_weight
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.repairs.repairer import Repairer
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy

BROKEN = ("IC101", "IC201", "IC202", "IC205", "IC208", "IC301")
"""Findings that are repaired in a running training: layers that died, saturated or blew up. Gains
are what training makes of them.
"""
NOT_REPAIRED = (
    'Not repaired: the model was trained before. Pass repair_options={"allow_trained": True} to'
    " change it."
)


class RepairInFit:
    """Repairs the model of a fit before its first update and, if it is told to, layers that break
    later.

    Args:
        options: The options of each repair.
        during_training: Whether layers that break later are repaired.
        most: How often at most during a training.
        pause: Probes after such a repair that go by without one.
        policy: The rules to judge by.
        seed: Seed of what is drawn; each repair of a training draws other numbers.

    Attributes:
        done: What each repair of the training did.
    """

    def __init__(
        self,
        options: RepairOptions,
        during_training: bool,
        most: int,
        pause: int,
        policy: Policy,
        seed: int,
    ) -> None:
        self._options = options
        self._seed = seed
        self._during_training = during_training
        self._most = most
        self._pause = pause
        self._policy = policy
        self._left_to_pause = 0
        self.done: list[Repair] = []

    def begin(self) -> None:
        """Forgets the training before."""
        self._left_to_pause = 0
        self.done = []

    def at_start(self, probe: Probe, report: Report, batch: Batch) -> Repair | None:
        """Repairs what the first probe found; `None` where the model was trained before."""
        if report.profile.step and not self._options.allow_trained:
            return None
        return self._run(probe, report, report.findings, batch)

    def later(self, probe: Probe, report: Report, batch: Batch) -> Repair | None:
        """Repairs layers that broke since, now and then, and leaves what the others have learnt
        alone.

        The probe that found them was a fast one: an exact one decides.
        """
        self._left_to_pause = max(0, self._left_to_pause - 1)
        is_due = self._during_training and not self._left_to_pause and len(self.done) < self._most
        if not is_due or not _broken(report):
            return None
        exact = self._judge(probe.measure(batch), report)
        broken = _broken(exact)
        if not broken:
            return None
        self._left_to_pause = self._pause + 1
        blamed = {layer for finding in broken for layer in (finding.layer, *finding.culprits)}
        return self._run(probe, exact, broken, batch, lambda weight: weight.layer in blamed)

    def _run(
        self,
        probe: Probe,
        report: Report,
        findings: Sequence[Finding],
        batch: Batch,
        may_change: Selection = every_weight,
    ) -> Repair:
        seed = self._seed + len(self.done)
        options = options_for(self._options, probe.owned, seed, may_change)
        repairer = Repairer(probe, batch, lambda profile: self._judge(profile, report), options)
        self.done.append(repairer.run(report, findings=findings))
        return self.done[-1]

    def _judge(self, profile: Any, report: Report) -> Report:
        return judge(
            replace(profile, step=report.profile.step, data=report.profile.data), self._policy
        )


def _broken(report: Report) -> list[Finding]:
    return [
        finding
        for finding in report.findings
        if finding.code in BROKEN and finding.severity != "info"
    ]
