"""`InitCheck.probe` in loops that know nothing of Keras' trainer."""

import copy

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_initcheck as ic
from tests.support.faulty_models import are_same, compiled, mlp, normal, values

X, Y = np.random.default_rng(0).standard_normal((48, 64)).astype("float32"), np.arange(48) % 10


def net(initializer=keras.initializers.HeNormal):
    keras.utils.set_random_seed(3)
    return mlp(initializer, depth=2)


def steps_in(log):
    events = EventAccumulator(str(log), size_guidance={"tensors": 0})
    events.Reload()
    return [event.step for event in events.Tensors("initcheck/findings")]


def test_all_probes_of_a_loop_go_to_one_run(tmp_path):
    with ic.InitCheck(tmp_path) as watcher:
        reports = [
            watcher.probe(net_, X, step=step) for net_ in [net()] for step in (0, 10, 10, 20)
        ]
    assert [report.profile.step for report in reports] == [0, 10, 10, 20]
    assert reports[0].profile.batch_size == 48
    assert watcher.report is reports[-1]
    assert watcher.first_report is reports[0]
    assert [path.name for path in tmp_path.iterdir()] == ["initcheck"]
    assert steps_in(tmp_path / "initcheck") == [0, 10, 20]


def test_a_model_that_is_not_compiled_has_random_gradients(tmp_path):
    model, watcher = net(), ic.InitCheck(None)
    for report in (watcher.probe(model, X, step=0), watcher.probe(model, X, step=1)):
        site = report.profile.sites[0]
        assert site.loss_gradients is None
        assert site.random_gradients.h.second_moment > 0


def test_a_compiled_model_has_the_gradients_of_its_loss_and_stays_bitwise_the_same():
    model, watcher = compiled(net()), ic.InitCheck(None)
    before = values(model)
    first, second = watcher.probe(model, X, Y), watcher.probe(model, X, Y)
    assert first.profile.sites[0].loss_gradients.h.second_moment == pytest.approx(
        second.profile.sites[0].loss_gradients.h.second_moment, rel=1e-4
    )
    assert (first.profile.step, second.profile.step) == (0, 1)
    assert are_same(before, values(model))


def test_the_second_probe_s_pass_is_used_again():
    model, watcher = net(), ic.InitCheck(None)
    calls = []
    for step in range(2):
        watcher.probe(model, X, step=step)
    layer = model.get_layer("hidden_0")
    original = layer.call
    layer.call = lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
    watcher.probe(model, X, step=2)
    assert len(calls) == (
        1 if keras.backend.backend() == "torch" else 0
    )  # torch runs eagerly, and compiles nothing


def test_drift_ends_a_loop_where_it_should():
    with pytest.raises(ic.DriftError, match="before step 8"):
        ic.InitCheck(None, on_drift="raise").probe(net(normal(1.0)), X, step=7)


def test_an_exception_of_the_callable_reaches_the_user():
    def stop(report):
        raise KeyError("stop here")

    with pytest.raises(KeyError, match="stop here"):
        ic.InitCheck(None, on_drift=stop).probe(net(normal(1.0)), X)


def test_drift_is_repaired_before_the_first_update_only():
    model = net(normal(1.0))
    with pytest.warns(ic.InitCheckWarning, match="multiply hidden_1/kernel"):
        report = ic.InitCheck(None, on_drift="repair").probe(model, X, step=0)
    assert report.ok
    with pytest.warns(ic.InitCheckWarning, match="Not repaired: the model was trained before"):
        ic.InitCheck(None, on_drift="repair").probe(net(normal(1.0)), X, step=5)


def test_values_that_live_outside_of_the_model_are_probed():
    model, watcher = net(), ic.InitCheck(None, on_drift="ignore")
    outside = [
        keras.ops.convert_to_tensor(100.0 * keras.ops.convert_to_numpy(variable.value))
        for variable in model.trainable_variables
    ]
    report = watcher.probe(model, X, state=(outside, []))
    # Three kernels and no biases: each of the two hidden layers' kernels gives 10^4 in second
    # moment.
    assert report.profile.log10_forward_gain == pytest.approx(watcher_gain(net()) + 8, abs=1e-3)


