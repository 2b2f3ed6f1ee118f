"""Rules on a trial, and what it adds to the findings of others."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.records.trial import Trial
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.trial import Diverges, DoesNotLearn, told
from tests.support.profiles import findings_of

LEARNS = Trial(
    "net",
    "learns",
    "the loss fell from 2.40 to 1.10 in 3 steps",
    (("loss", (2.4, 1.7, 1.1)),),
    "loss",
    optimizer="SGD",
    start=2.4,
    end=1.1,
)
STAYS = replace(LEARNS, verdict="does not learn", reason="the loss did not fall", end=2.4)
RUNS_AWAY = replace(LEARNS, verdict="diverges", reason="the loss rose")


def of(verdict):
    return replace(LEARNS, verdict=verdict)


@pytest.mark.parametrize("verdict", ["learns", "learns slowly", "undecided"])
def test_other_verdicts_are_silent(healthy, verdict):
    assert judge(healthy.with_changes(trial=of(verdict))).findings == ()


def test_network_that_does_not_learn_is_reported(healthy):
    (finding,) = judge(healthy.with_changes(trial=STAYS)).findings
    assert (finding.code, finding.severity) == ("IC605", "warning")
    assert finding.message == "In a trial of 3 steps with SGD, the loss did not fall."


def test_model_that_was_trained_before_may_have_learned_all(healthy):
    assert not findings_of(DoesNotLearn(), healthy.with_changes(trial=STAYS, step=100))
    assert findings_of(Diverges(), healthy.with_changes(trial=RUNS_AWAY, step=100))


@pytest.mark.parametrize(("last", "severity"), [(9.0, "warning"), (math.nan, "error")])
def test_loss_that_runs_away_is_as_severe_as_its_end(healthy, last, severity):
    trial = replace(RUNS_AWAY, curves=(("loss", (2.4, 5.0, last)),))
    (finding,) = judge(healthy.with_changes(trial=trial)).findings
    assert (finding.code, finding.severity) == ("IC606", severity)


def test_consequence_of_another_finding_is_information(healthy, broken):
    ill = healthy.with_changes(inputs=(("x", broken),), trial=STAYS)
    severities = {finding.code: finding.severity for finding in judge(ill).findings}
    assert severities["IC401"] == "error"
    assert severities["IC605"] == "info"


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (LEARNS, "A trial of 3 steps contradicts it: the loss fell from 2.40 to 1.10 in 3 steps."),
        (STAYS, "A trial of 3 steps confirms it: the loss did not fall."),
    ],
    ids=["contradicted", "confirmed"],
)
def test_warning_says_what_the_trial_shows(healthy, broken, trial, words):
    report = judge(healthy.with_changes(inputs=(("x", broken),), trial=trial))
    assert report.findings[0].message.endswith(words)
    assert report.findings[0].severity == "error"


@pytest.mark.parametrize("trial", [None, of("undecided")], ids=["none", "undecided"])
def test_no_trial_and_no_verdict_say_nothing(healthy, broken, trial):
    (finding, *_) = judge(healthy.with_changes(inputs=(("x", broken),))).findings
    assert told(finding, trial) is finding


RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
X = np.random.default_rng(0).standard_normal((256, 8)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def checked(rate, *hidden, **options):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(16, "tanh"), *hidden, keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    optimizer = keras.optimizers.SGD(rate)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, run_eagerly=RUNS_EAGERLY)
    return ic.check(model, X, Y, **{"trial_steps": 40, **options})


def test_healthy_network_learns_and_has_no_findings():
    report = checked(0.5)
    assert report.trial.verdict == "learns"
    assert report.trial.guessing_loss == pytest.approx(math.log(2), rel=0.01)  # of its own labels
    assert report.ok
    assert "Trial of 40 steps: Learns: the loss fell from" in str(report)
    assert report.trial == ic.Report.from_json(report.to_json()).trial


def test_rate_that_is_too_small_is_told_by_name():
    """Whatever the noise of the batches: the updates themselves are measured."""
    report = checked(1e-9, first_step=False)
    assert report.findings[0].code == "IC605"
    assert "an update moves the weights by" in report.findings[0].message


@pytest.mark.parametrize("steps", [0, 2.5])
def test_number_of_steps_is_positive(steps):
    with pytest.raises(ValueError, match="`trial_steps` must be a positive integer"):
        checked(0.5, trial_steps=steps)


def test_trial_needs_data():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`trial_steps` must come with data"):
        ic.check(model, trial_steps=5)


class Stumbling(keras.Model):
    """Fails in training alone."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(2, "softmax")

    def call(self, x):
        return self.head(x)

    def train_step(self, *arguments):
        raise RuntimeError("stumbled")


def test_step_that_fails_leaves_the_rest_of_the_report():
    model = Stumbling()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=RUNS_EAGERLY)
    report = ic.check(model, X, Y, trial_steps=2)
    assert report.trial is None
    assert "stumbled" in dict(report.profile.not_probed)["trial"]
