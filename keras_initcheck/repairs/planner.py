"""Plans a repair: the least intervention that can cure what was found.

Pure: a profile and findings go in, records come out.
"""

from collections.abc import Sequence
from dataclasses import replace

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.repairs.options import LSUV, REDRAWS, ModelRepairOptions
from keras_initcheck.repairs.plan import REDRAW, RESCALE, SETTLE, Plan, Step
from keras_initcheck.repairs.reasons import why_left
from keras_initcheck.repairs.step_maker import StepMaker, cure_of, reason


def plan(profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions) -> Plan:
    """The first of the plans that `alternatives` gives."""
    return alternatives(profile, findings, options)[0]


def alternatives(
    profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions
) -> list[Plan]:
    """Plans of changes that make the warnings and errors among the findings go away.

    The first that a new probe finds better is the repair. `REDRAWS` and LSUV have one plan, which
    changes all that may change. Otherwise the last plan changes what the findings ask for; a plan
    before it also mends the layers that share the fault (see `StepMaker.sharing`), though no
    finding names them: a chain that is mended alone would leave its head, or its neighbors behind
    normalizations, as wrong as they were.

    Args:
        profile: What was measured.
        findings: What the rules found in it.
        options: The method and what it may change.
    """
    faults = [finding for finding in findings if finding.severity != "info"]
    maker = StepMaker.of(profile, options)
    if options.method in (*REDRAWS, LSUV):
        renewed = [step for finding in faults for step in maker.renewed(finding)]
        return [Plan((*renewed, *maker.all_redrawn(faults)), tuple(faults))]
    least = _least(maker, faults)
    further = maker.sharing(least.steps, least.targets)
    if not further:
        return [least]
    return [replace(least, steps=_in_order([*least.steps, *further], profile)), least]


def _least(maker: StepMaker, faults: Sequence[Finding]) -> Plan:
    steps: dict[str, list[Step]] = {}
    targets, left = [], []
    for finding in faults:
        own = maker.steps_for(finding)
        for step in own:
            _add(steps, step)
        if own:
            targets.append(finding)
        else:
            left.append((finding, why_left(finding, maker)))
    found = [step for each in steps.values() for step in each]
    return Plan(_in_order(found, maker.evidence.profile), tuple(targets), tuple(left))


def _in_order(steps: Sequence[Step], profile: Profile) -> tuple[Step, ...]:
    order = {site.layer: site.index for site in reversed(profile.structure.sites)}
    return tuple(sorted(steps, key=lambda step: order.get(step.layer, -1)))


def settling(profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions) -> Plan:
    """Plans to settle the layers around what a new measurement still blames on the batch."""
    maker = StepMaker.of(profile, options)
    steps: dict[str, list[Step]] = {}
    targets = [
        finding
        for finding in findings
        if finding.severity != "info" and (cure := cure_of(finding)) and cure.concerns_size
    ]
    for finding in targets:
        for each in maker.around(finding):
            if not (each.is_recurrent or each.is_zero or each.is_own):
                _add(steps, Step(each.layer, SETTLE, each.names, reason(finding)))
    return Plan(tuple(step for each in steps.values() for step in each), tuple(targets))


def _add(steps: dict[str, list[Step]], step: Step) -> None:
    """Adds a step, so that the kernels of a layer change once.

    They change for the first and worst finding that asks for it; redrawing them goes before
    rescaling.
    """
    own = steps.setdefault(step.layer, [])
    same = [each for each in own if set(each.variables) & set(step.variables)]
    if not same:
        own.append(step)
    elif step.action == REDRAW and (
        same[0].action == RESCALE or set(step.variables) > set(same[0].variables)
    ):
        own[own.index(same[0])] = step
