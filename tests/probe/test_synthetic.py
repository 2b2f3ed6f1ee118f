"""Inputs that are made up for a model without data: what reaches its first layer with weights is
standard normal.
"""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.synthetic import synthetic_inputs

LAYERS = {
    "none": lambda: [],
    "pixels": lambda: [keras.layers.Rescaling(1 / 255)],
    "pixels to -1..1": lambda: [keras.layers.Rescaling(1 / 127.5, offset=-1.0)],
    "three colours": lambda: [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3),
    ],
    "inverse": lambda: [
        keras.layers.Normalization(mean=[4.0] * 3, variance=[9.0] * 3, invert=True)
    ],
    "nested": lambda: [
        keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling([1 / 255, 2.0, 3.0])])
    ],
}


@pytest.mark.parametrize("case", LAYERS)
def test_what_leaves_the_preprocessing_is_standard_normal(case):
    layers = LAYERS[case]()
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers, keras.layers.Conv2D(4, 3)])
    leaving = synthetic_inputs(model, 32, seed=0)
    for layer in layers:
        leaving = keras.ops.convert_to_numpy(layer(leaving))
    # 24576 numbers: the deviations of mean and standard deviation are 0.0064 and 0.0045, of which
    # this is four.
    assert np.abs(leaving.mean()) < 0.026
    assert leaving.std() == pytest.approx(1.0, abs=0.018)


def test_input_that_goes_two_ways_is_standard_normal_itself():
    image = keras.Input((8,))
    both = keras.layers.Concatenate()(
        [keras.layers.Rescaling(1 / 255)(image), keras.layers.Dense(8)(image)]
    )
    assert synthetic_inputs(keras.Model(image, both), 64, seed=0).std() == pytest.approx(
        1.0, abs=0.13
    )  # four deviations of 512 numbers


def test_a_scale_of_zero_is_left_alone():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Rescaling(0.0), keras.layers.Dense(2)]
    )
    assert np.isfinite(synthetic_inputs(model, 4, seed=0)).all()
