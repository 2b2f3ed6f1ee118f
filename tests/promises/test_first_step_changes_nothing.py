"""The first step foretells what training does, and leaves model and optimizer bitwise as they were.

Also where it fails half way.
"""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe import engine, first_step
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.optimizers import flatten_optimizers

LAYERS = keras.layers
OPTIMIZERS = keras.optimizers
RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
"""Tracing a train step takes seconds there; what a step could disturb is the same."""


def several():
    if not hasattr(OPTIMIZERS, "MultiOptimizer"):
        pytest.skip("Keras has no MultiOptimizer before 3.15")
    chosen = {".*bias": OPTIMIZERS.Adam(0.003)}
    return OPTIMIZERS.MultiOptimizer(OPTIMIZERS.OptimizerMap(OPTIMIZERS.SGD(0.05), chosen))


WAYS = {
    "SGD": lambda: OPTIMIZERS.SGD(0.05, momentum=0.9, nesterov=True),
    "Adam, clipped": lambda: OPTIMIZERS.Adam(0.01, clipnorm=0.1),
    "AdamW, averages": lambda: OPTIMIZERS.AdamW(0.01, use_ema=True, ema_overwrite_frequency=3),
    "fixed loss scale": lambda: OPTIMIZERS.SGD(0.05, loss_scale_factor=64.0),
    "loss scale": lambda: OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam(0.01), initial_scale=8.0),
    "several": several,
}


def net(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(5, "tanh", kernel_regularizer="l2", kernel_constraint="max_norm"),
            LAYERS.BatchNormalization(),
            LAYERS.Dropout(0.4),
            LAYERS.Dense(3),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=RUNS_EAGERLY)
    return model


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    return tuple(generator.standard_normal((16, width)).astype("float32") for width in (6, 3))


@pytest.fixture(params=WAYS)
def optimizer(request):
    return WAYS[request.param]()


def numbers(variables):
    return [to_numpy(variable) for variable in variables]


def state(model):
    """All that a training goes on from."""
    return [
        *numbers(model.variables),
        *numbers(model.optimizer.variables),
        *numbers(model.metrics_variables),
    ]


def facts(model):
    return [
        (each.built, len(each.variables), type(each).__name__)
        for each in flatten_optimizers(model.optimizer)
    ]


def assert_equal(before, after):
    assert len(before) == len(after)
    assert all(map(np.array_equal, before, after))


def test_optimizer_that_was_not_built_is_not_built_afterwards(optimizer, data):
    model = net(optimizer)
    before, described = state(model), facts(model)
    assert ic.check(model, *data).profile.first_step is not None
    assert_equal(before, state(model))
    assert facts(model) == described


def test_training_goes_on_as_without(optimizer, data):
    """Twice: before the first step, and in a training."""
    probed, plain = net(optimizer), net(type(optimizer).from_config(optimizer.get_config()))
    for _ in range(2):
        ic.check(probed, *data)
        keras.utils.set_random_seed(7)  # torch draws dropout from its global generator
        losses = probed.train_on_batch(*data)
        keras.utils.set_random_seed(7)
        assert losses == plain.train_on_batch(*data)
        assert_equal(state(plain), state(probed))


def test_loss_after_is_that_of_a_training_step(optimizer, data):
    model = without_randomness(optimizer)
    found = ic.check(model, *data).profile.first_step
    model.reset_metrics()  # before Keras 3.6 a loss is the mean since the last reset
    assert found.loss_before == pytest.approx(model.test_on_batch(*data), rel=1e-5)
    model.train_on_batch(*data)
    model.reset_metrics()
    assert found.loss_after == pytest.approx(model.test_on_batch(*data), rel=1e-5)


def without_randomness(optimizer):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((6,)), LAYERS.Dense(5, "tanh"), LAYERS.Dense(3)]
    model = keras.Sequential(layers)
    model.compile(optimizer, "mse", run_eagerly=RUNS_EAGERLY)
    return model


