"""Plans a repair, applies it, verifies it with a new probe, and undoes it if it did not help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.keras_model.optimizers import compiled_optimizer
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import Report
from keras_initcheck.repairs import optimizer_slots
from keras_initcheck.repairs.application import apply
from keras_initcheck.repairs.kernels import LARGEST_FACTOR
from keras_initcheck.repairs.options import AUTO, FIXUP, ModelRepairOptions
from keras_initcheck.repairs.plan import SETTLE, Plan, Step
from keras_initcheck.repairs.planner import alternatives, settling
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.repairs.settling import Settler
from keras_initcheck.repairs.snapshot import Snapshot
from keras_initcheck.rules.catalogue import RULES_BY_SLUG
from keras_initcheck.rules.draws import NotAsPromised
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy
from keras_initcheck.rules.wording import number


@dataclass(frozen=True)
class Repairer:
    """Repairs one model.

    Args:
        probe: A probe that has measured `before`.
        batch: The batch that it measured, for the verification and for settling.
        policy: The rules that judge the changed model.
        options: The options of this repair.
        step: Number of training steps taken so far; by default the model's own count.
    """

    probe: Probe
    batch: Batch
    policy: Policy
    options: ModelRepairOptions
    step: int | None = None

    @without_strategy()
    def run(
        self, before: Report, is_dry: bool = False, findings: Sequence[Finding] | None = None
    ) -> Repair:
        """Repairs the model, or plans to.

        The model keeps the new values if a new probe shows that every targeted finding is resolved
        and that none is new. Otherwise, and after any error, it gets its old values back, bitwise.

        Args:
            before: The report to start from.
            is_dry: Whether to plan only.
            findings: The findings of `before` to target, all by default. The others may stay, but
                not get worse.

        Returns:
            The repair.
        """
        with ONE_AT_A_TIME:
            return self._run(before, is_dry, findings)

    def _run(self, before: Report, is_dry: bool, findings: Sequence[Finding] | None) -> Repair:
        wanted = before.findings if findings is None else findings
        plans = alternatives(before.profile, wanted, self.options)
        planned = plans[0]
        if is_dry:
            message = "Nothing was changed. A repair would begin with these steps."
            return Repair(before, None, planned, message)
        if not planned.steps:
            return Repair(before, None, planned, _nothing_to_do(before, planned))
        return self._carry_out(before, plans)

    def _carry_out(self, before: Report, plans: Sequence[Plan]) -> Repair:
        """Tries the plans in turn until a new probe finds the model better."""
        owned = {each.name: each for each in self.probe.owned}
        variables = [each.variable for each in owned.values()]
        optimizer = compiled_optimizer(self.probe.model)
        slots = [slot for slot, _, _ in optimizer_slots.slots(optimizer, variables)]
        snapshot = Snapshot([*variables, *slots])
        is_better = False
        try:
            for attempt, planned in enumerate(plans):
                self.probe.progress(f"trying cure {attempt + 1} of up to {len(plans)}")
                if attempt:
                    snapshot.rewind()
                done, after, failure = self._attempt(before, planned, owned)
                if not failure:
                    break
            if not failure:
                optimizer_slots.reset(
                    optimizer,
                    [owned[name].variable for step in done.steps for name in step.variables],
                )
            is_better = not failure
        finally:
            if not is_better:
                snapshot.restore()
        if failure:
            return Repair(before, after, done, f"Undone, the model is what it was: {failure}")
        return Repair(before, after, done, _success(done), snapshot)

    def _attempt(
        self, before: Report, planned: Plan, owned: dict[str, OwnedVariable]
    ) -> tuple[Plan, Report, str]:
        """Applies a plan, and settles on the batch what a new probe still blames.

        Returns:
            The plan as it was done, the report on the changed model, and the reason why it is not
            better, empty if it is.
        """
        steps, after = self._apply(planned.steps, owned, before)
        failure = _failure(before, after, planned.targets)
        if failure and self.options.method in (AUTO, FIXUP):
            more = settling(after.profile, after.findings, self.options)
            if more.steps:
                self.probe.progress("settling layers on the batch")
                settled, after = self._apply(more.steps, owned, before)
                failure = _failure(before, after, planned.targets) or _hidden(settled)
                steps = (*steps, *settled)
        return replace(planned, steps=steps), after, failure

    def _apply(
        self, steps: Sequence[Step], owned: dict[str, OwnedVariable], before: Report
    ) -> tuple[tuple[Step, ...], Report]:
        """Applies the steps; returns them as done, and the report on the changed model.

        It has a first step where the report `before` has one.
        """
        apply(steps, owned, self.options.seed)
        done = (
            tuple(self._settle(steps, owned))
            if any(step.action == SETTLE for step in steps)
            else tuple(steps)
        )
        with_first_step = before.profile.first_step is not None
        measured = self.probe.measure(self.batch, step=self.step, with_first_step=with_first_step)
        # The new values are the repair's, and no longer what an initializer promises.
        return done, judge(measured, self.policy.without(NotAsPromised.code))

    def _settle(self, steps: Sequence[Step], owned: dict[str, OwnedVariable]) -> list[Step]:
        kernels = {
            id(owned[step.variables[0]].owner): [owned[name].variable for name in step.variables]
            for step in steps
            if step.action == SETTLE
        }
        settler = Settler(self.probe.model, kernels, self.options.target, self.options.tolerance)
        settler.run(self.batch)
        return [
            (
                replace(step, factor=settler.factor(id(owned[step.variables[0]].owner)))
                if step.action == SETTLE
                else step
            )
            for step in steps
        ]


def _failure(before: Report, after: Report, targets: Sequence[Finding]) -> str:
    """The reason why the changed model is not better; empty if it is."""
    found = after.new_findings(before)
    new = [finding for finding in found if not RULES_BY_SLUG[finding.slug].blames_optimizer]
    stayed = [
        target
        for target in targets
        if any(each.is_like(target) and each.rank > 0 for each in after.findings)
    ]
    if new:
        return f"{_listed(new)} would be new. {new[0].message}"
    return f"{_listed(stayed)} would remain." if stayed else ""


def _hidden(settled: Sequence[Step]) -> str:
    """The reason why settling hides a fault that lies elsewhere; empty if it does not.

    The weights of settled layers have the right size, by their fans, before they are settled. What
    they receive may be some times too large or too small, by chance or by correlated inputs. Where
    it is off by more, they are no cause, and their factor is no cure: behind a recurrent layer
    whose state explodes a tiny head gives a loss near guessing, and no training.
    """
    for step in settled:
        if step.factor is not None and abs(math.log(step.factor)) > math.log(LARGEST_FACTOR):
            return (
                f"`{step.layer}` would have to be multiplied by {number(step.factor)}, although its"
                " weights are of the right size. That would hide a fault that lies elsewhere."
            )
    return ""


def _success(done: Plan) -> str:
    layers = len({step.layer for step in done.steps})
    unresolved = _listed([finding for finding, _ in done.unresolved])
    return (
        f"Changed {layers} layer{'s' * (layers > 1)}; a new probe no longer reports"
        f" {_listed(done.targets, 'or') or 'any fault'}."
        f"{f' Unresolved: {unresolved}.' if unresolved else ''}"
    )


def _nothing_to_do(before: Report, planned: Plan) -> str:
    if before.ok:
        return "Nothing to repair: the model has no warning and no error."
    return "Nothing was changed. " + " ".join(
        f"{finding.code} {finding.slug} stays: {reason}" for finding, reason in planned.unresolved
    )


def _listed(findings: Sequence[Finding], conjunction: str = "and") -> str:
    names = list(dict.fromkeys(f"{finding.code} {finding.slug}" for finding in findings))
    return f" {conjunction} ".join([", ".join(names[:-1]), *names[-1:]] if names[1:] else names)
