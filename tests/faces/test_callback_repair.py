"""`InitCheck(on_drift="repair")` inside real fits."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.rules.judgement import judge
from keras_initcheck.watch.repair_in_fit import RepairInFit
from keras_initcheck.watch.settings import Settings
from tests.support.faulty_models import are_same, compiled, mlp, normal, values


def arrays(samples=64):
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, 64)).astype("float32"), generator.integers(
        0, 10, samples
    )


def faulty_net(steps_per_execution=1, is_traced=False):
    keras.utils.set_random_seed(3)
    model = mlp(normal(1.0), depth=4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9), loss, steps_per_execution=steps_per_execution
    )
    model.run_eagerly = keras.backend.backend() == "tensorflow" and not is_traced
    return model


def fitted(model, check, **arguments):
    x, y = arrays()
    with pytest.warns(ic.InitCheckWarning) as told:
        model.fit(x, y, batch_size=16, verbose=0, callbacks=[check], **arguments)
    return [
        str(warning.message)
        for warning in told
        if issubclass(warning.category, ic.InitCheckWarning)
    ]


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_model_is_repaired_before_the_first_update(steps_per_execution):
    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        pytest.skip("Keras runs one step at a time on torch")
    model = faulty_net(steps_per_execution, is_traced=True)
    check = ic.InitCheck(None, on_drift="repair")
    (message,) = fitted(model, check)
    assert "multiply hidden_1/kernel by 0.1" in message
    assert "IC102" in message
    assert not check.first_report.ok
    assert check.report.ok
    (done,) = check.repairs
    assert done.applied
    for n in range(4):
        kernel = keras.ops.convert_to_numpy(model.get_layer(f"hidden_{n}").kernel.value)
        # Four small steps move the weights by far less than the factor of 32 in second moment that
        # the repair took out.
        assert np.mean(kernel**2) == pytest.approx(2 / 64, rel=0.1)


def test_training_goes_on_from_the_repaired_values_bitwise():
    """As a fit of a model that was repaired outside with the same batch."""
    x, y = arrays(16)
    inside, outside = faulty_net(is_traced=True), faulty_net(is_traced=True)
    with pytest.warns(ic.InitCheckWarning):
        inside.fit(
            x,
            y,
            batch_size=16,
            verbose=0,
            shuffle=False,
            callbacks=[ic.InitCheck(None, on_drift="repair")],
        )
    assert ic.repair(outside, x, y, batch_size=16).applied
    outside.fit(x, y, batch_size=16, verbose=0, shuffle=False)
    assert are_same(values(inside), values(outside))


def test_before_and_after_are_two_runs_with_the_steps_as_text(tmp_path):
    fitted(faulty_net(), ic.InitCheck(tmp_path, on_drift="repair"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initcheck", "initcheck_2"]
    after = EventAccumulator(str(tmp_path / "initcheck_2"), size_guidance={"tensors": 0})
    after.Reload()
    (event,) = after.Tensors("initcheck/repair")
    assert b"multiply hidden_1/kernel" in event.tensor_proto.string_val[0]


def test_trained_model_is_told_about_and_left_alone():
    model = faulty_net()
    x, y = arrays()
    model.fit(x, y, batch_size=16, verbose=0)
    check = ic.InitCheck(None, on_drift="repair")
    message, *_ = fitted(model, check)
    assert "Not repaired: the model was trained" in message
    assert check.repairs == ()


def test_embedding_that_nobody_names_is_left_alone_as_by_repair():
    """It is constant, which a rule blames, but `layers` does not name it."""
    keras.utils.set_random_seed(3)
    embedding = keras.layers.Embedding(50, 64, embeddings_initializer="ones", name="embedding")
    hidden = [
        keras.layers.Dense(64, "relu", kernel_initializer=normal(1.0)(), name=f"hidden_{n}")
        for n in range(3)
    ]
    model = compiled(
        keras.Sequential(
            [
                keras.Input((8,), dtype="int32"),
                embedding,
                keras.layers.Flatten(),
                *hidden,
                keras.layers.Dense(10),
            ]
        )
    )
    check = ic.InitCheck(None, on_drift="repair")
    with pytest.warns(ic.InitCheckWarning):
        model.fit(
            np.arange(400).reshape(50, 8) % 50, np.arange(50) % 10, verbose=0, callbacks=[check]
        )
    assert {step.layer for step in check.repairs[0].steps} == {"hidden_0", "hidden_1", "hidden_2"}
    assert "IC105" in {finding.code for finding, _ in check.repairs[0].unresolved}


def test_layers_that_break_later_are_repaired_within_limits():
    model = compiled(mlp(keras.initializers.HeNormal, depth=3))

    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            model.get_layer("hidden_1").bias.assign(np.full(64, -1e3))

    check = ic.InitCheck(
        None, on_drift="repair", repair_during_training=True, max_repairs=2, repair_pause=1
    )
    x, y = arrays()
    with pytest.warns(ic.InitCheckWarning):
        model.fit(x, y, batch_size=16, epochs=6, verbose=0, callbacks=[Breaks(), check])
    # The first probe finds the first epoch's bias; a later repair makes it two, though the bias
    # breaks six times.
    assert [[step.variables for step in done.steps] for done in check.repairs] == [
        [("hidden_1/bias",)]
    ] * 2
    assert all(done.applied for done in check.repairs)


def test_a_fault_that_was_there_before_does_not_undo_a_later_repair():
    """The gain of weights that were trained to it is not repaired in a running training, and is no
    news either.
    """
    keras.utils.set_random_seed(3)
    model = compiled(mlp(keras.initializers.HeNormal, depth=3))
    model.get_layer("hidden_0").kernel.assign(model.get_layer("hidden_0").kernel.value * 100.0)
    x, y = arrays(32)
    probe = Probe(model)
    taken = take_batch(x, y)
    model.get_layer("hidden_2").bias.assign(np.full(64, -1e6))
    report = judge(probe.measure(taken))
    assert {"IC102", "IC202"} <= {
        finding.code for finding in report.findings if finding.severity != "info"
    }
    settings = Settings(on_drift="repair", repair_during_training=True)
    done = RepairInFit(settings).during_training(probe, report, taken)
    assert done.applied, done
    assert [step.variables for step in done.steps] == [("hidden_2/bias",)]


def test_healthy_model_is_not_touched():
    x, y = arrays()
    trained = []
    for callbacks in ([], [ic.InitCheck(None, on_drift="repair")]):
        keras.utils.set_random_seed(5)
        model = compiled(mlp(keras.initializers.HeNormal, depth=3))
        model.fit(x, y, batch_size=16, verbose=0, callbacks=callbacks)
        trained.append(values(model))
    assert are_same(*trained)


def test_a_repair_that_fails_lets_the_training_go_on(monkeypatch):
    from keras_initcheck.repairs.repairer import Repairer

    def fails(self, report, is_dry=False, findings=None):
        raise RuntimeError("no way")

    monkeypatch.setattr(Repairer, "run", fails)
    (message,) = fitted(faulty_net(), ic.InitCheck(None, on_drift="repair"))
    assert "steps aside" in message
    assert "no way" in message
