"""A model without `call`, as GANs and autoencoders often are, is watched through its parts."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_initcheck as ic
from keras_initcheck.watch.parts import parts_of
from tests.support.faulty_models import mlp, normal

X = np.random.default_rng(0).standard_normal((32, 64)).astype("float32")
JAX = keras.backend.backend() == "jax"


class Pair(keras.Model):
    """Two models and a `train_step` that only computes, on every backend."""

    def __init__(self, first, second):
        super().__init__(name="pair")
        self.first = first
        self.second = second
        self.built = True

    def train_step(self, *arguments):
        *state, data = arguments
        logs = {
            "loss": keras.ops.mean(
                keras.ops.ones_like(data[0] if isinstance(data, tuple) else data)
            )
        }
        return (logs, *state) if JAX else logs


def pair(initializer=keras.initializers.HeNormal):
    keras.utils.set_random_seed(3)
    model = Pair(mlp(initializer, depth=2), mlp(initializer, depth=3))
    model.compile("sgd")
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    return model


def steps_in(log):
    events = EventAccumulator(str(log), size_guidance={"tensors": 0})
    events.Reload()
    return [event.step for event in events.Tensors("initcheck/findings")]


def test_each_part_has_reports_names_in_the_logs_and_a_run(tmp_path):
    model = pair()
    check = ic.InitCheck(
        tmp_path,
        update_freq=2,
        parts={"first": (model.first, X), "../second": (model.second, X[:7])},
    )
    history = model.fit(X, batch_size=8, epochs=2, verbose=0, callbacks=[check]).history
    assert {label: report.profile.batch_size for label, report in check.reports.items()} == {
        "first": 32,
        "../second": 7,
    }
    assert (
        history["initcheck_first_findings"] == history["initcheck_../second_findings"] == [0.0, 0.0]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_second", "first"]
    # The pair's own optimizer never steps, so that its batches are counted.
    assert (
        steps_in(tmp_path / "first" / "initcheck")
        == steps_in(tmp_path / "_second" / "initcheck")
        == [0, 2, 4, 6, 8]
    )


def test_drift_of_a_part_ends_the_fit_with_its_name():
    model = pair(normal(1.0))
    check = ic.InitCheck(None, on_drift="raise", parts={"second": (model.second, X)})
    with pytest.raises(ic.DriftError, match=f"{model.second.name}, before step 1"):
        model.fit(X, verbose=0, callbacks=[check])


def test_a_part_in_a_loop_goes_to_its_own_log(tmp_path):
    model = pair()
    watcher = ic.InitCheck(tmp_path, parts={"first": (model.first, X)})
    watcher.probe(model.first, X)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    assert list(watcher.reports) == ["first"]


def test_parts_that_optimizers_of_the_models_own_have_trained_are_not_repaired():
    model = pair(normal(1.0))
    model.second_optimizer = keras.optimizers.SGD()
    model.second_optimizer.build(model.second.trainable_variables)
    model.second_optimizer.iterations.assign(7)
    check = ic.InitCheck(None, on_drift="repair", parts={"second": (model.second, X)})
    with pytest.warns(ic.InitCheckWarning, match="Not repaired: the model was trained before"):
        model.fit(X, verbose=0, callbacks=[check])
    assert check.first_report.profile.step == 7


def test_without_parts_the_fit_goes_on_and_the_way_out_is_named():
    model = pair()
    names = f"InitCheck\\(parts={{'{model.first.name}': .*, '{model.second.name}': "
    with pytest.warns(ic.InitCheckWarning, match=f"steps aside.* must have a `call`.*{names}"):
        history = model.fit(X, verbose=0, callbacks=[ic.InitCheck(None)])
    assert "loss" in history.history


def test_check_names_the_parts():
    with pytest.raises(
        ic.ProbeError,
        match=(
            r"'pair', whose Pair has none. Probe its parts: keras_initcheck.check\(part, inputs\)"
        ),
    ):
        ic.check(pair(), X)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({}, ValueError, "`parts` must be a dict such as"),
        ({"a": mlp(normal(1.0), 1)}, ValueError, r"`parts` must map names to \(model, x\)"),
        ({"": (mlp(normal(1.0), 1), X)}, ValueError, r"`parts` must map names to \(model, x\)"),
        ({"a": (mlp(normal(1.0), 1),)}, ValueError, "tuple of length 1"),
        (
            {"a": (keras.layers.Dense(2), X)},
            TypeError,
            r"A part must begin with a keras\.Model. Received: 'a': Dense",
        ),
    ],
    ids=["none", "no tuple", "no name", "no data", "no model"],
)
def test_wrong_parts_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        ic.InitCheck(parts=parts)


def test_parts_and_data_exclude_each_other():
    with pytest.raises(ValueError, match="`data` must be left out where there are `parts`"):
        ic.InitCheck(data=X, parts={"a": (mlp(normal(1.0), 1), X)})


def test_names_become_directories_of_their_own():
    model = mlp(normal(1.0), 1)
    labels = ["a/b", "a_b", "A_B", "..", "Müller 1", "x" * 300]
    names = [part.directory for part in parts_of({label: (model, X) for label in labels}, None)]
    assert names[:5] == ["a_b", "a_b_2", "A_B_3", "part", "Müller_1"]
    assert len(names[5]) == 100


def test_part_may_be_frozen_while_another_one_trains():
    model = pair()
    model.second.compile("sgd", "mse")
    model.second.trainable = False
    check = ic.InitCheck(parts={"first": (model.first, X), "second": (model.second, X)})
    model.fit(X, batch_size=8, verbose=0, callbacks=[check])
    assert "IC308" in {finding.code for finding in ic.check(model.second, X).findings}
    assert "IC308" not in {finding.code for finding in check.reports["second"].findings}