def watcher_gain(model):
    return ic.check(model, X, batch_size=48).profile.log10_forward_gain


@pytest.mark.parametrize(
    "made",
    [
        np.int64,
        np.array,
        lambda number: keras.Variable(number, dtype="int32", trainable=False),
        keras.ops.convert_to_tensor,
    ],
    ids=["NumPy", "array", "variable", "tensor"],
)
def test_steps_are_whole_numbers_of_any_kind(made):
    report = ic.InitCheck(None, on_drift="ignore").probe(net(), X, step=made(7))
    assert report.profile.step == 7 and type(report.profile.step) is int
    assert ic.Report.from_json(report.to_json()) == report


@pytest.mark.parametrize("step", [-5, 1.5, "3", True, np.array([1, 2])], ids=repr)
def test_what_is_no_step_is_refused(step):
    with pytest.raises(
        ValueError, match=r"`step` must be a whole number, 0 or more\. Received: step="
    ):
        ic.InitCheck(None).probe(net(), X, step=step)


def test_steps_are_those_of_the_model_s_optimizer_where_it_makes_any():
    model, watcher = net(), ic.InitCheck(None, on_drift="ignore")
    model.compile("sgd", "mse", run_eagerly=True)
    counted = [watcher.probe(model, X).profile.step for _ in range(2)]
    targets = np.zeros((len(X), *model.output_shape[1:]), "float32")
    model.train_on_batch(X, targets)
    asked = [watcher.probe(model, X).profile.step for _ in range(2)]
    assert counted == [0, 1] and asked == [1, 1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda trainable, others: (trainable[:-1], others), "must hold 4 trainable values"),
        (
            lambda trainable, others: ([*trainable[:-1], trainable[0]], others),
            "must hold a value of shape",
        ),
        (lambda trainable, others: (trainable, [*others, trainable[0]]), "non-trainable values"),
        (lambda trainable, others: trainable, r"must be \(trainable, non_trainable\)"),
        (lambda trainable, others: (None, None), r"must be \(trainable, non_trainable\)"),
    ],
    ids=["too few", "another shape", "too many others", "one list", "nothing"],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil, words):
    model = keras.Sequential(
        [keras.Input((X.shape[1],)), keras.layers.Dense(4), keras.layers.Dense(2)]
    )
    before = model.get_weights()
    state = spoil([variable.value + 1.0 for variable in model.trainable_variables], [])
    with pytest.raises(ValueError, match=words):
        ic.InitCheck(None).probe(model, X, step=0, state=state)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_a_copy_of_a_used_callback_begins_anew():
    watcher = ic.InitCheck(None, on_drift="ignore", seed=3)
    watcher.probe(net(), X, step=0)
    again = copy.deepcopy(watcher)
    assert again.report is None and again.settings.seed == 3
    assert watcher.report is not None


def test_a_state_of_another_length_is_refused():
    with pytest.raises(
        ValueError,
        match=r"`state` must hold 6 trainable values, one for each variable. Received: 5",
    ):
        ic.InitCheck(None).probe(net(), X, state=([0.0] * 5, []))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"`model` must be a keras\.Model"):
        ic.InitCheck(None).probe(len, X)


def test_a_log_that_cannot_be_written_does_not_end_the_loop(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    model, watcher = net(), ic.InitCheck(blocked)
    with pytest.warns(
        ic.InitCheckWarning, match="steps aside from its log, and probes on without one"
    ):
        watcher.probe(model, X, step=0)
    assert watcher.probe(model, X, step=1).ok


def test_close_ends_the_run_and_a_later_probe_begins_another(tmp_path):
    model, watcher = net(), ic.InitCheck(tmp_path)
    for _ in range(2):
        watcher.probe(model, X, step=0)
        watcher.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initcheck", "initcheck_2"]
