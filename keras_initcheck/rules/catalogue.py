"""All rules, how they are chosen, what they say together, and their pages."""

import textwrap
from collections.abc import Mapping, Sequence

from keras_initcheck.analysis import depth_scales
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.rules.architecture import NarrowForDepth, ResidualGrowth
from keras_initcheck.rules.attention import SaturatedAttention, UniformAttention
from keras_initcheck.rules.column_rules import ColumnScale
from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.gradient import NoGradient, NonfiniteGradients, NoWeightGradient
from keras_initcheck.rules.head import HeadAndLoss, LossAtInit
from keras_initcheck.rules.input_rules import InputScale, NonfiniteInput, NonfiniteLoss
from keras_initcheck.rules.kernel_rules import (
    CollapsedRank,
    ConstantKernel,
    DuplicateKernels,
    ZeroKernel,
)
from keras_initcheck.rules.label_rules import LabelScale, LabelsOutOfRange
from keras_initcheck.rules.layer_ratio import LayerRatio
from keras_initcheck.rules.measured import MeasuredBackwardGain, MeasuredForwardGain, MeasuredLayers
from keras_initcheck.rules.policy import Policy
from keras_initcheck.rules.prediction import LeavesPrediction
from keras_initcheck.rules.root_causes import demote_consequences
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.signal import DeadLayer, NonfiniteActivations
from keras_initcheck.rules.thresholds import named
from keras_initcheck.rules.through_time import ThroughTime
from keras_initcheck.rules.unit_rules import CollapsedSamples, DeadUnits, SaturatedUnits
from keras_initcheck.rules.weight_rules import NonfiniteWeights

RULES: tuple[Rule, ...] = (
    NonfiniteWeights(),
    ForwardGain(),
    BackwardGain(),
    LayerRatio(),
    ConstantKernel(),
    ZeroKernel(),
    DuplicateKernels(),
    CollapsedRank(),
    NonfiniteActivations(),
    DeadLayer(),
    MeasuredForwardGain(),
    MeasuredLayers(),
    SaturatedUnits(),
    CollapsedSamples(),
    SaturatedAttention(),
    DeadUnits(),
    UniformAttention(),
    LeavesPrediction(),
    NonfiniteGradients(),
    NoGradient(),
    MeasuredBackwardGain(),
    NoWeightGradient(),
    ThroughTime(),
    NonfiniteInput(),
    NonfiniteLoss(),
    InputScale(),
    LossAtInit(),
    LabelsOutOfRange(),
    HeadAndLoss(),
    LabelScale(),
    ColumnScale(),
    NarrowForDepth(),
    ResidualGrowth(),
)
"""Every rule, in the order of the codes."""
ALL_CODES = frozenset(rule.code for rule in RULES)
EVERYTHING = Policy(ALL_CODES)
"""All rules, the default thresholds, and no layer exempt."""

_PAGE_WIDTH = 100
_SECTIONS = (
    ("What it means", "what"),
    ("Why it matters", "why"),
    ("Example", "example"),
    ("Known limits", "limits"),
    ("Fix", "fix"),
)


def policy_of(
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exempt: Mapping[str, Sequence[str]] | None = None,
) -> Policy:
    """What a user asks for, checked.

    Args:
        select: Codes or slugs of the only rules to apply; all if empty.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers to judge by, by the names in `thresholds.Thresholds`; the defaults
            elsewhere.
        exempt: Patterns of layer paths, each with the codes or slugs of the rules that leave such
            layers alone, or `"*"` for all.

    Raises:
        TypeError: `thresholds` or `exempt` is no mapping.
        ValueError: No rule or threshold has such a name, or a number is not in its range.
    """
    if not isinstance(exempt, Mapping | None):
        raise TypeError(
            f"`exempt` must map patterns of layer paths to codes. Received: {exempt!r}."
        )
    selected = _codes(select, "select") or ALL_CODES
    exemptions = tuple((pattern, _exempted(names)) for pattern, names in (exempt or {}).items())
    return Policy(selected - _codes(ignore, "ignore"), named(thresholds or {}), exemptions)


def judge(
    profile: Profile, policy: Policy = EVERYTHING, *, with_mean_field: bool = False
) -> Report:
    """The report on a profile, with its findings worst first, then by place in the network.

    Args:
        profile: What was measured.
        policy: What to judge it by.
        with_mean_field: Whether to compute the depth scales of mean field theory, too, which takes
            the host as long as all rules.
    """
    found = [
        finding
        for rule in RULES
        if rule.code in policy.codes
        for finding in rule.check(profile, policy.thresholds)
    ]
    kept = policy.kept(
        found
    )  # what a cause that is not wanted brings about is still told as an error
    places = {site.name: site.index for site in profile.sites}
    ranked = sorted(
        demote_consequences(kept),
        key=lambda finding: (-finding.rank, places.get(finding.site or "", -1), finding.code),
    )
    mean_field = depth_scales.summarise(profile) if with_mean_field else None
    return Report(profile, tuple(ranked), len(found) - len(kept), mean_field)


def explain(code_or_slug: str) -> str:
    """The page of a rule: what it means, why it matters, an example, its limits and the fix.

    Raises:
        ValueError: No rule has that code or slug.
    """
    rule = _rule(code_or_slug, "code_or_slug")
    sections = [f"{title}\n{_indented(getattr(rule, field))}" for title, field in _SECTIONS]
    return "\n\n".join([f"{rule.code} {rule.slug}: {rule.title}", *sections]) + "\n"


def _codes(names: str | Sequence[str], argument: str) -> frozenset[str]:
    return frozenset(_rule(name, argument).code for name in _listed(names))


def _exempted(names: str | Sequence[str]) -> frozenset[str]:
    return ALL_CODES if "*" in _listed(names) else _codes(names, "exempt")


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _rule(name: str, argument: str) -> Rule:
    for rule in RULES:
        if str(name).lower() in (rule.code.lower(), rule.slug):
            return rule
    known = ", ".join(f"{rule.code} ({rule.slug})" for rule in RULES)
    raise ValueError(
        f"`{argument}` must name rules by code or slug. Received: {name!r}. Choose from: {known}."
    )


def _indented(text: str) -> str:
    lines = [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, _PAGE_WIDTH - 2)
    ]
    return textwrap.indent("\n".join(lines), "  ")
