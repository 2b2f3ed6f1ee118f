"""A graph with one input whose layer raises is told as that layer's failure."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.records.errors import ProbeError


class Raising(keras.layers.Layer):
    def call(self, x):
        raise RuntimeError("this layer never works")

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_layer_that_raises_behind_a_single_input():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(3)(Raising()(inputs)))
    with pytest.raises(ProbeError, match="this layer never works"):
        ic.check(model, np.ones((4, 6), "float32"))
