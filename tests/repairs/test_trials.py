"""A repair whose candidates are tried: the one that learns best stays, or none."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.repairs.trials import AS_IT_IS

RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
X = np.random.default_rng(0).standard_normal((128, 16)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
STEPS = 30


def net(deviation, rate=0.05):
    keras.utils.set_random_seed(2)

    def initializer():
        return keras.initializers.RandomNormal(stddev=deviation)

    hidden = [keras.layers.Dense(32, "relu", kernel_initializer=initializer()) for _ in range(6)]
    head = keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input((16,)), *hidden, head])
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, run_eagerly=RUNS_EAGERLY)
    return model


def state(model):
    return [to_numpy(each) for each in (*model.variables, *model.optimizer.variables)]


def test_candidate_that_learns_best_stays_and_is_undone_bitwise():
    model = net(0.01)
    before = state(model)
    repair = ic.repair(model, X, Y, trial_steps=STEPS)
    trials = dict(repair.trials)
    assert next(iter(trials)) == AS_IT_IS
    assert set(trials) <= {AS_IT_IS, "auto", "he", "lsuv"}
    assert not trials[AS_IT_IS].learns
    assert repair.applied
    best = repair.message.partition(", `")[2].partition("`")[0]
    assert trials[best].learns
    assert trials[best].end == min(trial.end for trial in trials.values())
    assert "trial, as it is  does not learn" in str(repair)
    assert ic.check(model, X, Y).ok
    repair.undo()
    assert all(map(np.array_equal, before, state(model)))


def test_kept_candidate_trains_as_it_did_in_its_trial():
    model = net(0.01)
    repair = ic.repair(model, X, Y, method="he", trial_steps=STEPS)
    assert repair.applied
    tried = dict(repair.trials)["he"]
    assert ic.trial(model, X, Y, steps=STEPS).losses == tried.losses


def test_none_stays_where_no_candidate_learns_better():
    """At a rate of zero nothing learns."""
    model = net(0.01, rate=0.0)
    before = state(model)
    repair = ic.repair(model, X, Y, trial_steps=STEPS)
    assert not repair.applied
    assert "no repaired model learns better" in repair.message
    assert len(repair.trials) > 1
    assert all(map(np.array_equal, before, state(model)))


def test_every_candidate_sees_the_same_batches():
    """Also those of a generator, which yields each of them once."""
    generator = ((X[start : start + 16], Y[start : start + 16]) for start in range(0, 128, 16))
    repair = ic.repair(net(0.01), generator, trial_steps=STEPS)
    assert repair.applied
    assert len({trial.num_steps for _, trial in repair.trials}) == 1


def test_plan_alone_makes_no_trial():
    assert ic.repair(net(0.01), X, Y, trial_steps=STEPS, dry_run=True).trials == ()


def test_trial_needs_data():
    with pytest.raises(ValueError, match="`trial_steps` must come with data"):
        ic.repair(net(0.01), trial_steps=STEPS)
