"""Optimizers that collect the gradients of several batches before they make an update."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.repairs import optimizer_slots

OPTIMIZERS = keras.optimizers


def adam(**options):
    return OPTIMIZERS.Adam(0.01, gradient_accumulation_steps=2, **options)


WAYS = {
    "plain": adam,
    "moving average, clipped": lambda: adam(use_ema=True, ema_overwrite_frequency=2, clipnorm=1.0),
    "loss scale": lambda: OPTIMIZERS.LossScaleOptimizer(adam(), initial_scale=8.0),
    "schedule": lambda: OPTIMIZERS.SGD(
        OPTIMIZERS.schedules.ExponentialDecay(0.1, 2, 0.5),
        momentum=0.9,
        gradient_accumulation_steps=2,
    ),
}


@pytest.fixture(params=WAYS)
def optimizer(request):
    return WAYS[request.param]()


def net(optimizer, std=0.25):
    keras.utils.set_random_seed(5)
    hidden = [
        keras.layers.Dense(
            32, "relu", kernel_initializer=keras.initializers.RandomNormal(stddev=std)
        )
        for _ in range(2)
    ]
    model = keras.Sequential([keras.Input((32,)), *hidden, keras.layers.Dense(1, name="head")])
    model.compile(optimizer, "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    return model


def batch(samples=24):
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, 32)).astype("float32"), generator.standard_normal(
        (samples, 1)
    ).astype("float32")


def values(model):
    return [
        keras.ops.convert_to_numpy(variable.value)
        for variable in [*model.variables, *model.optimizer.variables]
    ]


def are_same(before, after):
    return len(before) == len(after) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)
    )


def trained(optimizer, batches, **options):
    model = net(optimizer, **options)
    x, y = batch(8 * batches)
    model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
    return model


def test_model_that_was_never_trained_is_checked_and_left_alone(optimizer):
    model = net(optimizer)
    before = values(model)
    assert ic.check(model, *batch()).profile.step == 0
    assert not model.optimizer.built
    assert are_same(before, values(model))


@pytest.mark.parametrize(("batches", "updates"), [(1, 0), (2, 1), (3, 1)])
def test_step_is_an_update(batches, updates):
    model = trained(adam(), batches)
    before = values(model)
    assert ic.check(model, *batch()).profile.step == updates
    assert are_same(before, values(model))


def test_several_optimizers_have_made_the_updates_of_the_one_that_is_furthest():
    if not hasattr(OPTIMIZERS, "MultiOptimizer"):
        pytest.skip("Keras has no MultiOptimizer before 3.15")
    choices = OPTIMIZERS.OptimizerMap(
        adam(), {".*head/.*": OPTIMIZERS.SGD(0.01, gradient_accumulation_steps=3)}
    )
    assert steps_taken(trained(OPTIMIZERS.MultiOptimizer(choices), 4)) == 2


def test_fit_is_bitwise_the_same(optimizer):
    """Five batches make two updates, before and after which the model is another one."""
    watched, alone = net(optimizer), net(optimizer.from_config(optimizer.get_config()))
    check = ic.InitCheck(None, on_drift="ignore", update_freq=1)
    x, y = batch(40)
    for model, callbacks in ((watched, [check]), (alone, [])):
        model.fit(x, y, batch_size=8, verbose=0, shuffle=False, callbacks=callbacks)
    assert are_same(values(watched), values(alone))
    assert check.report.profile.step == 2


def test_repair_empties_the_accumulators_of_what_it_changes():
    """One batch waits; the gradient that it left was taken at weights which are gone."""
    model = trained(adam(), 1, std=16.0)
    kernels = [layer.kernel for layer in model.layers]
    waiting = {
        id(variable): slot
        for slot, variable, kind in optimizer_slots.slots(model.optimizer, kernels)
        if kind == "accumulated_gradients"
    }
    assert all(np.any(keras.ops.convert_to_numpy(slot.value)) for slot in waiting.values())
    before = values(model)
    done = ic.repair(model, *batch())
    assert done.applied, done
    changed = {name for step in done.steps for name in step.variables}
    for layer in model.layers:
        left = keras.ops.convert_to_numpy(waiting[id(layer.kernel)].value)
        assert np.any(left) == (f"{layer.name}/kernel" not in changed)
    done.undo()
    assert are_same(before, values(model))


def test_trained_model_is_refused_after_its_first_update():
    model = trained(adam(), 2)
    with pytest.raises(ValueError, match=r"has made 1 step\."):
        ic.repair(model, *batch())
