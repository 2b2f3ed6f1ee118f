"""`InitCheck`, the callback: probes inside `fit` or a loop, logs, and acts on what it finds. Glue
only.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import keras

from keras_initcheck.probe.data.batch import Batch, take_batch, to_tensor, yields_batches
from keras_initcheck.probe.engine.devices import whole
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.records.report import Report
from keras_initcheck.repairs.options import RepairOptions, choose_options, options_from
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.rules.policy import Policy, choose_policy
from keras_initcheck.watch.call_stack import running_fit
from keras_initcheck.watch.first_batch import assign_state, intercept_first_batch
from keras_initcheck.watch.pace import Pace, as_step
from keras_initcheck.watch.parts import Part, parts_of
from keras_initcheck.watch.session import Watch
from keras_initcheck.watch.settings import Settings

NO_BATCH = (
    "it saw no batch in this epoch, since neither fit nor train_on_batch took one after"
    " on_train_batch_begin. In a loop of your own call InitCheck(...).probe(model, x, y, step=n),"
    " or pass the batch: InitCheck(data=(x, y))"
)


class InitCheck(keras.callbacks.Callback):
    """Probes the model before the first update and then regularly, and logs what it finds to
    TensorBoard.

    The batch is the first one of the running `fit`; no batch is lost or reordered, and the training
    is bitwise what it would have been. Where several devices train, it is the global batch: under a
    `tf.distribute` strategy the replicas' parts are put together and probed on one device; under a
    `keras.distribution` the probe is sharded as the training is. One process writes the log. Keras
    does not fit under `MultiWorkerMirroredStrategy`, nor with several steps an execution in a graph
    under `MirroredStrategy`, with this callback or without. At the end of each epoch `logs` carries
    `initcheck_log10_forward_gain`, `initcheck_log10_backward_gain` and `initcheck_findings`, so
    that History and every callback listed after this one (CSVLogger, ReduceLROnPlateau) have them
    too.

    Args:
        log_dir: Directory for TensorBoard; the events go to `<log_dir>/initcheck`. `None` writes
            none.
        data: Another batch to probe: `(x, y)`, `(x, y, sample_weight)` or whatever yields batches.
        on_drift: What to do when a probe finds a warning or an error: `"warn"`, `"raise"` (a
            `DriftError` ends the fit), `"ignore"`, `"repair"` (what `keras_initcheck.repair` does,
            before the first update; a warning tells what was done), or a callable that gets the
            `Report`.
        update_freq: `"epoch"`, or a number of batches between probes. `"auto"` is `"epoch"`.
        histogram_freq: Number of epochs between histograms of activations, weights and their
            gradients; 0 makes none. For `probe`: number of probes.
        parts: The models to probe instead of the one that is trained, each with data:
            `{"generator": (generator, noise)}`. A part is `(model, x)`, `(model, x, y)` or
            `(model, x, y, sample_weight)`. Each has its reports, its log in
            `<log_dir>/<name>/initcheck`, and its names in `logs`, such as
            `initcheck_generator_findings`. For models without `call`, as GANs often are.
        per_layer_scalars: Whether every layer gets scalars of its own.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers for rules to judge by, as in `check`.
        exempt: Layers to leave alone, as in `check`.
        seed: Seed of the random gradient that measures backward ratios at the first probe, and of
            what a repair draws.
        repair_options: With `"repair"`: `method`, `mode`, `layers`, `target`, `tolerance` and
            `allow_trained` of `repair`.
        repair_during_training: With `"repair"`: whether layers that die, saturate or blow up later
            are repaired too.
        max_repairs: How often at most during a training.
        repair_pause: Probes after such a repair that go by without one.

    Attributes:
        report: The latest `Report`, or `None`; of several parts that of the last one.
        first_report: The report before the first update and before any repair, or `None`.
        reports: The latest report of each part, by name.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: A part is no Keras model, or `log_dir` no path.
        DriftError: From `fit`, with `on_drift="raise"`.

    Cost: the first probe traces or compiles a forward and two backward passes; each later one is
    about a training step, and nothing is done between probes. A probe that fails warns once and
    steps aside; the training goes on.

    Example:
        model.fit(x, y, callbacks=[InitCheck("logs")])

    A `keras.callbacks.CallbackList` around `train_on_batch` works as `fit` does; for any other loop
    of your own there is `probe`.
    """

    def __init__(
        self,
        log_dir: str | Path | None = "logs",
        data: Any = None,
        on_drift: str | Callable[[Report], object] = "warn",
        update_freq: str | int = "auto",
        histogram_freq: int = 0,
        *,
        parts: Mapping[str, tuple[Any, ...]] | None = None,
        per_layer_scalars: bool = False,
        policy: Policy | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        exempt: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        repair: RepairOptions | None = None,
        repair_options: Mapping[str, Any] | None = None,
        repair_during_training: bool = False,
        max_repairs: int = 3,
        repair_pause: int = 2,
    ) -> None:
        super().__init__()
        if log_dir is not None and not isinstance(log_dir, str | PathLike):
            raise TypeError(
                f"`log_dir` must be a path or None. Received: one of type {type(log_dir).__name__}."
            )
        policy = choose_policy(policy, Policy(select, ignore, thresholds, exempt))
        repairs = (
            _repair_options(repair, repair_options),
            repair_during_training,
            max_repairs,
            repair_pause,
        )
        self.settings = Settings(
            on_drift, update_freq, histogram_freq, per_layer_scalars, policy, seed, *repairs
        )
        self.log_dir = log_dir
        self.data = data
        self._parts = parts_of(parts, data)
        self._watches: list[Watch] = []
        self._pace = Pace(None)
        self._first_step = 0
        self._is_waiting = False
        self._restore: Callable[[], None] = _nothing

    @property
    def report(self) -> Report | None:
        """The latest report."""
        return self._watches[-1].report if self._watches else None

    @property
    def first_report(self) -> Report | None:
        """The report before the first update and before any repair, of the model that was probed
        last.
        """
        return self._watches[-1].first_report if self._watches else None

    @property
    def reports(self) -> dict[str, Report]:
        """The latest report of each model, by the name of its part, or by its own name where there
        are no parts.
        """
        return {
            watch.part.label or watch.part.model.name: watch.report
            for watch in self._watches
            if watch.report is not None
        }

    @property
    def repairs(self) -> Sequence[Repair]:
        """What each repair of the latest training did."""
        return tuple(done for watch in self._watches for done in watch.repairs)

    def probe(
        self,
        model: Any,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        step: int | None = None,
        state: tuple[Sequence[Any], Sequence[Any]] | None = None,
    ) -> Report:
        """Probes a model in a loop of your own: logs, acts on what it finds, and returns the
        report.

        The first probe of a model is exact, as `check` is; later ones are fast, and compiled once
        for each shape of batch. All probes of a model go to one run of the log. `close` ends it,
        and so does leaving a `with InitCheck(...) as watcher` block.

        Args:
            model: A `keras.Model`. One that is not compiled has no loss: then a random gradient is
                sent back instead.
            x: A batch of inputs, used whole, or whatever yields batches. A strategy's batch is put
                together from its replicas' parts.
            y: Its labels.
            sample_weight: Its weights.
            step: Updates made so far. Without it, the model's own optimizer is asked; where that
                has made none, probes are counted.
            state: For JAX, where a loop holds the values: those of `model.trainable_variables` and
                of `model.non_trainable_variables`, as `stateless_call` takes them. They are
                assigned to the model, which keeps them; after a repair, take them from it.

        Raises:
            TypeError: `model` is no Keras model.
            ValueError: `state` does not fit the model, or `step` is no whole number.
            DataError: As from `check`.
            ProbeError: As from `check`.
            DriftError: With `on_drift="raise"`.

        Example:
            TensorFlow::

                watcher = InitCheck("logs")
                for n, (x, y) in enumerate(dataset):
                    if n % 100 == 0:
                        watcher.probe(model, x, y, step=n)
                    with tf.GradientTape() as tape:
                        loss = loss_fn(y, model(x, training=True))
                    gradients = tape.gradient(loss, model.trainable_variables)
                    optimizer.apply(gradients, model.trainable_variables)

            JAX, where the values live outside of the model::

                watcher.probe(model, x, y, step=n, state=(trainable, non_trainable))
                (loss, non_trainable), gradients = jax.value_and_grad(compute_loss,
                has_aux=True)(trainable, non_trainable, x, y) trainable, slots =
                optimizer.stateless_apply(slots, gradients, trainable)

            torch::

                watcher.probe(model, x, y, step=n)
                optimizer.zero_grad()
                loss_fn(model(x), y).backward()
                optimizer.step()
        """
        watch = self._watch_of(
            next((part for part in self._parts if part.model is model), Part(model))
        )
        self._watches = [other for other in self._watches if other is not watch] + [watch]
        if state is not None:
            assign_state(model, state)
        x, y, sample_weight = whole((x, y, sample_weight))
        step = None if step is None else as_step(step)
        return watch.probe(
            _whole_batch(x, y, sample_weight),
            step,
            f"first batch of {type(x).__name__}" if yields_batches(x) else "loop",
        )

    def close(self) -> None:
        """Ends the log. A later probe begins a new run."""
        self._finish()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy of the callback has: its arguments, and nothing of the trainings that this
        one has seen.
        """
        return {**self.__dict__, "_watches": [], "_restore": _nothing, "_is_waiting": False}

    def __enter__(self) -> "InitCheck":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Probes given data, or arranges that the first batch of the fit is probed before the first
        update.
        """
        self._finish()  # a training that was aborted had no end
        self._watches = [
            self._watch_of(part) for part in self._parts or (Part(self.model, data=self.data),)
        ]
        self._pace = Pace(
            self.settings.every,
            int(self.model.steps_per_execution),
            (self.params or {}).get("steps"),
        )
        for watch in self._watches:
            watch.begin()
            watch.guarded(partial(self._begin, watch))
        self._is_waiting = any(watch.part.data is None for watch in self._watches)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Arranges that the first batch is probed, and probes every `update_freq` batches, before
        the next one.
        """
        self._pace.before_execution()
        if self._is_waiting:
            self._is_waiting = False
            self._watches[0].guarded(self._intercept)
        elif self._pace.is_due:
            self._probe_again()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes where `update_freq` says so, and adds the latest values to `logs`."""
        self._pace.after_epoch(self._has_found_nothing())
        for watch in self._watches:
            watch.guarded(partial(self._require_batch, watch))
        with_histograms = self.settings.wants_histograms(epoch + 1)
        if with_histograms or self._pace.is_due or self.settings.every is None:
            self._probe_again(with_histograms)
        if logs is not None:
            for watch in self._watches:
                logs.update(_values(watch))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log."""
        self._finish()

    def _watch_of(self, part: Part) -> Watch:
        known = next((watch for watch in self._watches if watch.part.is_same(part)), None)
        return known or Watch(part, self.settings, self.log_dir)

    def _begin(self, watch: Watch) -> None:
        self._first_step = steps_taken(self.model)
        data = watch.part.data
        if data is not None:
            watch.probe_first(
                take_batch(*data) if isinstance(data, tuple) else take_batch(data),
                self._step(),
                "data of InitCheck",
            )

    def _intercept(self) -> None:
        """As late as can be: whatever ends the training before its first step leaves the model as
        it was.
        """
        self._restore = intercept_first_batch(self.model, self._use, self._give_up)

    def _use(self, batch: Batch) -> None:
        def probe() -> None:
            tensors = (
                None if part is None else keras.tree.map_structure(_as_tensor, part)
                for part in batch
            )
            self._watches[0].probe_first(Batch(*tensors), self._step(), "first batch of fit")

        self._watches[0].guarded(probe)

    def _give_up(self, error: Exception) -> None:
        self._watches[0].step_aside(
            f"the first batch could not be taken off this fit ({type(error).__name__}: {error})."
            " Pass one: InitCheck(data=(x, y))"
        )

    def _probe_again(self, with_histograms: bool = False) -> None:
        self._pace.probed()
        for watch in self._watches:
            watch.guarded(partial(self._probe_later, watch, with_histograms))

    def _probe_later(self, watch: Watch, with_histograms: bool) -> None:
        if hasattr(
            self.model, "jax_state_sync"
        ):  # `fit` keeps the values outside of the model, and takes them from it again after this
            self.model.jax_state_sync()
        watch.probe_again(self._step(), with_histograms)

    def _require_batch(self, watch: Watch) -> None:
        if watch.batch is None:
            self._finish()
            watch.step_aside(NO_BATCH)

    def _step(self) -> int:
        """Updates made so far. A `train_step` of the user's own may use other optimizers than the
        model's: its steps are counted.
        """
        is_own = type(self.model).train_step is not keras.Model.train_step
        return self._first_step + self._pace.taken if is_own else steps_taken(self.model)

    def _has_found_nothing(self) -> bool:
        """Where the number of batches is not known, TensorFlow's and JAX's first epoch ends with an
        execution that finds none.
        """
        is_unknown = (self.params or {}).get("steps") is None and not self._pace.epochs
        is_asked_for = keras.backend.backend() != "torch" and running_fit(self.model) is not None
        return is_unknown and is_asked_for and not self.model.stop_training

    def _finish(self) -> None:
        self._is_waiting = False
        self._restore()
        self._restore = _nothing
        for watch in self._watches:
            watch.end()


