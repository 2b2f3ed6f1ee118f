"""Ranks of kernels whose rank is known, and columns of tables by hand."""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.engine import statistics_rows

pytestmark = pytest.mark.slow_on("jax")

LAYERS = keras.layers


def ranks(measure, x, *layers):
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    return lambda: {
        weight.name: weight.rank for weight in measure(model, x).weights if weight.role == "kernel"
    }


@pytest.mark.parametrize("rank", [1, 2, 5, 12])
def test_product_of_thin_matrices_has_their_rank(measure, normal, rank):
    layer = LAYERS.Dense(48, name="low")
    found = ranks(measure, normal(4, 32), layer)
    layer.kernel.assign(normal(32, rank) @ normal(rank, 48, seed=1))
    assert found() == {"low/kernel": rank}


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rank_does_not_depend_on_scale(measure, normal, scale):
    layer = LAYERS.Dense(48, name="low")
    found = ranks(measure, normal(4, 32), layer)
    layer.kernel.assign(normal(32, 3) @ normal(3, 48, seed=1) * np.float32(scale))
    assert found() == {"low/kernel": 3}


@pytest.mark.parametrize("initializer", ["he_normal", "orthogonal", "identity"])
def test_usual_kernels_have_all_directions(measure, normal, initializer):
    assert ranks(
        measure, normal(4, 64), LAYERS.Dense(64, kernel_initializer=initializer, name="full")
    )() == {"full/kernel": 16}


def test_filters_that_repeat_are_counted_once(measure, normal):
    layer = LAYERS.Conv2D(16, 3, name="tiled")
    found = ranks(measure, normal(2, 8, 8, 4), layer)
    layer.kernel.assign(np.tile(normal(3, 3, 4, 2), (1, 1, 1, 8)))
    assert found() == {"tiled/kernel": 2}


def test_kernels_of_few_units_and_per_channel_are_not_counted(measure, normal):
    layers = (
        LAYERS.DepthwiseConv2D(3, name="depthwise"),
        LAYERS.Conv2D(3, 1, name="few"),
        LAYERS.Conv2D(8, 1, name="from_few"),
    )
    assert set(ranks(measure, normal(2, 8, 8, 4), *layers)().values()) == {None}


def test_kernel_with_nan_has_no_rank(measure, normal):
    layer = LAYERS.Dense(8, name="broken")
    found = ranks(measure, normal(4, 8), layer)
    layer.kernel.assign(np.full((8, 8), np.nan, "float32"))
    assert found() == {"broken/kernel": None}


def columns_of(measure, table):
    model = keras.Sequential([keras.Input(table.shape[1:]), LAYERS.Dense(3)])
    return measure(model, table.astype("float32")).tabular_inputs


def test_largest_column_is_measured_against_the_median(measure, normal):
    table = normal(64, 5) * np.array([1.0, 2.0, 300.0, 3.0, 4.0])
    (columns,) = columns_of(measure, table)
    sizes = np.sqrt(np.square(table).mean(axis=0))
    assert (columns.width, columns.largest) == (5, (2,))
    assert columns.share == pytest.approx(sizes[2] ** 2 / np.square(sizes).sum())
    assert (columns.root_mean_square, columns.median) == pytest.approx((sizes[2], sizes[3]))


def test_tenth_of_the_columns_may_be_the_largest(measure, normal):
    table = normal(64, 30) * np.where(np.arange(30) < 3, [[100.0]], [[1.0]])
    (columns,) = columns_of(measure, table)
    assert sorted(columns.largest) == [0, 1, 2]


def test_constant_and_sparse_columns_are_left_out(measure, normal):
    table = normal(64, 4)
    table[:, 0], table[20:, 1] = 1e6, 0.0
    (columns,) = columns_of(measure, table)
    assert columns.root_mean_square < 2


@pytest.mark.parametrize(
    "shape", [(8, 1), (8, 5, 4), (8, 3000)], ids=["one column", "sequence", "wide"]
)
def test_what_is_no_table_has_no_columns(measure, normal, shape):
    assert columns_of(measure, normal(*shape)) == ()


def test_table_with_nan_has_no_columns(measure, normal):
    table = normal(8, 4)
    table[0, 0] = np.nan
    assert columns_of(measure, table) == ()


def test_nothing_is_tiled_into_an_empty_tensor():
    assert tuple(statistics_rows.tiled(np.zeros(0), (0, 3), "float32").shape) == (0, 3)


@pytest.mark.parametrize("size", [4096, 2**16])
def test_function_is_told_from_noise_however_often_it_turns(size):
    z = np.random.default_rng(0).standard_normal((size // 64, 64)).astype("float32")
    noise = np.random.default_rng(1).standard_normal(z.shape).astype("float32")

    def is_function(after):
        turns = statistics_rows.turns(*map(keras.ops.convert_to_tensor, (z, after)))
        return float(turns) <= statistics_rows.MOST_TURNS

    assert all(is_function(np.sin(factor * z)) for factor in (1.0, 20.0, 60.0))
    assert is_function(np.maximum(z, 0.0))
    unrelated = [noise, np.maximum(noise - 1.5, 0.0), z + 0.05 * noise, np.sin(20.0 * z) + noise]
    assert not any(map(is_function, unrelated))
    assert not is_function(np.zeros_like(z))
