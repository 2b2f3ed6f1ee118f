import numpy as np
import pytest

from keras_initcheck.theory.activations import ACTIVATIONS, numpy_activation
from keras_initcheck.theory.weight_scales import PUBLISHED_SCALES, recommended_scale


@pytest.mark.parametrize(
    ("activation", "scale"),
    [("relu", 2.0), ("leaky_relu", 2.0), ("selu", 1.0), ("tanh", 1.0), ("linear", 1.0)],
)
def test_published_scale_comes_first(activation, scale):
    # He et al. 2015; Klambauer et al. 2017; Glorot & Bengio 2010.
    assert recommended_scale(activation) == scale


@pytest.mark.parametrize(
    "activation", sorted(set(ACTIVATIONS) - set(PUBLISHED_SCALES) - {"threshold"})
)
def test_other_scales_keep_the_mean_square_of_samples(activation):
    # exp² of a normal variable has the relative standard deviation sqrt(e^4 - 1) = 7.3, and with a
    # million samples a standard error of 0.7%.
    samples = numpy_activation(activation)(np.random.default_rng(0).normal(size=1_000_000))
    assert recommended_scale(activation) == pytest.approx(1.0 / np.mean(samples**2), rel=0.03)


@pytest.mark.parametrize("activation", ["softmax", "threshold", "mish_of_mine", ""])
def test_activation_without_a_scale_of_its_own_has_none(activation):
    assert recommended_scale(activation) is None
