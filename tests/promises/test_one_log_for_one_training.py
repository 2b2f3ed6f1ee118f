"""A training writes one run of the log, whatever is probed in it, and goes on writing where
somebody removes it.
"""

import shutil

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.watch.parts import Part
from keras_initcheck.watch.settings import Settings
from keras_initcheck.watch.watched_model import WatchedModel
from tests.support.faulty_models import compiled, mlp

X, Y = np.random.default_rng(0).standard_normal((32, 64)).astype("float32"), np.arange(32) % 10


def healthy_net():
    keras.utils.set_random_seed(3)
    return compiled(mlp(keras.initializers.HeNormal, depth=2))


def events_of(log):
    events = EventAccumulator(str(log), size_guidance={"tensors": 0})
    events.Reload()
    return events


def steps_in(log, tag="initcheck/findings"):
    return [event.step for event in events_of(log).Tensors(tag)]


def test_probes_after_each_batch_and_histograms_share_a_run(tmp_path):
    check = ic.InitCheck(tmp_path, update_freq=1, histogram_freq=1)
    healthy_net().fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[check])
    assert [path.name for path in tmp_path.iterdir()] == ["initcheck"]
    assert steps_in(tmp_path / "initcheck") == [0, 1, 2, 3, 4, 5, 6]
    histograms = next(
        tag for tag in events_of(tmp_path / "initcheck").Tags()["tensors"] if "weight/" in tag
    )
    assert steps_in(tmp_path / "initcheck", histograms) == [0, 2, 4, 6]


def test_histograms_are_added_to_a_probe_of_the_same_step(tmp_path):
    """An epoch may end at a step that was probed before: with gradient accumulation, or where a
    part is probed.
    """
    model, batch = healthy_net(), take_batch(X, Y)
    settings = Settings(tmp_path, histogram_freq=2)
    watched = WatchedModel(Part(model), settings, Probe(model))
    watched.probe_first(batch, 0)
    for step, with_histograms in [(4, False), (4, True), (4, False), (5, False)]:
        watched.probe_again(step, with_histograms)
    watched.close()
    assert [path.name for path in tmp_path.iterdir()] == ["initcheck"]
    assert steps_in(tmp_path / "initcheck") == [0, 4, 5]
    histograms = next(
        tag for tag in events_of(tmp_path / "initcheck").Tags()["tensors"] if "weight/" in tag
    )
    assert steps_in(tmp_path / "initcheck", histograms) == [0, 4]


def test_a_second_fit_has_a_run_of_its_own(tmp_path):
    model, check = healthy_net(), ic.InitCheck(tmp_path)
    for _ in range(2):
        model.fit(X, Y, batch_size=16, verbose=0, callbacks=[check])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initcheck", "initcheck_2"]


def test_a_log_that_is_removed_is_named_once_and_written_again(tmp_path):
    class Removes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                shutil.rmtree(tmp_path / "logs")

    check = ic.InitCheck(tmp_path / "logs")
    with pytest.warns(
        ic.InitCheckWarning, match="was removed during the training. It is written again"
    ) as told:
        healthy_net().fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[check, Removes()])
    assert [warning.category for warning in told].count(ic.InitCheckWarning) == 1
    assert steps_in(tmp_path / "logs" / "initcheck") == [6]
