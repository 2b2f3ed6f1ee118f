"""What an optimizer remembers of changed variables goes back to where it began, whatever the optimizer calls it."""

import keras
import numpy as np
import pytest
from faulty import batch, mlp

from keras_initcheck.repairs import optimizer_slots


def slots_of(model, optimizer):
    """Slots of the first kernel after a step."""
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    model.fit(*batch(model), verbose=0)
    kernel = model.layers[0].kernel
    return kernel, {kind: slot for slot, _, kind in optimizer_slots.slots(model.optimizer, [kernel])}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), {"momentums": 0.0}),
        (lambda: keras.optimizers.Adam(), {"momentums": 0.0, "velocities": 0.0}),
        (lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.3), {"accumulators": 0.3}),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9)), {"momentums": 0.0}),
    ],
    ids=["SGD", "Adam", "Adagrad", "loss scale"],
)
def test_slots_begin_again(make, expected):
    model = mlp(keras.initializers.HeNormal, depth=2)
    kernel, found = slots_of(model, make())
    assert set(found) == set(expected)
    for kind, value in expected.items():
        assert np.any(keras.ops.convert_to_numpy(found[kind].value) != np.float32(value)), "a step must have changed it"
    optimizer_slots.reset(model.optimizer, [kernel])
    for kind, value in expected.items():
        assert np.all(keras.ops.convert_to_numpy(found[kind].value) == np.float32(value))


@pytest.mark.parametrize("use_ema", [False, True])
def test_moving_average_begins_at_the_new_weights(use_ema):
    model = mlp(keras.initializers.HeNormal, depth=2)
    kernel, found = slots_of(model, keras.optimizers.SGD(0.1, momentum=0.9, use_ema=use_ema))
    kernel.assign(np.full(kernel.shape, 0.25))
    optimizer_slots.reset(model.optimizer, [kernel])
    values = {kind: np.unique(keras.ops.convert_to_numpy(slot.value)).tolist() for kind, slot in found.items()}
    assert values == {"momentums": [0.0], **({"model_variables_moving_average": [0.25]} if use_ema else {})}
