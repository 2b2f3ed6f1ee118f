"""What a user may choose of a repair, checked."""

from collections.abc import Callable
from dataclasses import dataclass

from keras_initcheck.records.profile import WeightStats
from keras_initcheck.theory.fans import FORWARD, MODES

AUTO, LSUV, FIXUP = "auto", "lsuv", "fixup"
GLOROT = "glorot"
REDRAWS = ("he", GLOROT, "lecun", "orthogonal")
METHODS = (AUTO, LSUV, FIXUP, *REDRAWS)

Selection = Callable[[WeightStats], bool]


def every_weight(weight: WeightStats) -> bool:
    """Selects all."""
    return True


@dataclass(frozen=True)
class Options:
    """The choices of a repair.

    Attributes:
        method: One of `METHODS`.
        mode: Whether the signal (`"forward"`), the gradient (`"backward"`) or the geometric mean of
            both (`"balanced"`) keeps its scale where the number of units changes and one kernel
            cannot keep both.
        target: Standard deviation that settled pre-activations get.
        tolerance: Share by which they may miss it.
        seed: Seed of what is drawn anew.
        selects: Whether a variable is one of those that the user named.

    Raises:
        ValueError: An option is out of its range.
    """

    method: str = AUTO
    mode: str = FORWARD
    target: float = 1.0
    tolerance: float = 0.1
    seed: int = 0
    selects: Selection = every_weight

    @property
    def names_layers(self) -> bool:
        """Whether the user named the layers that may change: what is protected by its kind may then
        change, too.
        """
        return self.selects is not every_weight

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
