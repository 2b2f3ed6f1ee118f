"""A probe leaves the model, the global random states and the training that follows bitwise as they
were.
"""

import random

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.errors import DataError, InitCheckError, ProbeError

LAYERS = keras.layers
RUNS_EAGERLY = keras.backend.backend() == "tensorflow"
"""Tracing a train step takes seconds there; what a probe could disturb is the same."""


class Remembering(LAYERS.Layer):
    """Keeps tensors, a list and a dictionary on itself when it is called, as users do to look at
    them later.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = None
        self.history = []
        self.by_name = {"calls": 0}

    def call(self, x):
        self.last = x
        self.history.append(x)
        self.by_name["calls"] += 1
        self.new = x
        return x * 2.0


class AddingLoss(LAYERS.Layer):
    def call(self, x):
        self.add_loss(0.01 * keras.ops.mean(keras.ops.square(x)))
        return x


class Failing(LAYERS.Layer):
    def call(self, x):
        raise RuntimeError("this layer never works")

    def compute_output_shape(self, shape):
        return shape

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def make_model(*extra):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(5, activation="relu", kernel_regularizer="l2"),
            LAYERS.BatchNormalization(),
            LAYERS.Dropout(0.5),
            LAYERS.GaussianNoise(0.1),
            LAYERS.Dense(5, activity_regularizer="l2"),
            *extra,
            LAYERS.Dense(3),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], run_eagerly=RUNS_EAGERLY)
    return model


@pytest.fixture(scope="module")
def data(normal):
    return normal(16, 6, seed=1), normal(16, 3, seed=2)


def contents(value):
    if isinstance(value, dict):
        return [(repr(key), id(part)) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [id(part) for part in value]
    return sorted(map(id, value)) if isinstance(value, (set, frozenset)) else []


def everything(model):
    """Bytes of every variable, and every attribute of every layer by identity, containers with what
    they hold.
    """
    optimizer, metrics = getattr(model, "optimizer", None), model.metrics
    variables = [
        *model.variables,
        *(optimizer.variables if optimizer else []),
        *(v for metric in metrics for v in metric.variables),
    ]
    values = [
        (variable.path, keras.ops.convert_to_numpy(variable.value).tobytes())
        for variable in variables
    ]
    attributes = {}
    for item in [
        *model._flatten_layers(),
        *getattr(model, "operations", []),
        optimizer,
        model._compile_loss,
        *metrics,
    ]:
        for name, value in vars(item).items():
            attributes[type(item).__name__, id(item), name] = (id(value), contents(value))
    return {
        "values": values,
        "attributes": attributes,
        "losses": len(model.losses),
        "compiled": model.compiled,
    }


def assert_same(after, before):
    assert after["values"] == before["values"]
    assert after["attributes"].keys() == before["attributes"].keys()
    changed = [
        key for key, value in after["attributes"].items() if value != before["attributes"][key]
    ]
    assert not changed
    assert after == before


def test_everything_on_a_model_that_was_never_trained(data):
    model = make_model(Remembering(), AddingLoss())
    before = everything(model)
    Probe(model).measure(take_batch(*data))
    assert_same(everything(model), before)


def test_everything_on_a_model_that_was_trained_and_probed_again(data):
    model = make_model(AddingLoss())
    model.fit(*data, verbose=0)
    before = everything(model)
    probe = Probe(model)
    probe.measure(take_batch(*data))
    probe.measure(take_batch(*data), is_exact=False)
    assert_same(everything(model), before)


def test_what_a_layer_remembered_is_what_it_remembered_before(data):
    layer = Remembering()
    model = make_model(layer)
    model(data[0])
    last, history, calls = layer.last, list(layer.history), dict(layer.by_name)
    Probe(model).measure(take_batch(*data))
    assert layer.last is last
    assert len(layer.history) == len(history) and all(
        a is b for a, b in zip(layer.history, history, strict=True)
    )
    assert layer.by_name == calls


def test_layer_that_raises_half_way(data):
    inputs = keras.Input((6,))
    hidden = Remembering()(LAYERS.BatchNormalization()(LAYERS.Dense(4, activation="relu")(inputs)))
    model = keras.Model(inputs, LAYERS.Dense(3)(Failing()(hidden)))
    model.compile("adam", "mse")
    before = everything(model)
    with pytest.raises(ProbeError, match="this layer never works"):
        Probe(model).measure(take_batch(*data))
    assert_same(everything(model), before)


def test_loss_that_raises(data):
    def broken(y_true, y_pred):
        raise ZeroDivisionError("this loss never works")

    model = make_model(Remembering())
    model.compile("adam", broken)
    before = everything(model)
    with pytest.raises(DataError, match="this loss never works"):
        Probe(model).measure(take_batch(*data))
    assert_same(everything(model), before)


def test_labels_that_do_not_fit(data):
    model = make_model()
    before = everything(model)
    with pytest.raises(DataError, match="labels must fit"):
        Probe(model).measure(take_batch(data[0], np.zeros((16, 7), "float32")))
    assert_same(everything(model), before)


def test_inputs_that_do_not_fit(data):
    model = make_model()
    before = everything(model)
    with pytest.raises(InitCheckError, match=r"inputs like \(None, 6\)"):
        Probe(model).measure(take_batch(np.zeros((4, 9), "float32")))
    assert_same(everything(model), before)


def test_global_random_states(data):
    model = make_model()
    states = [random.getstate(), np.random.get_state()]
    Probe(model).measure(take_batch(*data))
    assert random.getstate() == states[0]
    np.testing.assert_equal(np.random.get_state(), states[1])


@pytest.mark.backend("torch")
def test_torch_random_state_and_gradients(data):
    import torch

    model = make_model()
    state = torch.random.get_rng_state()
    Probe(model).measure(take_batch(*data))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_probe_repeats_itself(data):
    probe, batch = Probe(make_model()), take_batch(*data)
    first, second = probe.measure(batch), probe.measure(batch)
    assert [site.activations for site in first.sites] == [site.activations for site in second.sites]
    assert [weight.gradient_norm for weight in first.weights] == [
        weight.gradient_norm for weight in second.weights
    ]


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        part = slice(4 * index, 4 * index + 4)
        return self.x[part], self.y[part]


def yielded(x, y):
    for _ in range(10):
        order = np.random.permutation(len(x))[:4]
        yield x[order], y[order]


def as_tf_data(x, y):
    import tensorflow as tf

    return (tf.data.Dataset.from_tensor_slices((x, y)).batch(4),)


SOURCES = {
    "arrays": lambda x, y: (x, y),
    "PyDataset": lambda x, y: (Batches(x, y),),
    "generator": lambda x, y: (yielded(x, y),),
    "tf.data": as_tf_data,
}


def trained(source, data, is_probed):
    keras.utils.set_random_seed(7)
    model = make_model(AddingLoss())
    if is_probed:
        Probe(model).measure(take_batch(*source(*data)))
    is_cut = source is SOURCES["arrays"]
    steps = 4 if source is SOURCES["generator"] else None
    model.fit(
        *source(*data),
        batch_size=4 if is_cut else None,
        shuffle=is_cut,
        epochs=2,
        steps_per_epoch=steps,
        verbose=0,
    )
    return model.get_weights()


@pytest.mark.parametrize("source", SOURCES)
def test_training_after_a_probe(source, data):
    if source == "tf.data" and keras.backend.backend() != "tensorflow":
        pytest.skip("tf.data is tested where TensorFlow runs")
    for probed, plain in zip(
        trained(SOURCES[source], data, True), trained(SOURCES[source], data, False), strict=True
    ):
        np.testing.assert_array_equal(probed, plain)


class Unbuilt(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = LAYERS.Dense(5, activation="relu")
        self.dropout = LAYERS.Dropout(0.5)
        self.head = LAYERS.Dense(3)

    def call(self, x, training=None):
        return self.head(self.dropout(self.hidden(x), training=training))


def test_unbuilt_model_gets_the_weights_that_fit_would_give_it(data):
    found = []
    for is_probed in (True, False):
        keras.utils.set_random_seed(7)
        model = Unbuilt()
        model.compile("adam", "mse")
        if is_probed:
            Probe(model).measure(take_batch(*data))
        model.fit(*data, batch_size=4, verbose=0)
        found.append(model.get_weights())
    for probed, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(probed, plain)


def test_training_with_several_losses_after_a_probe(normal):
    def history(is_probed):
        keras.utils.set_random_seed(7)
        inputs = keras.Input((6,))
        hidden = LAYERS.Dense(5, activation="relu")(inputs)
        model = keras.Model(
            inputs, {"a": LAYERS.Dense(3, name="a")(hidden), "b": LAYERS.Dense(1, name="b")(hidden)}
        )
        model.compile("adam", loss={"a": "mse", "b": "mae"}, run_eagerly=RUNS_EAGERLY)
        x, y = normal(8, 6), {"a": normal(8, 3, seed=1), "b": normal(8, 1, seed=2)}
        if is_probed:
            Probe(model).measure(take_batch(x, y))
        return model.fit(x, y, epochs=2, verbose=0).history

    assert history(is_probed=True) == history(is_probed=False)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
def test_layer_that_writes_to_its_input_is_probed(normal, is_exact):
    class Adding(LAYERS.Layer):
        def call(self, x):
            x += 1.0
            return 2.0 * x

    model = keras.Sequential(
        [keras.Input((6,)), LAYERS.Dense(5, name="before"), Adding(name="adding"), LAYERS.Dense(3)]
    )
    profile = Probe(model).measure(take_batch(normal(16, 6)), is_exact=is_exact)
    before, adding = profile.site("before").activations.h, profile.site("adding").activations.h
    assert adding.mean == pytest.approx(
        2.0 * (before.mean + 1.0), abs=1e-5
    )  # rounding of a float32 mean
    assert profile.site("before").random_gradients.h.second_moment > 0


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a keras\.Model\. Received: one of type int"):
        Probe(3)
