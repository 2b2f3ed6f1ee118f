"""`InitCheck` inside real fits."""

import csv
import importlib.util
import re

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_initcheck as ic
from keras_initcheck.probe.probe import Probe

BACKEND = keras.backend.backend()
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


def arrays(samples=70):
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, 6)).astype("float32"), generator.integers(
        0, 3, samples
    )


def small_net(initializer="he_normal", steps_per_execution=1, depth=2, is_traced=False):
    """Dropout and batch normalization, so that seeds and moving statistics would show a probe that
    left a trace.

    On TensorFlow a train step takes seconds to trace, which only the tests of bitwise equality
    need.
    """
    keras.utils.set_random_seed(7)
    hidden = [keras.layers.Dense(8, "relu", kernel_initializer=initializer) for _ in range(depth)]
    extra = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((6,)), *hidden, *extra, keras.layers.Dense(3, "softmax")])
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    model.run_eagerly = not is_traced and BACKEND == "tensorflow"
    return model


def exploding_net():
    keras.utils.set_random_seed(7)
    initializer = keras.initializers.RandomNormal(stddev=3.0)
    hidden = [keras.layers.Dense(64, "relu", kernel_initializer=initializer) for _ in range(4)]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=BACKEND == "tensorflow")
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.x, self.y = arrays()

    def __len__(self):
        return 7

    def __getitem__(self, index):
        part = slice(10 * index, 10 * index + 10)
        return self.x[part], self.y[part]


def from_arrays():
    x, y = arrays()
    return {"x": x, "y": y, "batch_size": 16}


def from_weighted_arrays():
    x, y = arrays()
    return {"x": x, "y": y, "batch_size": 16, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}


def from_py_dataset():
    return {"x": Batches()}


def from_generator():
    x, y = arrays()

    def batches():
        while True:
            for start in range(0, 70, 10):
                yield x[start : start + 10], y[start : start + 10]

    return {"x": batches(), "steps_per_epoch": 7, "shuffle": False}


def from_tf_data():
    import tensorflow as tf

    return {
        "x": tf.data.Dataset.from_tensor_slices(arrays()).shuffle(70, seed=3).batch(16),
        "shuffle": False,
    }


def from_data_loader():
    import torch

    x, y = arrays()
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    return {
        "x": torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True),
        "shuffle": False,
    }


SOURCES = [from_arrays, from_weighted_arrays, from_py_dataset, from_generator]
if HAS_TENSORFLOW:
    SOURCES.append(from_tf_data)
if BACKEND == "torch":
    SOURCES.append(from_data_loader)


def trained(make_data, callbacks, steps_per_execution=1):
    model = small_net(steps_per_execution=steps_per_execution, is_traced=True)
    model.fit(**make_data(), epochs=2, verbose=0, callbacks=callbacks)
    return [
        keras.ops.convert_to_numpy(variable.value)
        for variable in [*model.variables, *model.optimizer.variables]
    ]


@pytest.mark.parametrize("make_data", SOURCES, ids=lambda source: source.__name__)
def test_training_is_bitwise_what_it_is_without_the_callback(make_data, tmp_path):
    check = ic.InitCheck(tmp_path, update_freq=3, histogram_freq=1)
    for plain, probed in zip(trained(make_data, []), trained(make_data, [check]), strict=True):
        np.testing.assert_array_equal(plain, probed)
    assert check.first_report is not None


@pytest.mark.skipif(
    BACKEND == "torch", reason="Keras' torch trainer takes one step per execution only"
)
@pytest.mark.parametrize(
    "make_data", [from_arrays, from_py_dataset], ids=lambda source: source.__name__
)
def test_no_batch_is_lost_with_several_steps_per_execution(make_data):
    for plain, probed in zip(
        trained(make_data, [], 3), trained(make_data, [ic.InitCheck(None)], 3), strict=True
    ):
        np.testing.assert_array_equal(plain, probed)


def test_the_batch_is_the_first_of_the_fit():
    model, check = small_net(), ic.InitCheck(None)
    model.fit(x=Batches(), shuffle=False, verbose=0, callbacks=[check])
    mean = arrays()[0][:10].mean()
    _, moments = check.first_report.profile.inputs[0]
    assert moments.mean == pytest.approx(mean, rel=1e-5)
    assert check.first_report.profile.step == 0
    assert check.first_report.profile.batch_size == 10


def test_values_reach_history_and_csv(tmp_path):
    x, y = arrays()
    path = tmp_path / "log.csv"
    history = (
        small_net()
        .fit(
            x,
            y,
            epochs=2,
            verbose=0,
            callbacks=[ic.InitCheck(None), keras.callbacks.CSVLogger(path)],
        )
        .history
    )
    assert history["initcheck_findings"] == [0.0, 0.0]
    assert len(history["initcheck_log10_forward_gain"]) == 2
    assert history["initcheck_log10_forward_gain"][0] != history["initcheck_log10_forward_gain"][1]
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert float(rows[1]["initcheck_log10_backward_gain"]) == pytest.approx(
        history["initcheck_log10_backward_gain"][1]
    )


