"""The options of a repair, as a user passes them, and as one model's repair needs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from keras_initcheck.records.sites import WeightStats
from keras_initcheck.theory.fans import FORWARD, MODES

AUTO, LSUV, FIXUP = "auto", "lsuv", "fixup"
GLOROT = "glorot"
REDRAWS = ("he", GLOROT, "lecun", "orthogonal")
METHODS = (AUTO, LSUV, FIXUP, *REDRAWS)

Selection = Callable[[WeightStats], bool]


def every_weight(weight: WeightStats) -> bool:
    """Selects all weights."""
    return True


@dataclass(frozen=True)
class RepairOptions:
    """The options of a repair, for `repair` and for `InitCheck(on_drift="repair")`.

    Attributes:
        method: `"auto"` does the least that works. `"he"`, `"lecun"`, `"orthogonal"` and `"glorot"`
            redraw every kernel, `"lsuv"` settles each layer on the batch, and `"fixup"` is `"auto"`
            with residual branches that end in zeros. `repair` describes them.
        mode: Scale to preserve where a layer changes the number of units and one kernel cannot
            preserve both: the signal's (`"forward"`), the gradient's (`"backward"`) or their
            geometric mean (`"balanced"`).
        layers: The only layers that may change: a path, a pattern such as `"head/*"`, a layer, or a
            list of these. `None` allows all.
        allow_trained: Whether to change a model whose optimizer has made steps.
        target: Standard deviation of settled pre-activations.
        tolerance: Relative deviation from `target` that is accepted, between 0 and 1.

    Raises:
        ValueError: An option is out of its range.
    """

    method: str = AUTO
    mode: str = FORWARD
    layers: Any = None
    allow_trained: bool = False
    target: float = 1.0
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"`method` must be one of {METHODS}. Received: method={self.method!r}."
            )
        if self.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={self.mode!r}.")
        if not self.target > 0.0:
            raise ValueError(
                f"`target` must be a standard deviation above 0. Received: target={self.target!r}."
            )
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(
                "`tolerance` must be a share between 0 and 1. Received:"
                f" tolerance={self.tolerance!r}."
            )


@dataclass(frozen=True)
class ModelRepairOptions(RepairOptions):
    """The options of one repair of one model; `layer_selection.options_for` makes them.

    Attributes:
        seed: Seed of the values that are drawn.
        selects: Tells whether a weight belongs to a layer that may change.
    """

    seed: int = 0
    selects: Selection = every_weight

    @property
    def names_layers(self) -> bool:
        """Whether the layers that may change were named.

        Layers that are protected by their kind may then change, too.
        """
        return self.selects is not every_weight


def callback_options(
    options: RepairOptions | None, choices: Mapping[str, Any] | None
) -> RepairOptions | None:
    """The options of `InitCheck(repair=...)` or of `InitCheck(repair_options=...)`, if any.

    Raises:
        TypeError: `options` is not a `RepairOptions`.
        ValueError: Both were passed, or a choice is unknown or out of its range.
    """
    if options is None and not choices:
        return None
    shorthand = _options_from(choices or {})
    return choose_options(options, shorthand, argument="repair", keywords="`repair_options`")


def choose_options(
    options: RepairOptions | None, shorthand: RepairOptions, *, argument: str, keywords: str
) -> RepairOptions:
    """The options that a user passed as an object or, if there is none, as short keywords.

    Args:
        options: The object, or `None`.
        shorthand: The options that the keywords make.
        argument: Name of the object's argument, for the message of an error.
        keywords: Names of the keywords, for the same.

    Raises:
        TypeError: `options` is not a `RepairOptions`.
        ValueError: Both were passed.
    """
    if options is None:
        return shorthand
    if not isinstance(options, RepairOptions):
        raise TypeError(
            f"`{argument}` must be a keras_initcheck.RepairOptions. Received: one of type"
            f' {type(options).__name__}. Try: {argument}=RepairOptions(method="he")'
        )
    if shorthand != RepairOptions():
        raise ValueError(
            f"`{argument}` must come without {keywords}. Received: both. Pass all of them to"
            " RepairOptions(...)."
        )
    return options


def _options_from(choices: Mapping[str, Any]) -> RepairOptions:
    known = tuple(field.name for field in fields(RepairOptions))
    unknown = sorted(set(choices) - set(known))
    if unknown:
        raise ValueError(f"`repair_options` may hold {known}. Received: {unknown}.")
    return RepairOptions(**choices)
