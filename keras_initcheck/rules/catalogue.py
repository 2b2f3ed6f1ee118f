"""All rules, by code and slug, and their pages."""

import textwrap
from collections.abc import Mapping, Sequence

from keras_initcheck.rules.architecture import NarrowForDepth, ResidualGrowth
from keras_initcheck.rules.attention import SaturatedAttention, UniformAttention
from keras_initcheck.rules.biases import DrowningBiases
from keras_initcheck.rules.column_rules import ColumnScale
from keras_initcheck.rules.draws import NotAsPromised
from keras_initcheck.rules.dropout import HeavyDropout
from keras_initcheck.rules.first_step import BelowEpsilon, FirstStepDiverges, FirstStepNothing
from keras_initcheck.rules.frozen_normalization import FrozenNormalization
from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.gradient import NoGradient, NonfiniteGradients
from keras_initcheck.rules.head import HeadAndLoss
from keras_initcheck.rules.hidden_softmax import HiddenSoftmax
from keras_initcheck.rules.index_rules import Indices
from keras_initcheck.rules.input_rules import (
    IdenticalInputs,
    InputScale,
    NonfiniteInput,
    NonfiniteLoss,
)
from keras_initcheck.rules.kernel_rules import (
    CollapsedRank,
    ConstantKernel,
    DuplicateKernels,
    ZeroKernel,
)
from keras_initcheck.rules.label_rules import LabelScale, LabelsOutOfRange
from keras_initcheck.rules.layer_ratio import LayerRatio
from keras_initcheck.rules.loss_at_init import LossAtInit
from keras_initcheck.rules.measured import MeasuredBackwardGain, MeasuredForwardGain, MeasuredLayers
from keras_initcheck.rules.path_rules import (
    GradientSpread,
    MeasuredPathGain,
    MeasuredPathGradient,
)
from keras_initcheck.rules.prediction import LeavesPrediction
from keras_initcheck.rules.regularization import Regularization
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.signal import DeadLayer, NonfiniteActivations
from keras_initcheck.rules.through_time import ThroughTime
from keras_initcheck.rules.trial import Diverges, DoesNotLearn
from keras_initcheck.rules.unit_rules import CollapsedSamples, DeadUnits, SaturatedUnits
from keras_initcheck.rules.vanishing_weights import VanishingWeights
from keras_initcheck.rules.weight_gradient import NothingToTrain, NoWeightGradient
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
    NotAsPromised(),
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
    MeasuredPathGain(),
    FrozenNormalization(),
    DrowningBiases(),
    HeavyDropout(),
    NonfiniteGradients(),
    NoGradient(),
    MeasuredBackwardGain(),
    NoWeightGradient(),
    ThroughTime(),
    MeasuredPathGradient(),
    GradientSpread(),
    NothingToTrain(),
    NonfiniteInput(),
    NonfiniteLoss(),
    InputScale(),
    LossAtInit(),
    LabelsOutOfRange(),
    HeadAndLoss(),
    LabelScale(),
    ColumnScale(),
    Indices(),
    Regularization(),
    HiddenSoftmax(),
    IdenticalInputs(),
    NarrowForDepth(),
    ResidualGrowth(),
    FirstStepDiverges(),
    FirstStepNothing(),
    BelowEpsilon(),
    VanishingWeights(),
    DoesNotLearn(),
    Diverges(),
)
"""Every rule, in the order of the codes."""
RULES_BY_SLUG: Mapping[str, Rule] = {rule.slug: rule for rule in RULES}
"""Every rule by its slug."""
ALL_CODES = frozenset(rule.code for rule in RULES)

_PAGE_WIDTH = 100
_SECTIONS = (
    ("What it means", "what"),
    ("Why it matters", "why"),
    ("Example", "example"),
    ("Known limits", "limits"),
    ("Fix", "fix"),
)


def codes_of(names: str | Sequence[str], argument: str) -> frozenset[str]:
    """The codes of rules that a user names by code or slug.

    Args:
        names: One name or several.
        argument: Name of the user's argument, for the message of an error.

    Raises:
        ValueError: No rule has such a code or slug.
    """
    listed = (names,) if isinstance(names, str) else names
    return frozenset(_rule(name, argument).code for name in listed)


def explain(code_or_slug: str) -> str:
    """The page of a rule: what it means, why it matters, an example, its limits and the fix.

    Raises:
        ValueError: No rule has that code or slug.
    """
    rule = _rule(code_or_slug, "code_or_slug")
    sections = [f"{title}\n{_indented(getattr(rule, field))}" for title, field in _SECTIONS]
    return "\n\n".join([f"{rule.code} {rule.slug}: {rule.title}", *sections]) + "\n"


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
