"""A trial makes real steps, and leaves model, optimizer, metrics and random states bitwise as they
were, also where it fails half way.
"""

import random

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.optimizers import flatten_optimizers
from keras_initcheck.records.errors import ProbeError

LAYERS = keras.layers
OPTIMIZERS = keras.optimizers
RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
"""Tracing a train step takes seconds there; what a step could disturb is the same."""
STEPS = 3


def several():
    if not hasattr(OPTIMIZERS, "MultiOptimizer"):
        pytest.skip("Keras has no MultiOptimizer before 3.15")
    chosen = {".*bias": OPTIMIZERS.Adam(0.003)}
    return OPTIMIZERS.MultiOptimizer(OPTIMIZERS.OptimizerMap(OPTIMIZERS.SGD(0.05), chosen))


WAYS = {
    "momentum": lambda: OPTIMIZERS.SGD(0.05, momentum=0.9, nesterov=True),
    "averages": lambda: OPTIMIZERS.AdamW(0.01, use_ema=True, ema_overwrite_frequency=2),
    "loss scale": lambda: OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam(0.01), initial_scale=8.0),
    "accumulation": lambda: OPTIMIZERS.Adam(0.01, gradient_accumulation_steps=2),
    "schedule": lambda: OPTIMIZERS.SGD(OPTIMIZERS.schedules.CosineDecay(0.1, 10)),
    "several": several,
}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    return tuple(generator.standard_normal((16, width)).astype("float32") for width in (6, 3))


class Counting(LAYERS.Layer):
    """Counts its calls, in Python."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = []

    def call(self, x):
        self.calls.append(len(self.calls))
        return x


def net(optimizer, is_built=True):
    keras.utils.set_random_seed(3)
    layers = [
        LAYERS.Dense(5, "tanh", kernel_regularizer="l2", kernel_constraint="max_norm"),
        LAYERS.BatchNormalization(),
        LAYERS.Dropout(0.4),
        Counting(),
        LAYERS.Dense(3),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers] if is_built else layers)
    metric = keras.metrics.MeanAbsoluteError()
    metric.update_state([1.0], [3.0])
    model.compile(optimizer, "mse", metrics=[metric], run_eagerly=RUNS_EAGERLY)
    model.metric = metric
    return model


def state(model):
    """All that a training goes on from."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [to_numpy(variable) for variable in (*variables, *model.metric.variables)]


def facts(model):
    optimizers = flatten_optimizers(model.optimizer)
    counting = next(layer for layer in model.layers if isinstance(layer, Counting))
    return [
        *((each.built, len(each.variables)) for each in optimizers),
        [metric.name for metric in model.metrics],
        len(model.metrics_variables),
        model.train_function,
        model.steps_per_execution,
        model.stop_training,
        "train_step" in vars(model),
        list(counting.calls),
    ]


def global_randomness():
    """The next numbers of each global generator, which are drawn on the way."""
    numbers = [random.random(), np.random.random()]
    # In Keras 3.5, set_random_seed leaves Keras' own generator as it is.
    if not keras.__version__.startswith("3.5."):
        numbers += to_numpy(keras.random.normal((2,))).tolist()
    return numbers


def assert_equal(before, after):
    assert len(before) == len(after)
    assert all(map(np.array_equal, before, after))


@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_as_without(way, data):
    """Twice: before the first step, and in a training."""
    tried, plain = net(WAYS[way]()), net(WAYS[way]())
    for _ in range(2):
        before, described = state(tried), facts(tried)
        assert ic.trial(tried, *data, steps=STEPS, batch_size=8).num_steps == STEPS
        assert_equal(before, state(tried))
        assert facts(tried) == described
        keras.utils.set_random_seed(7)  # torch draws dropout from its global generator
        losses = tried.train_on_batch(*data)
        keras.utils.set_random_seed(7)
        assert losses == plain.train_on_batch(*data)
        assert_equal(state(plain), state(tried))


def test_its_steps_are_those_of_a_training(data):
    """The same batches in the same order give bitwise the same losses."""
    tried, plain = (without_randomness(OPTIMIZERS.Adam(0.01)) for _ in range(2))
    batches = [(data[0][start : start + 4], data[1][start : start + 4]) for start in (0, 4, 8)]
    found = ic.trial(tried, iter(batches), steps=3)
    expected = []
    for batch in batches:
        plain.reset_metrics()  # before Keras 3.6 a loss is the mean since the last reset
        expected.append(float(plain.train_on_batch(*batch)))
    assert found.losses == tuple(expected)
    assert found.num_updates == 3


def without_randomness(optimizer, **arguments):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(5, "tanh"), LAYERS.Dense(3)])
    model.compile(optimizer, "mse", run_eagerly=RUNS_EAGERLY, **arguments)
    return model