def test_first_order_and_sizes_are_those_of_the_update(data):
    """SGD's update is known by hand: the rate times the gradient."""
    model = without_randomness(OPTIMIZERS.SGD(0.01))
    report = ic.check(model, *data)
    found, weights = report.profile.first_step, report.profile.weights
    gradients = np.array([weight.gradient_norm for weight in weights])
    assert found.learning_rate == pytest.approx(0.01)
    assert found.promised_change == pytest.approx(-0.01 * np.sum(gradients**2), rel=1e-4)
    kernels = [position for position, weight in enumerate(weights) if weight.role == "kernel"]
    expected = [0.01 * gradients[each] / weights[each].norm for each in kernels]
    received = [found.relative_updates[each] for each in kernels]
    assert received == pytest.approx(expected, rel=1e-3)  # weights round to float32
    assert all(np.isnan(found.relative_updates[each]) for each in set(range(4)) - {*kernels})


def test_decay_and_constraints_are_in_the_sizes(data):
    keras.utils.set_random_seed(3)
    constraint = keras.constraints.UnitNorm()
    layers = [
        keras.Input((6,)),
        LAYERS.Dense(5, "tanh", kernel_constraint=constraint),
        LAYERS.Dense(3),
    ]
    model = keras.Sequential(layers)
    model.compile(OPTIMIZERS.SGD(1e-9, weight_decay=2e8), "mse")
    report = ic.check(model, *data)
    found, weights = report.profile.first_step, report.profile.weights
    before = next(weight.norm for weight in weights if weight.role == "kernel")
    first, second = (size for size in found.relative_sizes if not np.isnan(size))
    assert found.decay == pytest.approx(0.2)
    # Five columns of norm 1; a rate of 1e-9 leaves the decay alone.
    assert first == pytest.approx(np.sqrt(5.0) / before, rel=1e-4)
    assert second == pytest.approx(0.8, rel=1e-4)


def test_schedule_that_warms_up_counts_with_its_largest_rate(data):
    schedule = OPTIMIZERS.schedules.CosineDecay(0.0, 1000, warmup_target=0.1, warmup_steps=100)
    model = without_randomness(OPTIMIZERS.SGD(schedule))
    found = ic.check(model, *data).profile.first_step
    assert found.learning_rate == pytest.approx(0.1)
    assert found.warms_up
    assert found.loss_after < found.loss_before
    assert model.optimizer._learning_rate is schedule


def test_accumulated_gradients_count_as_one_update(data):
    plain, collected = (
        without_randomness(OPTIMIZERS.Adam(0.01, gradient_accumulation_steps=steps))
        for steps in (None, 4)
    )
    found = [ic.check(model, *data).profile.first_step for model in (plain, collected)]
    assert found[0].loss_after == pytest.approx(found[1].loss_after, rel=1e-6)
    assert collected.optimizer.gradient_accumulation_steps == 4


def test_share_below_epsilon_is_counted(data):
    model = without_randomness(OPTIMIZERS.Adam(0.01, epsilon=1e30))
    found = ic.check(model, *data).profile.first_step
    assert found.shares_below_epsilon == (1.0,) * 4
    assert found.loss_after == pytest.approx(found.loss_before)


class OwnStep(keras.Model):
    """Trains in a way of its own, with an optimizer that `compile` was given."""

    def __init__(self):
        super().__init__()
        self.head = LAYERS.Dense(3)

    def call(self, x):
        return self.head(x)

    def train_step(self, *arguments):
        raise AssertionError("the first step is the optimizer's own")


def test_model_with_a_train_step_of_its_own(data):
    model = OwnStep()
    model.compile(OPTIMIZERS.SGD(0.05), "mse", run_eagerly=RUNS_EAGERLY)
    found = ic.check(model, *data).profile.first_step
    assert found.loss_after < found.loss_before


