"""What a user asked `InitCheck` for, checked and frozen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_initcheck.records.report import Report
from keras_initcheck.repairs.options import RepairOptions
from keras_initcheck.rules.policy import Policy
from keras_initcheck.watch.repair_in_fit import RepairInFit

ACTIONS = ("warn", "raise", "ignore", "repair")


@dataclass(frozen=True)
class Settings:
    """The attributes are arguments of `InitCheck`, which describes them.

    Raises:
        ValueError: One is out of its range.
    """

    on_drift: str | Callable[[Report], object]
    update_freq: str | int
    histogram_freq: int
    per_layer_scalars: bool
    policy: Policy
    seed: int
    repair: RepairOptions | None
    repair_during_training: bool
    max_repairs: int
    repair_pause: int

    def __post_init__(self) -> None:
        if not callable(self.on_drift) and not (
            isinstance(self.on_drift, str) and self.on_drift in ACTIONS
        ):
            raise ValueError(
                f"`on_drift` must be one of {ACTIONS} or a callable. Received:"
                f" on_drift={self.on_drift!r}."
            )
        if not (
            isinstance(self.update_freq, str) and self.update_freq in ("auto", "epoch")
        ) and not _is_count(self.update_freq):
            raise ValueError(
                '`update_freq` must be "auto", "epoch" or a positive integer. Received:'
                f" update_freq={self.update_freq!r}."
            )
        if not isinstance(self.histogram_freq, int | np.integer) or self.histogram_freq < 0:
            raise ValueError(
                "`histogram_freq` must be an integer, 0 or more. Received:"
                f" histogram_freq={self.histogram_freq!r}."
            )
        if self.on_drift != "repair" and (self.repair is not None or self.repair_during_training):
            raise ValueError(
                '`repair`, `repair_options` and `repair_during_training` need on_drift="repair". Received:'
                f" on_drift={self.on_drift!r}."
            )

    @property
    def every(self) -> int | None:
        """Steps between probes; `None` where only epochs are probed."""
        return None if isinstance(self.update_freq, str) else int(self.update_freq)

    def new_repairs(self) -> RepairInFit:
        """The repairs of one model."""
        options, most, pause = self.repair or RepairOptions(), self.max_repairs, self.repair_pause
        return RepairInFit(
            options, self.repair_during_training, most, pause, self.policy, self.seed
        )

    def wants_histograms(self, number: int) -> bool:
        """Whether the epoch, or the probe, of that number has histograms, counted from 1."""
        return bool(self.histogram_freq) and number % self.histogram_freq == 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) > 0
