"""Settling on a batch: one pass, every pre-activation at its standard deviation, and nothing else
changed.
"""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.repairs.settling import Settler
from tests.support.faulty_models import are_same, batch, compiled, mlp, normal, transformer, values


def deviations(model, x):
    """Standard deviation of each weight layer's pre-activation, by a pass of its own for each
    layer.
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            linear = keras.Model(model.inputs[0], layer.input)(x, training=True)
            z = keras.ops.matmul(linear, layer.kernel) + layer.bias
            found[layer.name] = float(keras.ops.convert_to_numpy(keras.ops.std(z)))
    return found


def settle(model, x, **arguments):
    kernels = {
        id(layer): [layer.kernel] for layer in model.layers if isinstance(layer, keras.layers.Dense)
    }
    settler = Settler(model, kernels, **arguments)
    settler.run(take_batch(x))
    return settler


@pytest.mark.parametrize(("target", "tolerance"), [(1.0, 0.1), (0.5, 0.02)])
def test_every_layer_gets_the_wanted_deviation(target, tolerance):
    model = mlp(normal(0.3), depth=8, activation="tanh")
    x, _ = batch(model)
    settle(model, x, target=target, tolerance=tolerance)
    for name, deviation in deviations(model, x).items():
        assert deviation == pytest.approx(target, rel=tolerance), name


def test_a_bias_does_not_scale_with_the_kernel_and_is_reckoned_with():
    model = mlp(normal(0.3), depth=3, bias_initializer=keras.initializers.RandomNormal(stddev=0.5))
    x, _ = batch(model)
    settle(model, x)
    assert all(
        deviation == pytest.approx(1.0, rel=0.1) for deviation in deviations(model, x).values()
    )


def test_nothing_but_the_kernels_changes():
    hidden = [
        keras.layers.Dense(16, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
    ]
    model = compiled(keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)]))
    x, _ = batch(model)
    before = values(model)
    settle(model, x)
    kernels = [
        position for position, variable in enumerate(model.variables) if variable.name == "kernel"
    ]
    after = values(model)
    assert all(are_same([before[n]], [after[n]]) for n in range(len(before)) if n not in kernels)
    assert not any(are_same([before[n]], [after[n]]) for n in kernels)
    assert all("call" not in vars(layer) for layer in model.layers)


def test_an_exception_in_a_layer_leaves_all_as_it_was():
    class Fails(keras.layers.Layer):
        is_broken = False

        def call(self, x):
            if self.is_broken:
                raise RuntimeError("inside the model")
            return x

    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(8), Fails(name="fails"), keras.layers.Dense(4)]
    )
    model.get_layer("fails").is_broken = True
    x, _ = batch(model)
    before = values(model)
    with pytest.raises(RuntimeError, match="inside the model"):
        settle(model, x)
    assert are_same(values(model), before)
    assert all("call" not in vars(layer) for layer in model.layers)


def test_a_layer_that_is_called_twice_is_settled_for_the_mean_of_its_calls():
    shared = keras.layers.Dense(64, kernel_initializer=normal(1.0)(), name="shared")
    entered = keras.Input((64,))
    model = keras.Model(entered, shared(keras.layers.Rescaling(4.0)(shared(entered))))
    x, _ = batch(model)
    settle(model, x)
    first = shared(x)
    found = [
        float(keras.ops.convert_to_numpy(keras.ops.std(z))) for z in (first, shared(4.0 * first))
    ]
    # One more factor for both calls leaves their geometric mean where the kernel's own scale puts
    # it: near 1, not on it.
    assert 0.4 < np.sqrt(found[0] * found[1]) < 2.5


def test_lsuv_settles_every_weight_layer():
    keras.utils.set_random_seed(0)
    model = compiled(mlp(normal(1.0), depth=10, activation="tanh"))
    x, y = batch(model)
    done = ic.repair(model, x, y, method="lsuv")
    assert done.applied, done
    assert all(
        deviation == pytest.approx(1.0, rel=0.1) for deviation in deviations(model, x).values()
    )


def test_layers_inside_attention_are_settled_too():
    keras.utils.set_random_seed(0)
    model = compiled(transformer())
    done = ic.repair(model, *batch(model), method="lsuv")
    settled = {
        step.layer
        for step in done.steps
        if step.action == "settle" and step.factor not in (None, 1.0)
    }
    assert {"attention_1/query", "attention_0/attention_output"} <= settled
    assert done.applied, done
