"""Layers of the user's own: a matrix that explains what was measured is multiplied, no other."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_initcheck as ic
from tests.support.faulty_models import are_same, compiled, normal, values

WIDTH, DEPTH = 128, 6


class Product(layers.Layer):
    """`function(x @ w)`."""

    def __init__(self, std=0.01, function=ops.relu, **options):
        super().__init__(**options)
        self.function, self.initializer = function, normal(std)()

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], WIDTH), initializer=self.initializer, name="w")

    def call(self, x):
        return self.function(ops.matmul(x, self.w))

    def compute_output_shape(self, shape):
        return (*shape[:-1], WIDTH)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = products()
        self.head = layers.Dense(10, name="head")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)


def products(**options):
    return [Product(name=f"own_{number}", **options) for number in range(DEPTH)]


def functional(hidden=None):
    hidden = products() if hidden is None else hidden
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, name="head")])


def rectified_between():
    pairs = [(layer, layers.ReLU()) for layer in products(function=lambda z: z)]
    return functional([layer for pair in pairs for layer in pair])


def over_time():
    hidden = [layers.TimeDistributed(layer) for layer in products()]
    head = [layers.Flatten(), layers.Dense(10, name="head")]
    return keras.Sequential([keras.Input((5, 64)), *hidden, *head])


def among_dense():
    hidden = products()
    hidden[2] = layers.Dense(WIDTH, "relu", kernel_initializer=normal(0.01)())
    return functional(hidden)


def batch(*shape):
    generator = np.random.default_rng(0)
    return generator.standard_normal((64, *shape)).astype("float32"), generator.integers(0, 10, 64)


def matrices(model):
    return [
        keras.ops.convert_to_numpy(variable.value)
        for variable in model.trainable_variables
        if variable.name == "w"
    ]


def size(matrix):
    return float(np.sqrt(np.mean(matrix**2)))


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (functional, (64,)),
        (Subclassed, (64,)),
        (rectified_between, (64,)),
        (among_dense, (64,)),
        pytest.param(over_time, (5, 64), marks=pytest.mark.slow_on("tensorflow", "jax")),
    ],
)
def test_matrices_of_own_layers_get_the_size_that_he_et_al_give(build, shape):
    keras.utils.set_random_seed(0)
    model, (x, y) = build(), batch(*shape)
    model(x)
    compiled(model)
    before = values(model)
    drawn = matrices(model)
    done = ic.repair(model, x, y)
    assert done.applied, done
    assert done.after.ok
    for old, new in zip(drawn, matrices(model), strict=True):
        # What 64 samples and 128 units make of a ratio by chance, up to a quarter.
        assert size(new) == pytest.approx(np.sqrt(2.0 / len(new)), rel=0.25)
        np.testing.assert_allclose(new / old, size(new) / size(old), rtol=1e-4)  # float32
    done.undo()
    assert are_same(values(model), before)


def test_own_layer_of_the_right_size_keeps_its_matrix():
    keras.utils.set_random_seed(0)
    hidden = products()
    hidden[3] = Product(np.sqrt(2.0 / WIDTH), name="own_3")
    model = compiled(functional(hidden))
    done = ic.repair(model, *batch(64))
    assert done.applied, done
    assert "own_3" not in {step.layer for step in done.steps}
    assert len(done.steps) == DEPTH - 1


def shallow(z):
    """A sine of little, which is its argument, and then of the size that no factor gives it."""
    return 1e-3 * ops.sin(z)


@pytest.mark.parametrize(
    ("options", "change", "reason"),
    [
        ({"function": shallow}, None, "the right size is not known"),
        ({"std": 1e-5}, None, "the right size is not known"),
        ({}, "freeze", "frozen"),
        ({}, "shift", "the right size is not known"),
    ],
    ids=["not explained", "beyond a thousand", "frozen", "not centered"],
)
def test_own_layer_whose_cure_is_not_sure_is_left_with_the_reason(options, change, reason):
    keras.utils.set_random_seed(0)
    hidden = products(**options)
    model = functional(hidden)
    for layer in hidden:
        layer.trainable = change != "freeze"
        if change == "shift":
            layer.w.assign(layer.w.value + 0.0013)  # 1.7% of the mean square
    compiled(model)
    before = values(model)
    done = ic.repair(model, *batch(64))
    assert not done.applied
    assert done.steps == ()
    assert reason in done.message
    assert are_same(values(model), before)


def test_own_layers_that_are_not_named_stay():
    keras.utils.set_random_seed(0)
    model = compiled(functional())
    done = ic.repair(model, *batch(64), layers="head")
    assert done.steps == ()
    assert "not among the layers that may change" in done.message


@pytest.mark.parametrize("method", ["he", "lsuv"])
def test_own_layers_are_multiplied_where_all_else_is_drawn_anew(method):
    keras.utils.set_random_seed(0)
    model = compiled(functional())
    done = ic.repair(model, *batch(64), method=method)
    assert done.applied, done
    by_layer = {step.layer: step.action for step in done.steps if step.action != "settle"}
    assert by_layer == {**{f"own_{number}": "rescale" for number in range(DEPTH)}, "head": "redraw"}
