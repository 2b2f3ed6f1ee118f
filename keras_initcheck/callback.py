"""`InitCheck`, the callback: probes inside `fit` or a loop, logs, and acts on what it finds. Glue only."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_initcheck.api import Repair, Report
from keras_initcheck.first_batch import intercept_first_batch
from keras_initcheck.frames import running_fit
from keras_initcheck.pace import Pace
from keras_initcheck.probe import internals
from keras_initcheck.probe.batch import Batch, take_batch, to_tensor
from keras_initcheck.rules import catalogue
from keras_initcheck.watch import Settings, Watch

NO_BATCH = (
    "it saw no batch in this epoch, since neither fit nor train_on_batch took one after on_train_batch_begin. In a loop of your own call "
    "InitCheck(...).probe(model, x, y, step=n), or pass the batch: InitCheck(data=(x, y))"
)
ACTIONS = ("warn", "raise", "ignore", "repair")


class InitCheck(keras.callbacks.Callback):
    """Probes the model before the first update and then regularly, and logs what it finds to TensorBoard.

    The batch is the first one of the running `fit`; no batch is lost or reordered, and the training is bitwise what it would have been.
    At the end of each epoch `logs` carries `initcheck_log10_forward_gain`, `initcheck_log10_backward_gain` and `initcheck_findings`, so
    that History and every callback listed after this one (CSVLogger, ReduceLROnPlateau) have them too.

    Args:
        log_dir: Directory for TensorBoard; the events go to `<log_dir>/initcheck`. `None` writes none.
        data: Another batch to probe: `(x, y)`, `(x, y, sample_weight)` or whatever yields batches.
        on_drift: What to do when a probe finds a warning or an error: `"warn"`, `"raise"` (a `DriftError` ends the fit), `"ignore"`,
            `"repair"` (what `keras_initcheck.repair` does, before the first update; a warning tells what was done), or a callable that
            gets the `Report`.
        update_freq: `"epoch"`, or a number of batches between probes. `"auto"` is `"epoch"`.
        histogram_freq: Number of epochs between histograms of activations, weights and their gradients; 0 makes none.
        per_layer: Whether every layer gets scalars of its own.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers for rules to judge by, as in `check`.
        exempt: Layers to leave alone, as in `check`.
        seed: Seed of the random gradient that measures backward ratios at the first probe, and of what a repair draws.
        repair_options: With `"repair"`: `method`, `mode`, `layers`, `target`, `tolerance` and `allow_trained` of `repair`.
        repair_during_training: With `"repair"`: whether layers that die, saturate or blow up later are repaired too.
        max_repairs: How often at most during a training.
        repair_pause: Probes after such a repair that go by without one.

    Attributes:
        report: The latest `Report`, or `None`.
        first_report: The report before the first update and before any repair, or `None`.

    Raises:
        ValueError: An argument is out of its range.
        DriftError: From `fit`, with `on_drift="raise"`.

    Cost: the first probe traces or compiles a forward and two backward passes; each later one is about a training step, and nothing is
    done between probes. A probe that fails warns once and steps aside; the training goes on.

    Example:
        model.fit(x, y, callbacks=[InitCheck("logs")])
    """

    def __init__(
        self,
        log_dir: str | Path | None = "logs",
        data: Any = None,
        on_drift: str | Callable[[Report], object] = "warn",
        update_freq: str | int = "auto",
        histogram_freq: int = 0,
        *,
        per_layer: bool = False,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        exempt: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        repair_options: Mapping[str, Any] | None = None,
        repair_during_training: bool = False,
        max_repairs: int = 3,
        repair_pause: int = 2,
    ) -> None:
        super().__init__()
        _check_arguments(on_drift, update_freq, histogram_freq)
        if on_drift != "repair" and (repair_options or repair_during_training):
            raise ValueError(f'`repair_options` and `repair_during_training` need on_drift="repair". Received: on_drift={on_drift!r}.')
        policy = catalogue.policy_of(select, ignore, thresholds, exempt)
        choices = (repair_options or {}, repair_during_training, max_repairs, repair_pause)
        self.log_dir = log_dir
        self.data = data
        self.update_freq = update_freq
        self.histogram_freq = histogram_freq
        self._settings = Settings(on_drift, histogram_freq, per_layer, policy, seed, *choices)
        self._watch: Watch | None = None
        self._pace = Pace(None)
        self._first_step = 0
        self._is_waiting = False
        self._restore: Callable[[], None] = _nothing

    @property
    def report(self) -> Report | None:
        """The latest report."""
        return None if self._watch is None else self._watch.report

    @property
    def first_report(self) -> Report | None:
        """The report before the first update and before any repair."""
        return None if self._watch is None else self._watch.first_report

    @property
    def repairs(self) -> Sequence[Repair]:
        """What each repair of the latest training did."""
        return () if self._watch is None else self._watch.repairs

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Probes given data, or arranges that the first batch of the fit is probed before the first update."""
        self._finish()  # a training that was aborted had no end
        if self._watch is None or self._watch.model is not self.model:
            source = "first batch of fit" if self.data is None else "data of InitCheck"
            self._watch = Watch(self.model, self._settings, self.log_dir, source)
        self._watch.begin()
        every = self.update_freq if isinstance(self.update_freq, int) else None
        self._pace = Pace(every, int(self.model.steps_per_execution), (self.params or {}).get("steps"))
        self._first_step = internals.steps_taken(self.model)
        self._watch.guarded(self._begin)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Arranges that the first batch is probed, and probes every `update_freq` batches, before the next one."""
        self._pace.before_execution()
        if self._is_waiting:
            self._is_waiting = False
            self._known_watch.guarded(self._intercept)
        elif self._pace.is_due:
            self._known_watch.guarded(self._probe_again)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes where `update_freq` says so, and adds the latest values to `logs`."""
        self._pace.after_epoch(self._has_found_nothing())
        self._known_watch.guarded(self._require_batch)
        with_histograms = bool(self.histogram_freq) and (epoch + 1) % self.histogram_freq == 0
        if with_histograms or self._pace.is_due or self.update_freq in ("epoch", "auto"):
            self._known_watch.guarded(lambda: self._probe_again(with_histograms))
        if logs is not None and self.report is not None:
            logs.update(_values(self.report))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log."""
        self._finish()

    @property
    def _known_watch(self) -> Watch:
        assert self._watch is not None, "on_train_begin makes it"
        return self._watch

    def _begin(self) -> None:
        if self.data is not None:
            batch = take_batch(*self.data) if isinstance(self.data, tuple) else take_batch(self.data)
            self._known_watch.probe_first(batch, self._step())
        else:
            self._is_waiting = True

    def _intercept(self) -> None:
        """As late as can be: whatever ends the training before its first step leaves the model as it was."""
        self._restore = intercept_first_batch(self.model, self._use, self._give_up)

    def _use(self, batch: Batch) -> None:
        def probe() -> None:
            tensors = (None if part is None else keras.tree.map_structure(_as_tensor, part) for part in batch)
            self._known_watch.probe_first(Batch(*tensors), self._step())

        self._known_watch.guarded(probe)

    def _give_up(self, error: Exception) -> None:
        self._known_watch.step_aside(
            f"the first batch could not be taken off this fit ({type(error).__name__}: {error}). Pass one: InitCheck(data=(x, y))"
        )

    def _probe_again(self, with_histograms: bool = False) -> None:
        watch = self._known_watch
        self._pace.probed()
        if watch.batch is not None:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
            watch.probe_again(watch.batch, self._step(), with_histograms)

    def _require_batch(self) -> None:
        if self._known_watch.batch is None:
            self._finish()
            self._known_watch.step_aside(NO_BATCH)

    def _step(self) -> int:
        """Updates made so far. A `train_step` of the user's own may use other optimizers than the model's: its steps are counted."""
        is_own = type(self.model).train_step is not keras.Model.train_step
        return self._first_step + self._pace.taken if is_own else internals.steps_taken(self.model)

    def _has_found_nothing(self) -> bool:
        """Where the number of batches is not known, TensorFlow's and JAX's first epoch ends with an execution that finds none."""
        is_unknown = (self.params or {}).get("steps") is None and not self._pace.epochs
        is_asked_for = keras.backend.backend() != "torch" and running_fit(self.model) is not None
        return is_unknown and is_asked_for and not self.model.stop_training

    def _finish(self) -> None:
        self._is_waiting = False
        self._restore()
        self._restore = _nothing
        if self._watch is not None:
            self._watch.end()


def _nothing() -> None:
    """Nothing to put back."""


def _as_tensor(leaf: Any) -> Any:
    """A tensor as it is, since `fit` trains with it; an array as `train_on_batch` would convert it."""
    return leaf if keras.ops.is_tensor(leaf) else to_tensor(leaf)


def _check_arguments(on_drift: Any, update_freq: Any, histogram_freq: Any) -> None:
    if not callable(on_drift) and on_drift not in ACTIONS:
        raise ValueError(f"`on_drift` must be one of {ACTIONS} or a callable. Received: on_drift={on_drift!r}.")
    is_count = isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq > 0
    if update_freq not in ("auto", "epoch") and not is_count:
        raise ValueError(f'`update_freq` must be "auto", "epoch" or a positive integer. Received: update_freq={update_freq!r}.')
    if not isinstance(histogram_freq, int) or histogram_freq < 0:
        raise ValueError(f"`histogram_freq` must be an integer, 0 or more. Received: histogram_freq={histogram_freq!r}.")


def _values(report: Report) -> dict[str, float]:
    """What `logs` carries: the keys are always the same, because CSVLogger fixes its columns at the first epoch."""
    profile = report.profile
    gains = {"forward": profile.log10_forward_gain, "backward": profile.log10_backward_gain}
    found = {f"initcheck_log10_{name}_gain": float("nan") if gain is None else gain for name, gain in gains.items()}
    return {**found, "initcheck_findings": float(report.count("warning") + report.count("error"))}
