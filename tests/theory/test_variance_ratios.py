import math

import numpy as np
import pytest

from keras_initcheck.theory.variance_ratios import backward_ratio, forward_ratio, log10_product

WIDTH = 2000  # one ReLU layer scatters by about sqrt(5 / 2000) = 5%, less with 16 samples


@pytest.fixture
def relu_layer():
    """Glorot weights, input, pre-activation and a random gradient of one wide ReLU layer without
    bias.
    """
    generator = np.random.default_rng(0)
    weights = generator.normal(0.0, math.sqrt(1.0 / WIDTH), (WIDTH, WIDTH // 2))
    signal, gradient = generator.normal(size=(16, WIDTH)), generator.normal(size=(16, WIDTH // 2))
    return weights, signal, signal @ weights, gradient


def test_forward_ratio_predicts_a_simulated_relu_layer(relu_layer):
    weights, signal, preactivation, _ = relu_layer
    measured = np.mean(np.maximum(preactivation, 0.0) ** 2) / np.mean(signal**2)
    assert forward_ratio(WIDTH, np.mean(weights**2), 0.5) == pytest.approx(measured, rel=0.05)


def test_backward_ratio_predicts_a_simulated_relu_layer(relu_layer):
    weights, _, preactivation, gradient = relu_layer
    measured = np.mean((gradient * (preactivation > 0.0) @ weights.T) ** 2) / np.mean(gradient**2)
    assert backward_ratio(WIDTH // 2, np.mean(weights**2), 0.5) == pytest.approx(measured, rel=0.05)


def test_attenuation_of_the_vgg_of_he_et_al_with_a_std_of_one_hundredth():
    # He et al. 2015, section 2.2: the gradient's standard deviation falls by 5.9 * 4.2^2 * 2.9^2 *
    # 2.1^4 =
    # 1.7e4 from conv10 to conv2. Their factors are rounded to two digits, hence 2%.
    filters = [64, 128, 128, 256, 256, 512, 512, 512, 512]
    ratios = [backward_ratio(9 * count, 0.01**2, 0.5) for count in filters]
    published = math.log10(5.9 * 4.2**2 * 2.9**2 * 2.1**4)
    assert -0.5 * log10_product(ratios) == pytest.approx(published, abs=0.009)


def test_product_survives_factors_that_overflow():
    assert log10_product([1e300] * 50) == pytest.approx(15000.0)


def test_product_of_no_ratios_is_one():
    assert log10_product([]) == 0.0


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        pytest.param([0.0, 2.0], -math.inf, id="zero"),
        pytest.param([math.inf, 2.0], math.inf, id="infinite"),
        pytest.param([0.0, math.inf], math.nan, id="zero and infinite"),
        pytest.param([math.nan, 2.0], math.nan, id="nan"),
    ],
)
def test_product_with_degenerate_ratios(ratios, expected):
    assert log10_product(ratios) == pytest.approx(expected, nan_ok=True)


def test_negative_ratio_is_refused():
    with pytest.raises(
        ValueError, match=r"must not be negative\. Received: -0\.5\. Pass ratios of second"
    ):
        log10_product([1.0, -0.5])
