"""A compiled pass runs none of the model's Python, so that nothing is put aside before it; where it
calls back to Python or holds variables of the user's, everything is.
"""

import keras
import numpy as np
import pytest

import keras_initcheck.probe.tap.preserve as preserve
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe

LAYERS, FAST = keras.layers, {"is_exact": False, "cotangents": ("loss",)}
BATCH = take_batch(
    *(
        np.random.default_rng(seed).standard_normal((8, width)).astype("float32")
        for seed, width in ((0, 6), (1, 3))
    )
)


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


@pytest.fixture
def captured(monkeypatch):
    """The models whose objects are captured, in order."""
    found = []
    capture = preserve.capture_objects

    def note(model, *others):
        found.append(model)
        return capture(model, *others)

    monkeypatch.setattr(preserve, "capture_objects", note)
    return found


class Counting(LAYERS.Layer):
    """Counts its calls, from Python that the compiled pass calls back."""

    def __init__(self, call_back=None):
        super().__init__()
        self.call_back, self.num_calls = call_back, 0

    def call(self, x):
        self.num_calls += 1
        return x if self.call_back is None else self.call_back(self, x)

    def count(self, x):
        self.num_calls += 1
        return np.asarray(x)


def probed(layer):
    model = keras.Sequential([keras.Input((6,)), layer, LAYERS.Dense(3)])
    model.compile("sgd", "mse")
    probe = Probe(model)
    probe.measure(BATCH, **FAST)
    return probe


@pytest.mark.backend("jax", "tensorflow")
def test_nothing_is_captured_before_a_compiled_pass(captured):
    layer = Counting()
    probe, before = probed(layer), layer.num_calls
    captured.clear()
    first, second = (probe.measure(BATCH, **FAST) for _ in range(2))
    assert not captured and layer.num_calls == before
    assert first.loss == second.loss


@pytest.mark.backend("torch")
def test_everything_is_captured_before_a_pass_that_runs_eagerly(captured):
    layer = Counting()
    probe, before = probed(layer), layer.num_calls
    probe.measure(BATCH, **FAST)
    assert len(captured) == 2 and layer.num_calls == before


def test_a_pass_that_is_traced_again_puts_back_what_its_layers_did():
    layer = Counting()
    probe, before = probed(layer), layer.num_calls
    probe.measure(take_batch(BATCH.x[:4], BATCH.y[:4]), **FAST)
    assert layer.num_calls == before


def jax_callback(layer, x):
    import jax
    from jax.experimental import io_callback

    kind = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return x + 0.0 * jax.lax.stop_gradient(
        io_callback(layer.count, kind, jax.lax.stop_gradient(x), ordered=False)
    )


def jax_callback_in_a_loop(layer, x):
    import jax

    def body(_, value):
        jax.debug.callback(layer.count, value, ordered=False)
        return value

    return x + 0.0 * jax.lax.fori_loop(0, 2, body, jax.lax.stop_gradient(x))


def tensorflow_callback(layer, x):
    import tensorflow as tf

    found = tf.py_function(layer.count, [tf.stop_gradient(x)], x.dtype)
    return x + 0.0 * tf.stop_gradient(tf.ensure_shape(found, x.shape))


def tensorflow_callback_in_a_loop(layer, x):
    import tensorflow as tf

    start = tf.stop_gradient(x)
    found = tf.while_loop(
        lambda i, value: i < 2,
        lambda i, value: (
            i + 1,
            tf.ensure_shape(tf.numpy_function(layer.count, [value], x.dtype), x.shape),
        ),
        [0, start],
    )
    return x + 0.0 * tf.stop_gradient(found[1])


CALLBACKS = [
    pytest.param(jax_callback, marks=pytest.mark.backend("jax")),
    pytest.param(jax_callback_in_a_loop, marks=pytest.mark.backend("jax")),
    pytest.param(tensorflow_callback, marks=pytest.mark.backend("tensorflow")),
    pytest.param(tensorflow_callback_in_a_loop, marks=pytest.mark.backend("tensorflow")),
]


@pytest.mark.parametrize("call_back", CALLBACKS)
def test_objects_that_a_compiled_pass_changes_from_python(call_back, captured):
    layer = Counting(call_back)
    probe, before = probed(layer), layer.num_calls
    captured.clear()
    probe.measure(BATCH, **FAST)
    assert len(captured) == 1 and layer.num_calls == before


@pytest.mark.backend("tensorflow")
def test_a_variable_of_the_user_that_a_compiled_pass_changes(captured):
    import tensorflow as tf

    count = tf.Variable(0.0)

    def count_up(layer, x):
        return x + 0.0 * count.assign_add(1.0)

    layer = Counting(count_up)
    layer.own = count
    probe = probed(layer)
    captured.clear()
    probe.measure(BATCH, **FAST)
    assert len(captured) == 1 and count.numpy() == 0.0
