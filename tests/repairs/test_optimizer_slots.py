"""What an optimizer remembers of changed variables goes back to where it began, whatever the
optimizer calls it.
"""

import keras
import numpy as np
import pytest

from keras_initcheck.repairs import optimizer_slots
from tests.support.faulty_models import batch, mlp


def slots_of(model, optimizer):
    """Slots of the first kernel after a step."""
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    model.fit(*batch(model), verbose=0)
    kernel = model.layers[0].kernel
    return kernel, {
        kind: slot for slot, _, kind in optimizer_slots.slots(model.optimizer, [kernel])
    }


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), {"momentums": 0.0}),
        (lambda: keras.optimizers.Adam(), {"momentums": 0.0, "velocities": 0.0}),
        (lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.3), {"accumulators": 0.3}),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9)),
            {"momentums": 0.0},
        ),
    ],
    ids=["SGD", "Adam", "Adagrad", "loss scale"],
)
def test_slots_begin_again(make, expected):
    model = mlp(keras.initializers.HeNormal, depth=2)
    kernel, found = slots_of(model, make())
    assert set(found) == set(expected)
    for kind, value in expected.items():
        assert np.any(keras.ops.convert_to_numpy(found[kind].value) != np.float32(value)), (
            "a step must have changed it"
        )
    optimizer_slots.reset(model.optimizer, [kernel])
    for kind, value in expected.items():
        assert np.all(keras.ops.convert_to_numpy(found[kind].value) == np.float32(value))


@pytest.mark.parametrize("use_ema", [False, True])
def test_moving_average_begins_at_the_new_weights(use_ema):
    model = mlp(keras.initializers.HeNormal, depth=2)
    kernel, found = slots_of(model, keras.optimizers.SGD(0.1, momentum=0.9, use_ema=use_ema))
    kernel.assign(np.full(kernel.shape, 0.25))
    optimizer_slots.reset(model.optimizer, [kernel])
    values = {
        kind: np.unique(keras.ops.convert_to_numpy(slot.value)).tolist()
        for kind, slot in found.items()
    }
    assert values == {
        "momentums": [0.0],
        **({"model_variables_moving_average": [0.25]} if use_ema else {}),
    }


OPTIMIZERS = {
    name: kind
    for name, kind in vars(keras.optimizers).items()
    if isinstance(kind, type)
    and issubclass(kind, keras.optimizers.Optimizer)
    and not hasattr(kind, "optimizers")
}
"""Every optimizer of this release of Keras but those that wrap others."""
for wrapper in ("Optimizer", "LossScaleOptimizer"):
    del OPTIMIZERS[wrapper]


def numpy(variable):
    return keras.ops.convert_to_numpy(variable.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_memory_of_every_optimizer_of_keras_is_that_of_a_new_one(name):
    """Whatever the lists are called and however they are shaped. A new optimizer is built on the
    new weights.
    """
    kernel = keras.Variable(np.full((3, 2), 0.5), dtype="float32")
    bias = keras.Variable(np.full((2,), 0.5), dtype="float32")
    optimizer, new = OPTIMIZERS[name](learning_rate=0.1), OPTIMIZERS[name](learning_rate=0.1)
    optimizer.build([kernel, bias])
    for _ in range(2):
        optimizer.apply([keras.ops.ones((3, 2)), keras.ops.ones((2,))], [kernel, bias])
    kernel.assign(np.full((3, 2), 0.25))
    new.build([kernel, bias])
    optimizer_slots.reset(optimizer, [kernel, bias])
    kept = {id(optimizer._iterations), id(new._iterations)}
    pairs = [
        (a, b)
        for a, b in zip(optimizer.variables, new.variables, strict=True)
        if id(a) not in kept and a.shape != ()
    ]
    assert all(np.array_equal(numpy(a), numpy(b)) for a, b in pairs)
    assert int(numpy(optimizer._iterations)) == 2
    assert float(numpy(optimizer._learning_rate)) == np.float32(0.1)


def test_memory_of_variables_that_stay_is_kept():
    kernel, bias = keras.Variable(np.ones((3, 2))), keras.Variable(np.ones((2,)))
    optimizer = keras.optimizers.Adafactor(0.1)
    optimizer.build([kernel, bias])
    optimizer.apply([keras.ops.ones((3, 2)), keras.ops.ones((2,))], [kernel, bias])
    optimizer_slots.reset(optimizer, [kernel])
    found = {
        kind: numpy(slot)
        for slot, variable, kind in optimizer_slots.slots(optimizer, [kernel, bias])
        if variable is bias
    }
    assert np.all(found["v"] != 0.0)
