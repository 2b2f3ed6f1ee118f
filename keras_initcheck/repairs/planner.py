"""From a report to a plan: the least intervention that can cure what was found. Pure: a profile
goes in, records come out.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from keras_initcheck.analysis.residual_stacks import stacks
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.repairs.kernels import LayerKernels, changeable, protected
from keras_initcheck.repairs.options import FIXUP, GLOROT, LSUV, REDRAWS, ModelRepairOptions
from keras_initcheck.repairs.plan import RECENTRE, REDRAW, RENEW, RESCALE, RESET, SETTLE, Plan, Step
from keras_initcheck.rules.head import LARGE_INPUT
from keras_initcheck.theory.fans import MEAN
from keras_initcheck.theory.noise import STATIC_FACTOR, static_tolerance

DEGENERATE = ("IC101", "IC105", "IC106", "IC107", "IC108", "IC209")
"""Kernels that no factor mends: not finite, constant, zero, drawn twice, of low rank, attention
without queries or keys.
"""
GROWTH, LOGITS, THROUGH_TIME = "IC502", "IC404", "IC305"
_OF_SIGNAL = ("IC102", "IC201", "IC202", "IC203", "IC205", "IC206", "IC207", "IC208", "IC404")
_OF_GRADIENT = ("IC103", "IC301", "IC302", "IC303", "IC304", THROUGH_TIME)
SCALE = (*_OF_SIGNAL, *_OF_GRADIENT)
"""Findings that follow from the size of weights or biases somewhere."""
_MEASURED = ("IC201", "IC202", "IC203", "IC205", "IC206", "IC208", "IC303")
_DEAD = ("IC202", "IC208")
_LARGE_BIAS = 0.1
"""Share of the pre-activation's second moment from which a bias is taken for the reason of dead or
saturated units. Keras' own are 0.
"""


def plan(profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions) -> Plan:
    """What to change so that the warnings and errors among the findings go away; `REDRAWS` and LSUV
    change all that may change.

    Args:
        profile: What was measured.
        findings: What the rules found in it.
        options: The method and what it may change.
    """
    faults = [finding for finding in findings if finding.severity != "info"]
    layers = {each.layer: each for each in changeable(profile, options)}
    if options.method in (*REDRAWS, LSUV):
        renewed = [step for finding in faults for step in _renewed(finding, profile, options)]
        return Plan((*renewed, *_redraw_all(layers.values(), faults, options)), tuple(faults))
    steps: dict[str, list[Step]] = {}
    targets, left = [], []
    for finding in faults:
        own = _steps_for(finding, profile, layers, options)
        for step in own:
            _add(steps, step)
        if own:
            targets.append(finding)
        else:
            left.append((finding, _why_left(finding)))
    order = {site.layer: site.index for site in reversed(profile.sites)}
    found = sorted(
        (step for each in steps.values() for step in each),
        key=lambda step: order.get(step.layer, -1),
    )
    return Plan(tuple(found), tuple(targets), tuple(left))


def settling(profile: Profile, findings: Sequence[Finding], options: ModelRepairOptions) -> Plan:
    """What is left to settle on the batch: the layers around what the measurement still blames."""
    layers = {each.layer: each for each in changeable(profile, options)}
    steps: dict[str, list[Step]] = {}
    targets = [
        finding
        for finding in findings
        if finding.severity != "info" and finding.code in (*SCALE, GROWTH)
    ]
    for finding in targets:
        for each in _around(finding, profile, layers):
            if not each.is_recurrent and not each.is_zero:
                _add(steps, Step(each.layer, SETTLE, each.names, _reason(finding)))
    return Plan(tuple(step for each in steps.values() for step in each), tuple(targets))


def _add(steps: dict[str, list[Step]], step: Step) -> None:
    """A layer's kernels change once, for the first and worst finding that asks for it; redrawing
    them goes before rescaling.
    """
    own = steps.setdefault(step.layer, [])
    same = [each for each in own if set(each.variables) & set(step.variables)]
    if not same:
        own.append(step)
    elif step.action == REDRAW and (
        same[0].action == RESCALE or set(step.variables) > set(same[0].variables)
    ):
        own[own.index(same[0])] = step


def _steps_for(
    finding: Finding, profile: Profile, layers: dict[str, LayerKernels], options: ModelRepairOptions
) -> list[Step]:
    blamed = _blamed(finding)
    if finding.code in DEGENERATE:
        again = blamed[1:] if finding.code == "IC107" else blamed
        return _renewed(finding, profile, options) + [
            redraw(layers[layer], finding, options) for layer in again if layer in layers
        ]
    if finding.code == THROUGH_TIME:
        return [
            _second_kernel(redraw(layers[layer], finding, options))
            for layer in blamed
            if layer in layers
        ]
    if finding.code == GROWTH:
        return _branches_scaled(finding, set(blamed), profile, layers, options)
    if finding.code not in SCALE:
        return []
    around = _around(finding, profile, layers)
    steps = _branches_scaled(finding, _growing(finding, profile), profile, layers, options)
    steps += [
        _scaled(each, finding, options)
        for each in around
        if not each.is_zero and _is_off(each, each.layer in blamed, options)
    ]
    steps += [
        _recentred(each, finding)
        for each in around
        if each.is_recentred and any(step.layer == each.layer for step in steps)
    ]
    if finding.code in _MEASURED:
        steps += [step for each in around for step in _bias_reset(each, finding, options)]
    if finding.code in _DEAD and not steps:
        steps = [redraw(each, finding, options) for each in around if each.layer in blamed]
    return steps


def _blamed(finding: Finding) -> list[str]:
    return list(
        dict.fromkeys(finding.culprits or ([finding.layer] if finding.layer is not None else []))
    )


def _around(
    finding: Finding, profile: Profile, layers: dict[str, LayerKernels]
) -> list[LayerKernels]:
    """The layers that a finding names, and those of their chains: a gain is a product. Without a
    name, all.
    """
    blamed = set(_blamed(finding))
    chains = {
        site.chain for site in profile.sites if site.layer in blamed and site.chain is not None
    }
    if not blamed:
        return list(layers.values())
    return [each for each in layers.values() if each.layer in blamed or each.site.chain in chains]


def _is_off(layer: LayerKernels, is_blamed: bool, options: ModelRepairOptions) -> bool:
    """A layer that a finding names is brought to its scale; its neighbours only where they are
    clearly off it.
    """
    excess = layer.log_excess(options.mode)
    factor = 1.0 if is_blamed else STATIC_FACTOR
    chance = max(
        static_tolerance(kernel.moments.num_elements, factor=factor) for kernel in layer.kernels
    )
    return not math.isfinite(excess) or abs(excess) > chance


def _renewed(finding: Finding, profile: Profile, options: ModelRepairOptions) -> list[Step]:
    """The embeddings and normalisations that the user named, where their values are blamed."""
    named = protected(profile, options) if finding.code in DEGENERATE else {}
    return [
        Step(layer, RENEW, named[layer], _reason(finding))
        for layer in _blamed(finding)
        if layer in named
    ]


def _scaled(layer: LayerKernels, finding: Finding, options: ModelRepairOptions) -> Step:
    """Multiplied by `1 / sqrt(s)`, which moves a kernel that has a mean but does not mend it: that
    one is drawn anew.
    """
    if not layer.is_centred or layer.is_recurrent:
        return redraw(layer, finding, options)
    factor = math.exp(-layer.log_excess(options.mode) / (2 * len(layer.kernels)))
    return Step(layer.layer, RESCALE, layer.names, _reason(finding), factor=factor)


def redraw(layer: LayerKernels, finding: Finding | None, options: ModelRepairOptions) -> Step:
    """A new draw at the right scale; recurrent kernels orthogonal, as Keras draws them (Saxe et al.
    2014).
    """
    return Step(
        layer.layer,
        REDRAW,
        layer.names,
        f"method {options.method}" if finding is None else _reason(finding),
        stds=tuple(
            math.sqrt(each)
            for each in layer.second_moments(MEAN if options.method == GLOROT else options.mode)
        ),
        num_gates=layer.num_gates,
        is_orthogonal=layer.is_recurrent or options.method in ("orthogonal", LSUV),
    )


def _second_kernel(step: Step) -> Step:
    """The recurrent kernel alone: what enters has its own."""
    return replace(step, variables=step.variables[1:], stds=step.stds[1:])


def _growing(finding: Finding, profile: Profile) -> set[str]:
    """Last layers of the branches that made what enters a head so large that its logits are;
    smaller kernels of the head would hide it.
    """
    head = next(
        (site for site in profile.sites if finding.code == LOGITS and site.layer == finding.layer),
        None,
    )
    if (
        head is None
        or head.activations.x is None
        or head.activations.x.second_moment <= LARGE_INPUT**2
    ):
        return set()
    free = [[block for block in stack if not block.is_normalised] for stack in stacks(profile)]
    grown = [
        stack for stack in free if stack and stack[-1].stream > LARGE_INPUT**2 * stack[0].stream
    ]
    return {block.last_layer for stack in grown for block in stack if block.last_layer is not None}


def _branches_scaled(
    finding: Finding,
    blamed: set[str],
    profile: Profile,
    layers: dict[str, LayerKernels],
    options: ModelRepairOptions,
) -> list[Step]:
    """Every layer of a branch of m is scaled by `N^(-1/(2m-2))` in N blocks; with Fixup the last
    one is zero.

    Zhang et al. 2019, section 3: so a step of SGD changes the network's output by its learning
    rate, however many blocks there are. 1/√N on the last layers alone keeps the signal as well, but
    each of N branches still moves the output by the learning rate, and SGD diverges at a tenth of
    the rates and less. A branch of one layer moves by that whatever its size, and gets 1/√N:
    `(1 + 1/N)^N` is below e.
    """
    steps = []
    for stack in stacks(profile) if blamed else ():
        for block in (each for each in stack if each.last_layer in blamed):
            branch = list(
                dict.fromkeys(
                    site.layer for site in profile.weight_sites if site.index in block.sites
                )
            )
            exponent = -1.0 / (2 * len(branch) - 2) if len(branch) > 1 else -0.5
            for layer in (
                layers[name] for name in branch if name in layers and not layers[name].is_zero
            ):
                if options.method == FIXUP and layer.layer == block.last_layer:
                    steps.append(Step(layer.layer, RESET, layer.names, _reason(finding)))
                else:
                    factor = len(stack) ** (exponent / len(layer.kernels))
                    steps.append(
                        Step(layer.layer, RESCALE, layer.names, _reason(finding), factor=factor)
                    )
    return steps


def _recentred(layer: LayerKernels, finding: Finding) -> Step:
    assert layer.bias is not None, "a layer without one is not recentred"
    return Step(layer.layer, RECENTRE, (layer.bias.name,), _reason(finding), kernel=layer.names[0])


def _bias_reset(layer: LayerKernels, finding: Finding, options: ModelRepairOptions) -> list[Step]:
    x, bias = layer.site.activations.x, layer.bias
    if (
        x is None
        or bias is None
        or layer.is_recurrent
        or layer.is_recentred
        or not options.selects(bias)
    ):
        return []
    size = x.second_moment or 1.0  # behind a dead layer nothing enters: what would, if it lived
    wanted = (
        math.prod(layer.second_moments(options.mode))
        * math.prod(kernel.fan_in or 1.0 for kernel in layer.kernels)
        * size
    )
    is_large = bias.moments.second_moment > _LARGE_BIAS * wanted
    return [Step(layer.layer, RESET, (bias.name,), _reason(finding))] if is_large else []


def _redraw_all(
    layers: Iterable[LayerKernels], faults: Sequence[Finding], options: ModelRepairOptions
) -> list[Step]:
    """All but zeros that nobody complained of: those are meant."""
    blamed = {layer for finding in faults if finding.code == "IC106" for layer in _blamed(finding)}
    chosen = [each for each in layers if not each.is_zero or each.layer in blamed]
    steps = [redraw(each, None, options) for each in chosen]
    if options.method == LSUV:
        steps += [
            Step(each.layer, SETTLE, each.names, "method lsuv")
            for each in chosen
            if not each.is_recurrent
        ]
    return steps


def _reason(finding: Finding) -> str:
    return f"{finding.code} {finding.slug}"


def _why_left(finding: Finding) -> str:
    if finding.code in (*DEGENERATE, *SCALE, GROWTH):
        return (
            "the layers that it blames are protected (frozen, or an embedding or normalisation that"
            " `layers` does not name), or their weights are of the right size already."
        )
    return "no initialisation cures it."
