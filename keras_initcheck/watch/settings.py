"""The configuration of `InitCheck`: its arguments, checked and frozen."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_initcheck.probe.data.arguments import as_seed
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.options import RepairOptions
from keras_initcheck.rules.policy import EVERYTHING, Policy
from keras_initcheck.watch.parts import Part

WARN, RAISE, IGNORE, REPAIR = "warn", "raise", "ignore", "repair"
ACTIONS = (WARN, RAISE, IGNORE, REPAIR)


@dataclass(frozen=True)
class Settings:
    """The arguments of `InitCheck`, which documents them.

    Attributes:
        log_dir: As in `InitCheck`.
        data: As in `InitCheck`.
        on_drift: As in `InitCheck`.
        update_freq: As in `InitCheck`.
        histogram_freq: As in `InitCheck`.
        parts: The named models to watch; empty where the trained model is watched.
        per_layer_scalars: As in `InitCheck`.
        policy: The rules to apply, from `policy` or from the short keywords.
        seed: As in `InitCheck`.
        repair: The options of repairs, from `repair` or from `repair_options`; `None` for none.
        repair_during_training: As in `InitCheck`.
        max_repairs: As in `InitCheck`.
        repair_pause: As in `InitCheck`.

    Raises:
        TypeError: `log_dir` is not a path.
        ValueError: An argument is out of its range.
    """

    log_dir: str | Path | None = None
    data: Any = None
    on_drift: str | Callable[[Report], object] = WARN
    update_freq: str | int = "auto"
    histogram_freq: int = 0
    parts: tuple[Part, ...] = ()
    per_layer_scalars: bool = False
    policy: Policy = EVERYTHING
    seed: int = 0
    repair: RepairOptions | None = None
    repair_during_training: bool = False
    max_repairs: int = 3
    repair_pause: int = 2

    def __post_init__(self) -> None:
        if self.log_dir is not None and not isinstance(self.log_dir, str | PathLike):
            raise TypeError(
                "`log_dir` must be a path or None. Received: one of type"
                f" {type(self.log_dir).__name__}."
            )
        is_action = isinstance(self.on_drift, str) and self.on_drift in ACTIONS
        if not is_action and not callable(self.on_drift):
            raise ValueError(
                f"`on_drift` must be one of {ACTIONS} or a callable. Received:"
                f" on_drift={self.on_drift!r}."
            )
        self._check_frequencies()
        as_seed(self.seed)
        if not self.repairs_drift and (self.repair is not None or self.repair_during_training):
            raise ValueError(
                "`repair`, `repair_options` and `repair_during_training` need"
                f' on_drift="{REPAIR}". Received: on_drift={self.on_drift!r}.'
            )

    def _check_frequencies(self) -> None:
        is_word = isinstance(self.update_freq, str) and self.update_freq in ("auto", "epoch")
        if not is_word and not _is_count(self.update_freq):
            raise ValueError(
                '`update_freq` must be "auto", "epoch" or a positive integer. Received:'
                f" update_freq={self.update_freq!r}."
            )
        if not isinstance(self.histogram_freq, int | np.integer) or self.histogram_freq < 0:
            raise ValueError(
                "`histogram_freq` must be an integer, 0 or more. Received:"
                f" histogram_freq={self.histogram_freq!r}."
            )

    @property
    def every(self) -> int | None:
        """Steps between probes; `None` if only epochs are probed."""
        return None if isinstance(self.update_freq, str) else int(self.update_freq)

    @property
    def repairs_drift(self) -> bool:
        """Whether findings are repaired."""
        return isinstance(self.on_drift, str) and self.on_drift == REPAIR

    def wants_histograms(self, number: int) -> bool:
        """Whether the epoch, or the probe, of that number (from 1) gets histograms."""
        return bool(self.histogram_freq) and number % self.histogram_freq == 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) > 0
