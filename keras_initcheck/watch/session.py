"""One training from its begin to its end, as far as the callback is concerned.

A session is made where a training begins and is over where it ends, so that nothing of a training
that was aborted can reach the next one. What outlives it are the probes, whose compiled passes the
next session uses again.
"""

from collections.abc import Iterable
from typing import Any

from keras_initcheck.probe.probe import Probe
from keras_initcheck.watch.parts import Part
from keras_initcheck.watch.settings import Settings
from keras_initcheck.watch.watched_model import WatchedModel

PartProbes = Iterable[tuple[Part, Probe]]


class Session:
    """Probes of one loop of the user's own; `FitSession` adds those of Keras' hooks.

    Args:
        settings: The callback's configuration.
        probes: Probes of an earlier session, to be used again.

    Attributes:
        watched: The watched models, the one that was probed last at the end.
        is_over: Whether the session has ended.
    """

    def __init__(self, settings: Settings, probes: PartProbes = ()) -> None:
        self.watched: list[WatchedModel] = []
        self.is_over: bool = False
        self._settings = settings
        self._probes = tuple(probes)

    @property
    def probes(self) -> list[tuple[Part, Probe]]:
        """The watched models' probes, for the next session."""
        return [(each.part, each.probe) for each in self.watched]

    def watch(self, part: Part) -> WatchedModel:
        """The watched model of a part, which becomes the one that was probed last.

        Raises:
            TypeError: The part's model is not a `keras.Model`.
        """
        known = next((each for each in self.watched if each.part.is_same(part)), None)
        found = known or WatchedModel(part, self._settings, self._probe_of(part))
        self.watched = [each for each in self.watched if each is not found] + [found]
        return found

    def before_batch(self) -> None:
        """The next training step is about to run."""

    def after_epoch(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """An epoch is over.

        Args:
            epoch: Its number, from 0.
            logs: Keras' logs, to which the latest values are added.
        """

    def end(self) -> None:
        """Closes the logs. A second call changes nothing."""
        self.is_over = True
        for each in self.watched:
            each.close()

    def _probe_of(self, part: Part) -> Probe:
        used = next((probe for other, probe in self._probes if other.is_same(part)), None)
        return used or Probe(part.model, seed=self._settings.seed)
