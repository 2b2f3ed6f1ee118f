"""Rows that NumPy takes inside of a compiled JAX pass, and what a first pass compiles."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.probe import engine
from keras_initcheck.probe.engine import host_rows, statistics_rows

MOST_PROGRAMS = 12
"""The pass, the update, and the zeros of an optimizer's slots in each shape of a weight."""


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def with_infinities():
    tensor = numbers(8, 9)
    tensor[0, 0], tensor[1, 1], tensor[2], tensor[:, 3] = np.nan, np.inf, 0, 0
    return tensor


TENSORS = {
    "images": 3 * numbers(4, 20, 20, 8) + 1,
    "rectified": np.maximum(numbers(256, 64), 0),
    "vector": numbers(100),
    "scalar": np.array(3.0, "float32"),
    "many samples": numbers(5000, 7),
    "large": 1e25 * numbers(50, 7),
    "small": 1e-33 * numbers(50, 7),
    "zeros": np.zeros((4, 3), "float32"),
    "constant": np.full((5, 6), 7, "float32"),
    "equal samples": np.tile(numbers(1, 6), (5, 1)),
    "dead channel": numbers(4, 5, 5, 3) * np.array([1, 0, 1], "float32"),
    "not finite": with_infinities(),
    "nothing finite": np.full((3, 3), np.nan, "float32"),
    "half": numbers(16, 16).astype("float16"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_row_is_that_of_the_device(name):
    """Columns are of the order of one, and float32 sums of 50,000 elements round by 1e-6."""
    tensor = TENSORS[name]
    signs = statistics_rows.signs_for(tensor)
    expected = statistics_rows.exact_weight_row(keras.ops.convert_to_tensor(tensor), signs)
    row = host_rows.exact_weight_row(tensor, signs)
    np.testing.assert_allclose(row, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6)


def test_array_is_left_as_it_is():
    tensor = TENSORS["not finite"].copy()
    tensor.flags.writeable = False
    host_rows.exact_row(tensor)
    np.testing.assert_array_equal(tensor, TENSORS["not finite"])


def test_dead_channel_is_found_where_channels_come_first():
    tensor = np.moveaxis(TENSORS["dead channel"], -1, 1)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        row = host_rows.exact_row(tensor)
    finally:
        keras.config.set_image_data_format(before)
    assert row[statistics_rows.COLUMNS.index("share_dead")] == pytest.approx(1 / 3)


def cnn(size=12):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model, numbers(8, size, size, 1), np.arange(8) % 3


@pytest.mark.backend("jax")
def test_a_device_of_its_own_gives_the_same_profile(monkeypatch):
    """An accelerator takes rows by itself. Sums are in another order there, hence 1e-4."""
    on_host = ic.check(*cnn()).profile
    monkeypatch.setattr("keras_initcheck.probe.engine.jax_host.are_on_host", lambda values: False)
    on_device = ic.check(*cnn()).profile
    found, expected = on_device.measurement, on_host.measurement
    for name in ("activations", "loss_gradients", "random_gradients", "weights", "inputs"):
        pair = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6, err_msg=name)
    step = on_device.first_step, on_host.first_step
    np.testing.assert_allclose(*[each.relative_updates for each in step], rtol=1e-4)
    assert step[0].loss_after == pytest.approx(step[1].loss_after, rel=1e-5)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("size", [12, 14], ids=["first model", "another shape"])
def test_check_compiles_a_handful_of_programs(size):
    """One for each operation and shape of such a pass would be two hundred."""
    import jax

    model, x, y = cnn(size)
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("jax")
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        with jax.log_compiles():
            ic.check(model, x, y)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
    compiled = [each for each in records if each.startswith("Finished XLA compilation")]
    assert 2 <= len(compiled) <= MOST_PROGRAMS, compiled


@pytest.mark.backend("jax")
def test_row_of_an_array_needs_no_program():
    import jax.numpy as jnp

    row = engine.load().compile_row(statistics_rows.exact_row, host_rows.EXACT_ROW)
    tensor = jnp.asarray(TENSORS["rectified"])
    np.testing.assert_allclose(row(tensor), host_rows.exact_row(TENSORS["rectified"]), rtol=1e-6)
