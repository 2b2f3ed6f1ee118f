"""Plans a repair: the least intervention that can cure what was found.

Pure: a profile and findings go in, records come out.
"""

from collections.abc import Sequence

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.repairs.options import LSUV, REDRAWS, ModelRepairOptions
from keras_initcheck.repairs.plan import REDRAW, RESCALE, SETTLE, Plan, Step
from keras_initcheck.repairs.step_maker import StepMaker, cure_of, reason


def plan(profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions) -> Plan:
    """Plans changes that make the warnings and errors among the findings go away.

    `REDRAWS` and LSUV change all that may change.

    Args:
        profile: What was measured.
        findings: What the rules found in it.
        options: The method and what it may change.
    """
    faults = [finding for finding in findings if finding.severity != "info"]
    maker = StepMaker.of(profile, options)
    if options.method in (*REDRAWS, LSUV):
        renewed = [step for finding in faults for step in maker.renewed(finding)]
        return Plan((*renewed, *maker.all_redrawn(faults)), tuple(faults))
    steps: dict[str, list[Step]] = {}
    targets, left = [], []
    for finding in faults:
        own = maker.steps_for(finding)
        for step in own:
            _add(steps, step)
        if own:
            targets.append(finding)
        else:
            left.append((finding, _why_left(finding)))
    order = {site.layer: site.index for site in reversed(profile.structure.sites)}
    found = [step for each in steps.values() for step in each]
    found.sort(key=lambda step: order.get(step.layer, -1))
    return Plan(tuple(found), tuple(targets), tuple(left))


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
            if not each.is_recurrent and not each.is_zero:
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


def _why_left(finding: Finding) -> str:
    if cure_of(finding) is None:
        return "no initialization cures it."
    return (
        "the layers that it blames are protected (frozen, or an embedding or normalization that"
        " `layers` does not name), or their weights are of the right size already."
    )
