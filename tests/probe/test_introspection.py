"""What the probe asks a model through Keras' public names, and through its graphs."""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.keras_model import graph, introspection

LAYERS = keras.layers


@pytest.fixture
def nested():
    inputs = keras.Input((4,), name="data")
    inner = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, name="inside")], name="inner")
    hidden = keras.ops.relu(inner(inputs))
    return keras.Model(inputs, LAYERS.Dense(2, name="outside")(hidden + 1.0))


def test_graphs_of_nested_models_are_found(nested):
    assert len(graph.functional_graphs(nested)) == 2


def test_operations_that_are_no_layers_are_found(nested):
    names = [type(operation).__name__ for operation in graph.operations_without_layers(nested)]
    assert sorted(names) == ["Add", "Relu"]


def test_operation_that_alone_takes_an_output_is_known(nested):
    outside = nested.get_layer("outside")
    assert id(outside) in graph.sole_consumers(nested)
    inputs = keras.Input((4,))
    hidden = LAYERS.Dense(4)(inputs)
    forked = keras.Model(
        inputs,
        LAYERS.Add()([LAYERS.Dense(4, name="left")(hidden), LAYERS.Dense(4, name="right")(hidden)]),
    )
    assert id(forked.get_layer("left")) not in graph.sole_consumers(forked)


def test_operations_that_take_a_symbolic_tensor_are_found(nested):
    found = graph.next_operations(nested, nested.inputs[0])
    assert [operation.name for operation, _ in found] == ["inner"]


def test_symbolic_inputs_have_the_structure_that_the_model_was_made_with():
    parts = {name: keras.Input((4,), name=name) for name in ("b", "a")}
    model = keras.Model(parts, LAYERS.Add()(list(parts.values())))
    found = graph.symbolic_inputs(model)
    assert {name: each.name for name, each in found.items()} == {"a": "a", "b": "b"}


@pytest.mark.parametrize("is_built", [True, False])
def test_symbolic_input_of_a_sequential_is_a_single_tensor(is_built):
    model = keras.Sequential([*([keras.Input((4,))] if is_built else []), LAYERS.Dense(2)])
    found = graph.symbolic_inputs(model)
    assert found.shape == (None, 4) if is_built else found is None


def test_parts_that_compile_makes_are_found(nested):
    assert introspection.compiled_parts(nested) == []
    nested.compile("sgd", "mse", metrics=["mae"])
    parts = introspection.compiled_parts(nested)
    assert nested.optimizer in parts
    assert any(type(part).__name__ == "CompileLoss" for part in parts)
    assert all(metric in parts for metric in nested.metrics)


def test_regularized_variable_comes_with_its_value():
    model = keras.Sequential([keras.Input((2,)), LAYERS.Dense(2, kernel_regularizer="l2")])
    ((variable, value),) = introspection.regularized_values(model)
    assert variable is model.layers[0].kernel
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(variable)
    )
