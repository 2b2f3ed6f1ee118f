"""All rules, how they are chosen, and their pages."""

import textwrap
from collections.abc import Sequence

from keras_initcheck.profile import Profile
from keras_initcheck.report import SEVERITIES, Finding
from keras_initcheck.rules.architecture import NarrowForDepth, ResidualGrowth
from keras_initcheck.rules.causes import subordinated
from keras_initcheck.rules.data import InputScale, NonfiniteInput, NonfiniteLoss
from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.gradient import NoGradient, NonfiniteGradients, NoWeightGradient
from keras_initcheck.rules.kernels import ConstantKernel, DuplicateKernels, ZeroKernel
from keras_initcheck.rules.layer_ratio import LayerRatio
from keras_initcheck.rules.measured import MeasuredBackwardGain, MeasuredForwardGain, MeasuredLayers
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.signal import DeadLayer, NonfiniteActivations
from keras_initcheck.rules.units import CollapsedSamples, DeadUnits, SaturatedAttention, SaturatedUnits
from keras_initcheck.rules.weights import NonfiniteWeights

RULES: tuple[Rule, ...] = (
    NonfiniteWeights(),
    ForwardGain(),
    BackwardGain(),
    LayerRatio(),
    ConstantKernel(),
    ZeroKernel(),
    DuplicateKernels(),
    NonfiniteActivations(),
    DeadLayer(),
    MeasuredForwardGain(),
    MeasuredLayers(),
    SaturatedUnits(),
    CollapsedSamples(),
    SaturatedAttention(),
    DeadUnits(),
    NonfiniteGradients(),
    NoGradient(),
    MeasuredBackwardGain(),
    NoWeightGradient(),
    NonfiniteInput(),
    NonfiniteLoss(),
    InputScale(),
    NarrowForDepth(),
    ResidualGrowth(),
)
"""Every rule, in the order of the codes."""

_PAGE_WIDTH = 100
_SECTIONS = (
    ("What it means", "what"),
    ("Why it matters", "why"),
    ("Example", "example"),
    ("Known limits", "limits"),
    ("Fix", "fix"),
)


def judge(profile: Profile, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Finding, ...]:
    """What the rules find in a profile, worst first, then by place in the network.

    Args:
        profile: What was measured.
        select: Codes or slugs of the only rules to apply; all if empty.
        ignore: Codes or slugs of rules not to apply.

    Raises:
        ValueError: No rule has such a code or slug.
    """
    selected = {_rule(name, "select").code for name in _names(select)} or {rule.code for rule in RULES}
    ignored = {_rule(name, "ignore").code for name in _names(ignore)}
    rules = [rule for rule in RULES if rule.code in selected - ignored]
    findings = subordinated([finding for rule in rules for finding in rule.check(profile)])
    places = {site.name: site.index for site in profile.sites}
    return tuple(
        sorted(findings, key=lambda finding: (-SEVERITIES.index(finding.severity), places.get(finding.site or "", -1), finding.code))
    )


def explain(code_or_slug: str) -> str:
    """The page of a rule: what it means, why it matters, an example, its limits and the fix.

    Raises:
        ValueError: No rule has that code or slug.
    """
    rule = _rule(code_or_slug, "code_or_slug")
    sections = [f"{title}\n{_indented(getattr(rule, field))}" for title, field in _SECTIONS]
    return "\n\n".join([f"{rule.code} {rule.slug}: {rule.title}", *sections]) + "\n"


def _names(names: Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _rule(name: str, argument: str) -> Rule:
    for rule in RULES:
        if name.lower() in (rule.code.lower(), rule.slug):
            return rule
    known = ", ".join(f"{rule.code} ({rule.slug})" for rule in RULES)
    raise ValueError(f"`{argument}` must name rules by code or slug. Received: {name!r}. Choose from: {known}.")


def _indented(text: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _PAGE_WIDTH - 2)]
    return textwrap.indent("\n".join(lines), "  ")
