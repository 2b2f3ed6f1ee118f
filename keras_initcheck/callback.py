"""`InitCheck`, the callback: hands Keras' hooks, and probes of the user's own loops, to a session.

Glue only: `watch/` decides when a model is probed, and what follows from its findings.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import keras

from keras_initcheck.records.report import Report
from keras_initcheck.repairs.options import RepairOptions, callback_options
from keras_initcheck.repairs.repair import Repair
from keras_initcheck.rules.policy import Policy, choose_policy
from keras_initcheck.watch.first_batch import assign_state
from keras_initcheck.watch.fit_session import FitSession
from keras_initcheck.watch.loop_batch import loop_batch
from keras_initcheck.watch.pace import as_step
from keras_initcheck.watch.parts import Part, parts_of
from keras_initcheck.watch.session import Session
from keras_initcheck.watch.settings import Settings


class InitCheck(keras.callbacks.Callback):
    """Probes the model before the first update and then regularly, and logs to TensorBoard.

    The probe takes the first batch of the running `fit`; no batch is lost or reordered, and the
    training stays bitwise the same. If several devices train, it takes the global batch: under a
    `tf.distribute` strategy the replicas' parts are joined and probed on one device; under a
    `keras.distribution` the probe is sharded like the training. One process writes the log. Keras
    does not fit under `MultiWorkerMirroredStrategy`, nor with several steps per execution in a
    graph under `MirroredStrategy`, with or without this callback. At the end of each epoch, `logs`
    holds `initcheck_log10_forward_gain`, `initcheck_log10_backward_gain` and `initcheck_findings`,
    which History and every callback listed after this one (CSVLogger, ReduceLROnPlateau) can read.

    Args:
        log_dir: Directory for TensorBoard; the events go to `<log_dir>/initcheck`. `None` writes
            none.
        data: Another batch to probe: `(x, y)`, `(x, y, sample_weight)`, or an object that yields
            batches.
        on_drift: Reaction to a probe with a warning or an error: `"warn"`, `"raise"` (a
            `DriftError` ends the fit), `"ignore"`, `"repair"` (as `keras_initcheck.repair`, before
            the first update; a warning reports the changes), or a callable that gets the `Report`.
        update_freq: `"epoch"`, or a number of batches between probes. `"auto"` is `"epoch"`.
        histogram_freq: Number of epochs between histograms of activations, weights and their
            gradients; 0 makes none. For `probe`: number of probes.
        parts: The models to probe in place of the trained one, each with data:
            `{"generator": (generator, noise)}`. A part is `(model, x)`, `(model, x, y)` or
            `(model, x, y, sample_weight)`. Each has its own reports, its log in
            `<log_dir>/<name>/initcheck`, and its names in `logs`, such as
            `initcheck_generator_findings`. For models without `call`, as GANs often are.
        per_layer_scalars: Whether every layer gets scalars of its own.
        policy: A `Policy`, in place of the next four arguments.
        select: Codes or slugs of the only rules to apply.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers to judge by, as in `check`.
        exempt: Layers to leave alone, as in `check`.
        seed: Seed of the random gradient that measures backward ratios at the first probe, and of
            the values that a repair draws.
        repair: With `"repair"`: a `RepairOptions`.
        repair_options: The same as a dict: `{"method": "lsuv", "layers": "head/*"}`.
        repair_during_training: With `"repair"`: whether layers that die, saturate or blow up later
            are repaired, too.
        max_repairs: Maximum number of such repairs in a training.
        repair_pause: Number of probes without a repair after each of them.

    Attributes:
        settings: The configuration, frozen.
        report: The latest `Report`, or `None`; of several parts, the last one's.
        first_report: The report before the first update and before any repair, or `None`.
        reports: The latest report of each part, by name.
        repairs: The repairs of the latest training.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: A part is not a Keras model, or `log_dir` not a path.
        DriftError: From `fit`, with `on_drift="raise"`.

    Cost: the first probe traces or compiles a forward and two backward passes; before the first
    update of a training it also makes that update, as `check` does, and takes it back. Each later
    probe takes about as long as a training step, and nothing runs between probes. A probe that
    fails warns once and steps aside; the training goes on.

    Example:
        model.fit(x, y, callbacks=[InitCheck("logs")])

    A `keras.callbacks.CallbackList` around `train_on_batch` works like `fit`; for any other loop of
    your own there is `probe`.
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
        self.settings: Settings = Settings(
            log_dir=log_dir,
            data=data,
            on_drift=on_drift,
            update_freq=update_freq,
            histogram_freq=histogram_freq,
            parts=parts_of(parts, data),
            per_layer_scalars=per_layer_scalars,
            policy=choose_policy(policy, Policy(select, ignore, thresholds, exempt)),
            seed=seed,
            repair=callback_options(repair, repair_options),
            repair_during_training=repair_during_training,
            max_repairs=max_repairs,
            repair_pause=repair_pause,
        )
        self._session = _ended_session(self.settings)

    @property
    def report(self) -> Report | None:
        """The latest report."""
        watched = self._session.watched
        return watched[-1].report if watched else None

    @property
    def first_report(self) -> Report | None:
        """The report before the first update and before any repair, of the latest probed model."""
        watched = self._session.watched
        return watched[-1].first_report if watched else None

    @property
    def reports(self) -> dict[str, Report]:
        """The latest report of each model, by the name of its part or, without parts, its own."""
        return {
            each.part.label or each.part.model.name: each.report
            for each in self._session.watched
            if each.report is not None
        }

    @property
    def repairs(self) -> Sequence[Repair]:
        """The repairs of the latest training."""
        return tuple(done for each in self._session.watched for done in each.repairs)

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
        """Probes a model in a loop of your own, logs, reacts to drift, and returns the report.

        The first probe of a model is exact, as `check` is; later ones are fast, and compiled once
        for each shape of batch. All probes of a model go to one run of the log. `close` ends it,
        and so does leaving a `with InitCheck(...) as watcher` block.

        Args:
            model: A `keras.Model`. If it is not compiled, it has no loss, and a random gradient is
                sent back instead.
            x: A batch of inputs, used whole, or an object that yields batches. A strategy's batch
                is joined from its replicas' parts.
            y: The batch's labels.
            sample_weight: The batch's weights.
            step: Updates made so far. If omitted, the model's own optimizer is asked, and if that
                has made none, probes are counted.
            state: For JAX, if your loop holds the values: those of `model.trainable_variables` and
                of `model.non_trainable_variables`, as `stateless_call` takes them. They are
                assigned to the model, which keeps them; after a repair, take them from it.

        Raises:
            TypeError: `model` is not a Keras model.
            ValueError: `state` does not fit the model, or `step` is not a whole number.
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

            JAX, whose values live outside of the model::

                gradient = jax.value_and_grad(compute_loss, has_aux=True)
                watcher.probe(model, x, y, step=n, state=(trainable, others))
                (loss, others), gradients = gradient(trainable, others, x, y)
                trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)

            torch::

                watcher.probe(model, x, y, step=n)
                optimizer.zero_grad()
                loss_fn(model(x), y).backward()
                optimizer.step()
        """
        session = self._session
        if session.is_over:
            session = Session(self.settings, session.probes)
        parts = (part for part in self.settings.parts if part.model is model)
        watched = session.watch(next(parts, Part(model)))
        if state is not None:
            assign_state(model, state)
        batch = loop_batch(x, y, sample_weight)
        number = None if step is None else as_step(step)
        self._session = session  # not before all arguments have proved valid
        return watched.probe_in_loop(batch, number)

    def close(self) -> None:
        """Ends the log. A later probe begins a new run."""
        self._session.end()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the arguments of the callback, and nothing of its trainings."""
        return {**self.__dict__, "_session": _ended_session(self.settings)}

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
        """Probes given data, or arranges that the first batch is probed before the first update."""
        self._session.end()  # an aborted training did not come to its end
        plan = self.params or {}
        steps, epochs = plan.get("steps"), plan.get("epochs")
        session = FitSession(self.settings, self._session.probes, self.model, steps, epochs)
        self._session = session
        session.begin()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes every `update_freq` batches, before the next one."""
        self._session.before_batch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes if `update_freq` asks for it, and adds the latest values to `logs`."""
        self._session.after_epoch(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log."""
        self._session.end()


def _ended_session(settings: Settings) -> Session:
    session = Session(settings)
    session.end()
    return session