def steps_in(log):
    events = EventAccumulator(str(log), size_guidance={"tensors": 0})
    events.Reload()
    return [event.step for event in events.Tensors("initcheck/findings")]


@pytest.mark.parametrize(("every", "steps"), [(3, [0, 3, 6]), (4, [0, 4, 8]), (8, [0, 8])])
def test_probes_come_every_so_many_batches(every, steps, tmp_path):
    x, y = arrays(80)
    small_net().fit(
        x,
        y,
        batch_size=10,
        epochs=1,
        verbose=0,
        callbacks=[ic.InitCheck(tmp_path, update_freq=every)],
    )
    assert steps_in(tmp_path / "initcheck") == steps


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_batches_of_a_generator_without_length_are_counted(tmp_path):
    """TensorFlow and JAX ask for one batch more than there are, which no step is made of."""
    x, y = arrays(80)
    batches = ((x[start : start + 10], y[start : start + 10]) for start in range(0, 80, 10))
    small_net().fit(
        batches,
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=[ic.InitCheck(tmp_path, update_freq=3)],
    )
    assert steps_in(tmp_path / "initcheck") == [0, 3, 6]


def test_epochs_are_the_default_frequency(tmp_path):
    x, y = arrays(80)
    small_net().fit(x, y, batch_size=10, epochs=2, verbose=0, callbacks=[ic.InitCheck(tmp_path)])
    assert steps_in(tmp_path / "initcheck") == [0, 8, 16]


def test_drift_warns_once_and_names_the_layer():
    x, y = arrays()
    with pytest.warns(ic.InitCheckWarning, match="forward-gain") as caught:
        exploding_net().fit(
            x, y, epochs=2, verbose=0, callbacks=[ic.InitCheck(None, select=["forward-gain"])]
        )
    assert [warning.category for warning in caught].count(ic.InitCheckWarning) == 1
    said = r"The signal explodes: .* times stronger from `dense(_\d+)?` to `dense_\d+`"
    assert any(re.search(said, str(warning.message)) for warning in caught)


def test_drift_can_end_the_fit_before_the_first_update():
    model = exploding_net()
    before = [keras.ops.convert_to_numpy(variable.value) for variable in model.variables]
    x, y = arrays()
    with pytest.raises(ic.DriftError, match="forward-gain") as caught:
        model.fit(x, y, verbose=0, callbacks=[ic.InitCheck(None, on_drift="raise")])
    assert not caught.value.report.ok
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable.value))


def test_drift_can_be_ignored():
    x, y = arrays()
    check = ic.InitCheck(None, on_drift="ignore")
    exploding_net().fit(x, y, verbose=0, callbacks=[check])
    assert not check.first_report.ok


@pytest.mark.parametrize(
    "choices",
    [
        {"thresholds": {f"sgd_gain_{severity}": 1e3 for severity in ("warning", "error")}},
        {"exempt": {"*": ["IC102", "IC103"]}},
    ],
    ids=["thresholds", "exempt"],
)
def test_drift_is_what_the_user_calls_so(choices):
    x, y = arrays()
    check = ic.InitCheck(
        None, on_drift="raise", select=["forward-gain", "backward-gain"], **choices
    )
    exploding_net().fit(x, y, verbose=0, callbacks=[check])
    assert check.first_report.ok


def test_drift_goes_to_a_callable():
    reports = []
    x, y = arrays()
    exploding_net().fit(x, y, verbose=0, callbacks=[ic.InitCheck(None, on_drift=reports.append)])
    assert not reports[0].ok
    assert isinstance(reports[0], ic.Report)


def test_an_exception_of_the_callable_reaches_the_user():
    def stop(report):
        raise KeyError("stop here")

    x, y = arrays()
    with pytest.raises(KeyError, match="stop here"):
        exploding_net().fit(x, y, verbose=0, callbacks=[ic.InitCheck(None, on_drift=stop)])