def _repair_options(
    repair: RepairOptions | None, repair_options: Mapping[str, Any] | None
) -> RepairOptions | None:
    if repair is None and not repair_options:
        return None
    shorthand = options_from(repair_options or {})
    return choose_options(repair, shorthand, argument="repair", keywords="`repair_options`")


def _nothing() -> None:
    """Nothing to put back."""


def _as_tensor(leaf: Any) -> Any:
    """A tensor as it is, since `fit` trains with it; an array as `train_on_batch` would convert
    it.
    """
    return leaf if keras.ops.is_tensor(leaf) else to_tensor(leaf)


def _whole_batch(x: Any, y: Any, sample_weight: Any) -> Batch:
    """A batch as it is: `take_batch` cuts arrays as `fit` would."""
    if yields_batches(x):
        return take_batch(x, y, sample_weight)
    return take_batch(x, y, sample_weight, batch_size=max(1, len(keras.tree.flatten(x)[0])))


def _values(watch: Watch) -> dict[str, float]:
    """What `logs` carries: the keys are always the same, because CSVLogger fixes its columns at the
    first epoch.
    """
    if watch.report is None:
        return {}
    prefix = f"initcheck_{watch.part.label}_" if watch.part.label else "initcheck_"
    profile, num_findings = (
        watch.report.profile,
        watch.report.count("warning") + watch.report.count("error"),
    )
    gains = {"forward": profile.log10_forward_gain, "backward": profile.log10_backward_gain}
    found = {
        f"{prefix}log10_{name}_gain": float("nan") if gain is None else gain
        for name, gain in gains.items()
    }
    return {**found, f"{prefix}findings": float(num_findings)}
