"""One callback through fits, compiles, freezes, aborts and probes in any order.

A model of the callback's contract walks along: it knows the steps, the loss, the trained layers and
the runs of the log that each training must leave behind.
"""

import copy
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import keras_initcheck as ic

pytestmark = pytest.mark.backend("torch")  # the others trace each step anew; they walk one path

LAYERS = ("first", "second", "last")
BATCH = 8
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((16, 6)).astype("float32")
Y = 10 + GENERATOR.standard_normal((16, 2)).astype("float32")
LOSSES = {
    "mse": lambda difference: np.mean(difference**2),
    "mae": lambda difference: np.mean(np.abs(difference)),
}


class Aborting(keras.callbacks.Callback):
    """Raises in one of Keras' hooks."""

    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, self.abort)

    def abort(self, *args, **kwargs):
        raise KeyError("aborted")


class Trainings(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        keras.utils.set_random_seed(3)
        dense = [keras.layers.Dense(8, "tanh", name=name) for name in LAYERS[:2]]
        self.model = keras.Sequential(
            [keras.Input((6,)), *dense, keras.layers.Dense(2, name="last")]
        )
        self.directory = tempfile.TemporaryDirectory()
        self.check = ic.InitCheck(self.directory.name, on_drift="ignore", update_freq=1)
        self.runs = 0
        self.trained = set(LAYERS)
        self.compile("mse")

    def teardown(self):
        self.check.close()
        self.directory.cleanup()

    @property
    def steps(self):
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations.value))

    @property
    def loss_by_hand(self):
        predicted = keras.ops.convert_to_numpy(self.model(X[:BATCH])).astype("float64")
        return LOSSES[self.loss](predicted - Y[:BATCH])

    def fit(self, epochs=1, others=()):
        arguments = {"batch_size": BATCH, "shuffle": False, "epochs": epochs, "verbose": 0}
        self.model.fit(X, Y, callbacks=[self.check, *others], **arguments)

    @rule(loss=st.sampled_from(sorted(LOSSES)))
    def compile(self, loss):
        self.loss = loss
        self.model.compile(keras.optimizers.SGD(1e-3), loss)

    @rule(name=st.sampled_from(LAYERS[:2]))
    def freeze_or_thaw(self, name):
        self.trained ^= {name}
        self.model.get_layer(name).trainable = name in self.trained
        self.compile(self.loss)  # Keras ties an optimizer to the variables that it has seen

    @rule(epochs=st.integers(1, 2))
    def fit_is_probed_from_its_first_batch_to_its_end(self, epochs):
        before, loss = self.steps, self.loss_by_hand
        self.fit(epochs)
        self.runs += 1
        first, last = self.check.first_report.profile, self.check.report.profile
        assert (first.step, last.step) == (before, before + 2 * epochs)
        assert first.loss == pytest.approx(loss, rel=1e-4)
        assert last.loss == pytest.approx(self.loss_by_hand, rel=1e-4)
        for profile in (first, last):
            with_gradient = {
                weight.layer for weight in profile.weights if weight.gradient is not None
            }
            assert with_gradient == self.trained

    @rule(hook=st.sampled_from(["on_train_begin", "on_epoch_begin", "on_train_batch_begin"]))
    def fit_that_is_aborted_before_its_first_step_has_no_report(self, hook):
        with pytest.raises(KeyError, match="aborted"):
            self.fit(others=[Aborting(hook)])
        assert (self.check.report, self.check.first_report, self.check.reports) == (None, None, {})

    @rule()
    def fit_that_is_aborted_after_it_keeps_its_reports(self):
        before = self.steps
        with pytest.raises(KeyError, match="aborted"):
            self.fit(others=[Aborting("on_train_batch_end")])
        self.runs += 1
        assert self.check.report is self.check.first_report
        assert self.check.report.profile.step == before

    @rule()
    def other_fit_is_left_alone(self):
        report = self.check.report
        self.model.fit(X, Y, batch_size=BATCH, verbose=0)
        assert self.check.report is report

    @rule()
    def closed_callback_begins_a_run_of_its_own_in_a_loop(self):
        self.check.close()
        reports = [self.check.probe(self.model, X[:BATCH], Y[:BATCH]) for _ in range(2)]
        self.check.close()
        self.runs += 1
        assert reports == [self.check.first_report, self.check.report]
        assert reports[1].profile.loss == pytest.approx(self.loss_by_hand, rel=1e-4)

    @precondition(lambda self: self.check.report is not None)
    @rule()
    def copy_begins_anew(self):
        self.check.close()
        self.check = copy.deepcopy(self.check)
        assert self.check.report is None and self.check.repairs == ()

    @invariant()
    def each_training_with_a_probe_has_one_run_of_the_log(self):
        assert len(list(Path(self.directory.name).iterdir())) == self.runs


TestTrainings = Trainings.TestCase
TestTrainings.settings = settings(
    max_examples=8, stateful_step_count=7, deadline=None, derandomize=True
)