def test_updates_are_known_by_hand(data):
    """The first update of Adam moves each element by the rate."""
    model = without_randomness(OPTIMIZERS.Adam(0.01))
    kernel = to_numpy(model.layers[0].kernel)
    found = ic.trial(model, *data, steps=STEPS, batch_size=16)
    place = found.weights.index(model.layers[0].kernel.path)
    expected = 0.01 / np.sqrt(np.mean(kernel**2))
    assert found.watched_steps == (0, 1, 2)
    assert found.relative_updates[0][place] == pytest.approx(expected, rel=1e-3)  # epsilon
    assert np.isnan(found.relative_updates[0][found.weights.index(model.layers[0].bias.path)])


def test_global_random_states_stay(data):
    model = net(WAYS["momentum"]())
    keras.utils.set_random_seed(5)
    expected = global_randomness()
    keras.utils.set_random_seed(5)
    ic.trial(model, *data, steps=1)
    assert global_randomness() == expected


def test_unbuilt_model_gets_the_weights_that_fit_gives_it(data):
    tried, plain = (net(OPTIMIZERS.SGD(0.05), is_built=False) for _ in range(2))
    keras.utils.set_random_seed(9)
    ic.trial(tried, *data, steps=1)
    keras.utils.set_random_seed(9)
    plain.build((None, 6))
    assert_equal(plain.get_weights(), tried.get_weights())
    assert not tried.optimizer.built


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", [1, 2])
def test_failure_half_way_leaves_everything(data, monkeypatch, error, step):
    """It names the step; Ctrl-C goes on to the user."""
    model = net(WAYS["averages"]())
    before, described = state(model), facts(model)
    complete, count = type(model).train_on_batch, []

    def fail(self, *arguments, **keywords):
        complete(self, *arguments, **keywords)
        count.append(1)
        if len(count) == step:
            raise error("half way")

    monkeypatch.setattr(type(model), "train_on_batch", fail)
    expected = KeyboardInterrupt if error is KeyboardInterrupt else ProbeError
    match = "half way" if error is KeyboardInterrupt else f"step {step} of the trial.*half way"
    with pytest.raises(expected, match=match):
        ic.trial(model, *data, steps=STEPS)
    assert_equal(before, state(model))
    assert facts(model) == described


class Adversaries(keras.Model):
    """Two models with an optimizer each, and a train step of its own, as in Keras' examples."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([keras.Input((2,)), LAYERS.Dense(6)])
        self.discriminator = keras.Sequential([keras.Input((6,)), LAYERS.Dense(1)])
        self.seeds = keras.random.SeedGenerator(4)
        self.d_loss, self.g_loss = (keras.metrics.Mean(name=f"{which}_loss") for which in "dg")
        self.built = True  # there is no `call` to build it with
        self.own = {part: OPTIMIZERS.Adam(0.01) for part in ("d", "g")}

    @property
    def metrics(self):
        return [self.d_loss, self.g_loss]

    def train_step(self, real):
        import torch

        assert tuple(real.shape) == (8, 6)  # `fit` passes inputs without labels on as they are
        noise = keras.random.normal((8, 2), seed=self.seeds)
        for part, sign, model in (("d", 1, self.discriminator), ("g", -1, self.generator)):
            self.zero_grad()
            fake = self.discriminator(self.generator(noise))
            loss = sign * keras.ops.mean(fake - self.discriminator(real))
            loss.backward()
            gradients = [variable.value.grad for variable in model.trainable_weights]
            with torch.no_grad():
                self.own[part].apply(gradients, model.trainable_weights)
            getattr(self, f"{part}_loss").update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}


@pytest.mark.backend("torch")
def test_adversaries_with_their_own_optimizers(data):
    def made():
        keras.utils.set_random_seed(3)
        model = Adversaries()
        model.compile("sgd")
        return model

    tried, plain = made(), made()
    found = ic.trial(tried, data[0], steps=12, batch_size=8)
    assert {name for name, _ in found.curves} == {"d_loss", "g_loss"}
    assert found.verdict == "undecided"
    assert "several losses" in found.reason
    assert not any(optimizer.built for optimizer in tried.own.values())
    assert all(variable.value.grad is None for variable in tried.trainable_variables)
    for model in (tried, plain):
        model.fit(data[0], batch_size=8, verbose=0, shuffle=False)
    assert_equal(plain.get_weights(), tried.get_weights())
    for part in "dg":
        assert_equal(*([to_numpy(v) for v in m.own[part].variables] for m in (plain, tried)))


@pytest.mark.backend("tensorflow")
def test_variables_that_are_mirrored_on_two_devices(data):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = without_randomness(OPTIMIZERS.Adam(0.01))
    before = [to_numpy(variable) for variable in model.variables]
    found = ic.trial(model, *data, steps=STEPS)
    assert found.losses[-1] < found.losses[0]
    assert_equal(before, [to_numpy(variable) for variable in model.variables])