def test_optimizer_of_half_of_the_model(data):
    model = without_randomness(OPTIMIZERS.SGD(0.05))
    model.optimizer.build(model.layers[-1].trainable_variables)
    updates = ic.check(model, *data).profile.first_step.relative_updates
    assert np.isnan(updates[0])
    assert updates[2] > 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["updated_values", "_loss_after", "_table"])
def test_failure_half_way_leaves_everything(data, monkeypatch, error, place):
    """It names the reason; Ctrl-C goes on to the user."""
    model = net(WAYS["AdamW, averages"]())
    before, described = state(model), facts(model)
    module = engine.load() if place == "updated_values" else first_step
    complete = getattr(module, place)

    def fail(*arguments):
        complete(*arguments)
        raise error("half way")

    monkeypatch.setattr(module, place, fail)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            ic.check(model, *data)
    else:
        profile = ic.check(model, *data).profile
        assert profile.first_step is None
        assert ("first step", "RuntimeError: half way") in profile.not_probed
    assert_equal(before, state(model))
    assert facts(model) == described


class Stumbling(OPTIMIZERS.SGD):
    """Fails after it has updated the first variable."""

    def apply(self, grads, trainable_variables=None):
        super().apply(grads[:1], trainable_variables[:1])
        raise RuntimeError("between two variables")


def test_optimizer_that_fails_after_the_first_variable(data):
    model = without_randomness(Stumbling(0.05, momentum=0.9))
    before = state(model)
    profile = ic.check(model, *data).profile
    assert profile.not_probed == (("first step", "RuntimeError: between two variables"),)
    assert_equal(before, state(model))


def test_overflow_of_a_loss_scale_is_named(data):
    optimizer = OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam(), initial_scale=3e38)
    profile = ic.check(without_randomness(optimizer), data[0], 1000 * data[1]).profile
    assert profile.first_step is None
    assert "overflows at the present loss scale" in dict(profile.not_probed)["first step"]


def test_there_is_none_without_labels_or_optimizer_or_wish(data):
    model = without_randomness(OPTIMIZERS.SGD())
    reports = (ic.check(model), ic.check(model, *data, first_step=False))
    plain = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3)])
    for report in (*reports, ic.check(plain, *data)):
        assert report.profile.first_step is None
        assert "first step" not in dict(report.profile.not_probed)


def test_fit_plans_its_steps_and_stays_the_same(data):
    watched, plain = (net(OPTIMIZERS.Adam(0.01)) for _ in range(2))
    watcher = ic.InitCheck(None, on_drift="ignore")
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
    keras.utils.set_random_seed(5)
    watched.fit(*data, callbacks=[watcher], **options)
    keras.utils.set_random_seed(5)
    plain.fit(*data, **options)
    assert watcher.first_report.profile.first_step.planned_steps == 12
    assert watcher.report.profile.first_step is None
    assert_equal(state(plain), state(watched))


@pytest.mark.backend("torch")
def test_module_of_torch_is_updated_and_put_back(data):
    import torch

    module = torch.nn.Linear(6, 3)
    model = keras.Sequential([keras.Input((6,)), LAYERS.TorchModuleWrapper(module)])
    model.compile(OPTIMIZERS.SGD(0.05), "mse")
    parameters = list(module.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    found = ic.check(model, *data).profile.first_step
    assert found.loss_after < found.loss_before
    assert all(map(torch.equal, before, module.parameters()))
    assert all(a is b for a, b in zip(parameters, module.parameters(), strict=True))


@pytest.mark.backend("tensorflow")
def test_variables_that_are_mirrored_on_two_devices(data):
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = without_randomness(OPTIMIZERS.Adam(0.01))
    before = state(model)
    found = ic.check(model, *data).profile
    assert not found.not_probed
    assert found.first_step.loss_after < found.first_step.loss_before
    assert_equal(before, state(model))
