"""A repair goes for the cause: upstream of what shows the fault, and in every layer that has it."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.repairs.plan import RESCALE, Step
from keras_initcheck.repairs.step_maker import StepMaker
from tests.support.faulty_models import (
    LAYERS,
    are_same,
    batch,
    compiled,
    mlp,
    normal,
    transformer,
    values,
)


def size(variable):
    """Root mean square of a variable."""
    return float(np.sqrt(np.mean(keras.ops.convert_to_numpy(variable.value) ** 2)))


def kernels(model):
    """Root mean squares of all kernels, by path."""
    return {
        variable.path: size(variable)
        for variable in model.trainable_variables
        if variable.name == "kernel"
    }


def test_exploding_state_is_mended_in_the_recurrent_kernel_and_not_in_the_head():
    keras.utils.set_random_seed(0)
    layer = LAYERS.SimpleRNN(32, "relu", recurrent_initializer=normal(1.0)(), name="rnn")
    model = compiled(keras.Sequential([keras.Input((30, 8)), layer, LAYERS.Dense(10, name="head")]))
    done = ic.repair(model, *batch(model))
    assert done.applied, done
    assert done.after.ok
    assert [step.variables for step in done.steps] == [("rnn/simple_rnn_cell/recurrent_kernel",)]


class Loud(LAYERS.Layer):
    """Multiplies what it gets by a million, which no weight explains."""

    def call(self, x):
        return 1e6 * x


def test_head_is_not_made_tiny_to_hide_what_lies_before_it():
    keras.utils.set_random_seed(0)
    hidden = [LAYERS.Dense(64, "relu", kernel_initializer="he_normal"), Loud()]
    model = compiled(keras.Sequential([keras.Input((64,)), *hidden, LAYERS.Dense(10, name="head")]))
    before = values(model)  # of all rules on the path, the one on the head is asked alone
    done = ic.repair(model, *batch(model), select=["IC404"], first_step=False)
    assert not done.applied
    assert "would hide a fault that lies elsewhere" in done.message
    assert are_same(values(model), before)


def test_head_of_the_same_draw_is_mended_with_the_layers_before_it():
    keras.utils.set_random_seed(0)
    model = mlp(normal(1.0))
    model.get_layer("head").kernel.assign(np.random.default_rng(0).standard_normal((64, 10)))
    done = ic.repair(compiled(model), *batch(model))
    assert done.applied, done
    head = model.get_layer("head").kernel
    assert size(head) == pytest.approx(1 / 8, rel=1e-4)  # LeCun's, in float32
    assert "head/kernel by 0.1" in str(done)
    (output,) = done.after.profile.outputs
    assert output.value < np.log(10) + 1.0


@pytest.mark.slow_on("tensorflow", "jax")
def test_every_kernel_behind_a_normalization_is_mended_with_queries_and_keys():
    keras.utils.set_random_seed(0)
    model = compiled(transformer(), "adam")
    head = kernels(model)["head/kernel"]
    done = ic.repair(model, *batch(model))
    assert done.applied, done
    targets = {finding.code for finding in done.plan.targets}
    assert targets == {"IC207"}, "Adam bears the gain of the dense layers"
    wide = np.sqrt(1 / (0.4252 * 16))  # E[gelu(z)²] = 0.4252 for a standard normal z
    narrow, projection = np.sqrt(1 / 32), np.sqrt(1 / 16)
    for path, found in kernels(model).items():
        right = {"wide": wide, "narr": narrow, "atte": projection, "head": head}[path[:4]]
        assert found == pytest.approx(right, rel=1e-3), path  # 0.4252 has four digits


def test_plan_that_makes_something_worse_gives_way_to_the_least_one(monkeypatch):
    keras.utils.set_random_seed(0)
    model = compiled(mlp(normal(0.01)))
    head = values(model)[-3:]

    def too_much(self, steps, targets):
        return [Step("head", RESCALE, ("head/kernel",), "by mistake", factor=1e4)]

    monkeypatch.setattr(StepMaker, "sharing", too_much)
    done = ic.repair(model, *batch(model))
    assert done.applied, done
    assert {step.layer for step in done.steps} == {f"hidden_{number}" for number in range(6)}
    assert are_same(values(model)[-3:], head)
    done.undo()
    first = model.get_layer("hidden_0").kernel
    assert size(first) == pytest.approx(0.01, rel=0.05)  # 4096 weights
