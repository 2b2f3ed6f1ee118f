"""The session of a training that calls Keras' hooks: which batch is probed, and when."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from keras_initcheck.probe.data.batch import Batch, take_batch, to_tensor
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.watch.call_stack import running_fit
from keras_initcheck.watch.first_batch import intercept_first_batch
from keras_initcheck.watch.pace import Pace
from keras_initcheck.watch.parts import Part
from keras_initcheck.watch.session import PartProbes, Session
from keras_initcheck.watch.settings import Settings
from keras_initcheck.watch.watched_model import WatchedModel

NO_BATCH = (
    "it saw no batch in this epoch, since neither fit nor train_on_batch took one after"
    " on_train_batch_begin. In a loop of your own call InitCheck(...).probe(model, x, y, step=n),"
    " or pass the batch: InitCheck(data=(x, y))"
)


class FitSession(Session):
    """Probes of one `fit`, or of one loop around `train_on_batch` that calls Keras' hooks.

    Args:
        settings: The callback's configuration.
        probes: Probes of an earlier session, to be used again.
        model: The model that is trained.
        steps_per_epoch: Steps of an epoch, if they are known.
        epochs: Number of epochs, if it is known.
    """

    def __init__(
        self,
        settings: Settings,
        probes: PartProbes,
        model: Any,
        steps_per_epoch: int | None,
        epochs: int | None = None,
    ) -> None:
        super().__init__(settings, probes)
        self._model = model
        self._has_unknown_length = steps_per_epoch is None
        self._pace = Pace(settings.every, int(model.steps_per_execution), steps_per_epoch)
        self._first_step = 0
        self._restore: Callable[[], None] = _nothing
        planned = steps_per_epoch * epochs if steps_per_epoch and epochs else None
        for part in settings.parts or (Part(model, data=settings.data),):
            self.watch(part).planned_steps = planned
        # Named parts bring their data, so only a single watched model can wait for the first batch.
        self._awaits_batch = self.watched[0].part.data is None

    def begin(self) -> None:
        """Probes the models that come with data of their own."""
        for each in self.watched:
            each.guarded(partial(self._probe_given_data, each))

    def before_batch(self) -> None:
        """Arranges that the first batch is probed; later, probes if one is due."""
        self._pace.before_execution()
        if self._awaits_batch:
            # As late as possible: a training that ends before its first step leaves nothing behind.
            self._awaits_batch = False
            self.watched[0].guarded(self._intercept)
        elif self._pace.is_due:
            self._probe_again()

    def after_epoch(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Probes if one is due or histograms are wanted, and adds the latest values to `logs`."""
        self._pace.after_epoch(self._has_found_nothing())
        for each in self.watched:
            each.guarded(partial(self._require_batch, each))
        with_histograms = self._settings.wants_histograms(epoch + 1)
        if with_histograms or self._pace.is_due or self._settings.every is None:
            self._probe_again(with_histograms)
        if logs is not None:
            for each in self.watched:
                logs.update(each.log_values())

    def end(self) -> None:
        """Puts the model's train function back, and closes the logs."""
        self._stop_waiting()
        super().end()

    def _probe_given_data(self, watched: WatchedModel) -> None:
        self._first_step = steps_taken(self._model)
        data = watched.part.data
        if data is not None:
            batch = take_batch(*data) if isinstance(data, tuple) else take_batch(data)
            watched.probe_first(replace(batch, source="data of InitCheck"), self._step())

    def _intercept(self) -> None:
        self._restore = intercept_first_batch(self._model, self._use_batch, self._give_up)

    def _use_batch(self, batch: Batch) -> None:
        def probe() -> None:
            tensors = (
                None if part is None else keras.tree.map_structure(_as_tensor, part)
                for part in batch.parts
            )
            taken = Batch(*tensors, source="first batch of fit")
            self.watched[0].probe_first(taken, self._step())

        self.watched[0].guarded(probe)

    def _give_up(self, error: Exception) -> None:
        self.watched[0].step_aside(
            f"the first batch could not be taken off this fit ({type(error).__name__}: {error})."
            " Pass one: InitCheck(data=(x, y))"
        )

    def _probe_again(self, with_histograms: bool = False) -> None:
        self._pace.mark_probe()
        for each in self.watched:
            each.guarded(partial(self._probe_later, each, with_histograms))

    def _probe_later(self, watched: WatchedModel, with_histograms: bool) -> None:
        # On JAX, `fit` keeps the variables' values outside of the model. It takes them from the
        # model again after this call, so that a repair reaches the training.
        if hasattr(self._model, "jax_state_sync"):
            self._model.jax_state_sync()
        watched.probe_again(self._step(), with_histograms)

    def _require_batch(self, watched: WatchedModel) -> None:
        if watched.batch is None:
            self._stop_waiting()
            watched.step_aside(NO_BATCH)

    def _stop_waiting(self) -> None:
        self._awaits_batch = False
        self._restore()
        self._restore = _nothing

    def _step(self) -> int:
        """Updates made so far.

        A `train_step` of the user's own may use other optimizers than the model's: its steps are
        counted.
        """
        is_own = type(self._model).train_step is not keras.Model.train_step
        if is_own:
            return self._first_step + self._pace.taken
        return steps_taken(self._model)

    def _has_found_nothing(self) -> bool:
        """Whether the epoch's last execution found the data used up.

        TensorFlow and JAX make such an execution at the end of the first epoch of data whose number
        of batches is not known.
        """
        is_first = self._has_unknown_length and not self._pace.epochs
        asks_once_more = keras.backend.backend() != "torch" and running_fit(self._model) is not None
        return is_first and asks_once_more and not self._model.stop_training


def _nothing() -> None:
    """Nothing to put back."""


def _as_tensor(leaf: Any) -> Any:
    """A tensor as it is, since `fit` trains with it; an array as `train_on_batch` converts it."""
    return leaf if keras.ops.is_tensor(leaf) else to_tensor(leaf)
