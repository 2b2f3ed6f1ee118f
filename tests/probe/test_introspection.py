"""The private names of Keras that the probe leans on: a failure here says that Keras has changed
one of them.
"""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.keras_model import introspection

LAYERS = keras.layers


@pytest.fixture
def nested():
    inputs = keras.Input((4,), name="data")
    inner = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, name="inside")], name="inner")
    hidden = keras.ops.relu(inner(inputs))
    return keras.Model(inputs, LAYERS.Dense(2, name="outside")(hidden + 1.0))


def test_layers_at_any_depth_are_found(nested):
    names = [layer.name for layer in introspection.flatten_layers(nested)]
    assert names[0] == nested.name
    assert {"inner", "inside", "outside"} <= set(names)


def test_only_direct_sublayers_are_sublayers(nested):
    assert "inside" not in [layer.name for layer in introspection.sublayers(nested)]
    assert [
        layer.name
        for layer in introspection.sublayers(nested.get_layer("inner"))
        if layer.name == "inside"
    ] == ["inside"]


def test_graphs_of_nested_models_are_found(nested):
    assert len(introspection.functional_graphs(nested)) == 2


def test_operations_that_are_no_layers_are_found(nested):
    names = [
        type(operation).__name__ for operation in introspection.operations_without_layers(nested)
    ]
    assert sorted(names) == ["Add", "Relu"]


def test_operation_that_alone_takes_an_output_is_known(nested):
    outside = nested.get_layer("outside")
    assert id(outside) in introspection.sole_consumers(nested)
    inputs = keras.Input((4,))
    hidden = LAYERS.Dense(4)(inputs)
    forked = keras.Model(
        inputs,
        LAYERS.Add()([LAYERS.Dense(4, name="left")(hidden), LAYERS.Dense(4, name="right")(hidden)]),
    )
    assert id(forked.get_layer("left")) not in introspection.sole_consumers(forked)


def test_unbuilt_model_is_built_without_being_run():
    model = keras.Sequential([LAYERS.Dense(3), LAYERS.Dense(2)])
    assert not introspection.is_built(model)
    introspection.build(model, keras.ops.convert_to_tensor(np.zeros((2, 5), "float32")))
    assert introspection.is_built(model)
    assert [tuple(weight.shape) for weight in model.weights] == [(5, 3), (3,), (3, 2), (2,)]


def test_parts_that_compile_makes_are_found(nested):
    assert introspection.compiled_parts(nested) == []
    nested.compile("sgd", "mse", metrics=["mae"])
    parts = introspection.compiled_parts(nested)
    assert nested.optimizer in parts
    assert any(type(part).__name__ == "CompileLoss" for part in parts)
    assert all(metric in parts for metric in nested.metrics)


def test_regularised_variable_comes_with_its_value():
    model = keras.Sequential([keras.Input((2,)), LAYERS.Dense(2, kernel_regularizer="l2")])
    ((variable, value),) = introspection.regularised_values(model)
    assert variable is model.layers[0].kernel
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(variable)
    )


def test_consumers_of_a_symbolic_tensor_are_found(nested):
    assert [operation.name for operation in introspection.consumers(nested, nested.inputs[0])] == [
        "inner"
    ]