def test_a_failing_probe_warns_once_and_training_goes_on(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no memory")

    monkeypatch.setattr(Probe, "measure", fail)
    x, y = arrays()
    with pytest.warns(ic.InitCheckWarning, match="steps aside.*no memory") as caught:
        history = small_net().fit(
            x, y, epochs=2, verbose=0, callbacks=[ic.InitCheck(None, update_freq=1)]
        )
    assert [warning.category for warning in caught].count(ic.InitCheckWarning) == 1
    assert len(history.history["loss"]) == 2


def test_a_log_that_cannot_be_written_does_not_end_the_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    x, y = arrays()
    with pytest.warns(ic.InitCheckWarning, match="steps aside"):
        history = small_net().fit(x, y, verbose=0, callbacks=[ic.InitCheck(blocked)])
    assert "loss" in history.history


def test_given_data_are_probed_instead():
    x, y = arrays()
    check = ic.InitCheck(None, data=(x[:5], y[:5]))
    small_net().fit(x, y, verbose=0, callbacks=[check])
    assert check.first_report.profile.batch_size == 5


def test_a_second_fit_is_probed_again(tmp_path):
    model, check = small_net(), ic.InitCheck(tmp_path)
    x, y = arrays(80)
    model.fit(x, y, batch_size=10, verbose=0, callbacks=[check])
    model.fit(x, y, batch_size=10, verbose=0, callbacks=[check])
    assert check.first_report.profile.step == 8
    assert check.report.profile.step == 16


def test_train_function_is_put_back():
    model = small_net()
    x, y = arrays()
    model.fit(x, y, verbose=0)
    original = model.train_function
    model.fit(x, y, verbose=0, callbacks=[ic.InitCheck(None)])
    assert model.train_function is original


def test_histograms_are_made_when_asked_for(tmp_path):
    x, y = arrays()
    check = ic.InitCheck(tmp_path, histogram_freq=1)
    small_net().fit(x, y, verbose=0, callbacks=[check])
    kinds = {tag.split("/")[0] for tag, _ in check.report.profile.histograms}
    assert kinds == {"activation", "activation gradient", "weight", "weight gradient"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repair_during_training": True}, 'need on_drift="repair"'),
        ({"on_drift": "repair", "repair_options": {"methode": "he"}}, "`repair_options` may hold"),
        ({"on_drift": "repair", "repair_options": {"method": "xavier"}}, "`method` must be one of"),
        ({"on_drift": "explode"}, "`on_drift` must be one of"),
        ({"update_freq": 0}, "`update_freq` must be"),
        ({"update_freq": "batch"}, "`update_freq` must be"),
        ({"histogram_freq": -1}, "`histogram_freq` must be"),
        ({"on_drift": np.zeros(3)}, "`on_drift` must be one of"),
        ({"parts": [("a", None)]}, "`parts` must be a dict such as"),
        ({"parts": {}}, "`parts` must be a dict such as"),
        (
            {"data": (np.zeros(3),), "parts": {"a": (None, None)}},
            "`data` must be left out where there are `parts`",
        ),
        ({"select": ["IC999"]}, "`select` must name rules"),
        ({"thresholds": {"nope": 1.0}}, "`thresholds` must name known thresholds"),
        ({"exempt": {"dense": ["IC999"]}}, "`exempt` must name rules"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ic.InitCheck(**arguments)


def test_a_log_dir_that_is_no_path_is_refused_at_once():
    with pytest.raises(
        TypeError, match=r"`log_dir` must be a path or None\. Received: one of type Sequential"
    ):
        ic.InitCheck(small_net())


def test_frequencies_may_be_numpy_s_integers():
    settings = ic.InitCheck(None, update_freq=np.int64(2), histogram_freq=np.int64(1)).settings
    assert settings.every == 2 and settings.wants_histograms(1)


def test_a_diverged_network_gets_a_short_warning_and_only_news():
    x, y = arrays()
    model = exploding_net()
    for layer in model.layers:
        layer.kernel.assign(layer.kernel.value * float("nan"))
        layer.bias.assign(layer.bias.value * float("nan"))
    with pytest.warns(ic.InitCheckWarning) as caught:
        model.fit(x, y, epochs=2, verbose=0, callbacks=[ic.InitCheck(None)])
    first, *later = [
        str(warning.message) for warning in caught if warning.category is ic.InitCheckWarning
    ]
    assert first.splitlines()[0].endswith("findings.")
    assert len(first.splitlines()) == 7 and first.splitlines()[-1].endswith(
        "more, which the report holds."
    )
    assert later == []


def test_a_later_warning_says_what_is_new_alone():
    """The second probe finds a layer that died since, beside what the first one told."""
    x, y = arrays()
    model = exploding_net()

    class Breaking(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                layer = self.model.layers[1]
                layer.kernel.assign(np.full(layer.kernel.shape, np.nan))

    with pytest.warns(ic.InitCheckWarning) as caught:
        model.fit(
            x,
            y,
            epochs=2,
            verbose=0,
            callbacks=[
                Breaking(),
                ic.InitCheck(None, select=["forward-gain", "nonfinite-weights"]),
            ],
        )
    first, second = [
        str(warning.message) for warning in caught if warning.category is ic.InitCheckWarning
    ]
    assert "forward-gain" in first and "new" not in first.splitlines()[0]
    assert "nonfinite-weights" in second and "forward-gain" not in second


def test_healthy_fit_is_silent(recwarn, capfd):
    x, y = arrays()
    callback = ic.InitCheck(None)
    history = small_net().fit(x, y, epochs=2, verbose=0, callbacks=[callback]).history
    assert callback.report.ok
    assert history["initcheck_findings"] == [0.0, 0.0]
    assert [each for each in recwarn if issubclass(each.category, ic.InitCheckWarning)] == []
    assert capfd.readouterr().out == ""
