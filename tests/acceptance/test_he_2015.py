"""He et al. 2015, "Delving Deep into Rectifiers", section 2.2, through the public API."""

import math

import keras
import numpy as np
import pytest

import keras_initcheck as ic

FILTERS = (64, 64, 128, 128, 256, 256, 512, 512, 512, 512)
"""The ten 3x3 convolutions of the paper's example, in its model B."""


def he_std(filters):
    return math.sqrt(2 / (9 * filters))


def ten_convolutions(std):
    """The same Gaussian draws for every `std`, a function of the number of filters."""
    model = keras.Sequential([keras.Input((8, 8, 3))], name="ten_convolutions")
    for position, filters in enumerate(FILTERS):
        initializer = keras.initializers.RandomNormal(stddev=std(filters), seed=position)
        layer = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            use_bias=False,
            kernel_initializer=initializer,
            name=f"conv{position + 1}",
        )
        model.add(layer)
    return model


def attenuation(model):
    """Standard deviation of the gradient that comes out of conv2, for one of unit size that enters
    conv10's output.
    """
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("float32")
    profile = ic.check(model, x).profile
    entering = profile.site("conv10").random_gradients.z.second_moment
    leaving = profile.site("conv2").random_gradients.x.second_moment
    return math.sqrt(leaving / entering)


@pytest.fixture(scope="module")
def attenuation_of_he():
    return attenuation(ten_convolutions(he_std))


def test_standard_deviations_are_the_printed_ones():
    assert [round(he_std(filters), 3) for filters in (64, 128, 256, 512)] == [
        0.059,
        0.042,
        0.029,
        0.021,
    ]


def test_std_of_a_hundredth_attenuates_the_gradient_as_in_the_paper(attenuation_of_he):
    # The paper prints 1/(5.9 4.2² 2.9² 2.1⁴) = 1/1.7e4 from rounded factors; unrounded it is
    # 16728.77. The draws are the same up to
    # scale and ReLU is homogeneous, so that only float32 rounding is left: rtol 1e-3.
    ratio = attenuation_of_he / attenuation(ten_convolutions(lambda filters: 0.01))
    assert ratio == pytest.approx(16728.77, rel=1e-3)


def test_xavier_attenuates_by_the_square_root_of_two_per_layer(attenuation_of_he):
    ratio = attenuation_of_he / attenuation(
        ten_convolutions(lambda filters: math.sqrt(1 / (9 * filters)))
    )
    assert ratio == pytest.approx(math.sqrt(2) ** 9, rel=1e-3)  # 22.627


def test_keras_initialiser_draws_the_paper_s_standard_deviation():
    layer = keras.layers.Conv2D(128, 3, kernel_initializer="he_normal")
    layer.build((None, 8, 8, 128))
    # 147456 draws: the standard error of the standard deviation is 0.2 per cent, taken five times
    assert np.std(keras.ops.convert_to_numpy(layer.kernel)) == pytest.approx(he_std(128), rel=0.01)


def test_thirty_xavier_layers_are_an_error_and_he_is_healthy():
    def deep(initializer):
        layers = [
            keras.layers.Dense(128, "relu", kernel_initializer=initializer) for _ in range(30)
        ]
        return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])

    x = np.random.default_rng(0).standard_normal((32, 64))
    assert ic.check(deep("glorot_normal"), x).worst == "error"
    assert ic.check(deep("he_normal"), x).ok
