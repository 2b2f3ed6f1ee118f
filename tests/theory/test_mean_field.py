import math

import numpy as np
import pytest

from keras_initcheck.theory.activations import activation_moments, numpy_activation
from keras_initcheck.theory.mean_field import MeanField, expect_product

RELU = MeanField(numpy_activation("relu"), weight_variance=2.0)

# What torch.nn.init.calculate_gain returns.
TORCH_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "selu": 0.75,
}


def tanh_net(weight_variance):
    return MeanField(np.tanh, weight_variance, bias_variance=0.05)


@pytest.mark.parametrize(
    ("bias_variance", "weight_variance"),
    [
        (0.001, 1.1892),
        (0.01, 1.4242),
        (0.02, 1.5442),
        (0.05, 1.7610),
        (0.1, 1.9861),
        (0.2, 2.2852),
        (0.3, 2.5051),
    ],
)
def test_edge_of_chaos_of_tanh(bias_variance, weight_variance):
    # Schoenholz et al. 2017 give 1.76 for 0.05; the others come from other code. χ1 crosses one
    # within the rounding of the fourth digit.
    below, above = (
        MeanField(np.tanh, weight_variance + error, bias_variance) for error in (-6e-5, 6e-5)
    )
    assert below.chi1(below.fixed_point()) < 1.0 < above.chi1(above.fixed_point())


@pytest.mark.parametrize(
    ("weight_variance", "scale"),
    [
        (1.0, 3.6),
        (1.3, 7.8),
        (1.5, 15.8),
        (1.7, 74.9),
        (2.0, 25.2),
        (2.5, 11.8),
        (3.0, 9.1),
        (4.0, 7.0),
    ],
)
def test_correlation_scale_of_tanh(weight_variance, scale):
    # Computed by other code; the paper shows them as a curve.
    net = tanh_net(weight_variance)
    q = net.fixed_point()
    slope = net.correlation_slope(net.correlation_fixed_point(q), q)
    assert 1.0 / abs(math.log(slope)) == pytest.approx(scale, abs=0.05)


@pytest.mark.parametrize(("weight_variance", "correlation"), [(2.5, 0.4468), (4.0, 0.1651)])
def test_chaotic_networks_pull_inputs_apart(weight_variance, correlation):
    # Poole et al. 2016: the fixed point is below one in the chaotic phase.
    net = tanh_net(weight_variance)
    assert net.correlation_fixed_point(net.fixed_point()) == pytest.approx(correlation, abs=5e-5)


def test_ordered_networks_make_inputs_alike():
    assert tanh_net(1.3).correlation_fixed_point(tanh_net(1.3).fixed_point()) == 1.0


def test_chaotic_network_without_bias_makes_inputs_orthogonal():
    net = MeanField(np.tanh, 4.0)
    assert net.correlation_fixed_point(net.fixed_point()) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.5, 0.9, 0.999, 1.0])
def test_correlation_map_of_relu_in_closed_form(correlation):
    # Cho & Saul 2009, the arc-cosine kernel of order one.
    expected = (
        math.sqrt(1 - correlation**2) + (math.pi - math.acos(correlation)) * correlation
    ) / math.pi
    assert RELU.correlation_map(correlation, 3.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("layer", "cosine"), [(1, 0.318), (2, 0.494), (3, 0.605), (5, 0.736), (10, 0.872)]
)
def test_relu_networks_make_samples_collinear(layer, cosine):
    correlation = 0.0
    for _ in range(layer):
        correlation = RELU.correlation_map(correlation, 1.0)
    assert correlation == pytest.approx(cosine, abs=6e-4)


@pytest.mark.parametrize("correlation", [-0.8, 0.3, 0.95])
@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "gelu", "softplus"])
def test_product_of_correlated_activations_is_that_of_simulated_ones(name, correlation):
    function, generator = numpy_activation(name), np.random.default_rng(0)
    first, own = 1.4 * generator.normal(size=(2, 200_000))
    products = function(first) * function(correlation * first + math.sqrt(1 - correlation**2) * own)
    error = products.std() / math.sqrt(len(products))
    assert expect_product(function, 1.96, correlation) == pytest.approx(
        products.mean(), abs=4 * error
    )


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.8])
def test_correlation_slope_is_that_of_the_derivatives(correlation):
    # sigma_w² E[f'(z1) f'(z2)] at the fixed point, with tanh' = 1 - tanh².
    net = tanh_net(2.5)
    q = net.fixed_point()
    expected = 2.5 * expect_product(lambda z: 1.0 - np.tanh(z) ** 2, q, correlation)
    assert net.correlation_slope(correlation, q) == pytest.approx(expected, rel=1e-5)


def test_variance_slope_is_the_map_s_difference_quotient():
    net = tanh_net(1.3)
    quotient = (net.variance_map(0.5001) - net.variance_map(0.4999)) / 0.0002
    assert net.variance_slope(0.5) == pytest.approx(quotient, rel=1e-6)


@pytest.mark.parametrize("weight_variance", [1.3, 2.5])
def test_iterated_maps_approach_their_fixed_points_by_their_slopes(weight_variance):
    net = tanh_net(weight_variance)
    q = net.fixed_point()
    c = net.correlation_fixed_point(q)
    slow = (net.variance_map(q + 1e-4) - q) / 1e-4, (net.correlation_map(c - 1e-3, q) - c) / -1e-3
    assert slow == pytest.approx((net.variance_slope(q), net.correlation_slope(c, q)), rel=2e-3)


@pytest.mark.parametrize("q", [1e-3, 1.0, 1e3])
def test_relu_is_on_the_edge_at_every_second_moment(q):
    assert RELU.chi1(q) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    ("net", "start", "expected"),
    [
        pytest.param(MeanField(np.tanh, 0.9), 1.0, 0.0, id="vanishes"),
        pytest.param(MeanField(numpy_activation("relu"), 2.1), 1.0, math.inf, id="explodes"),
        pytest.param(RELU, 7.0, 7.0, id="every one"),
        pytest.param(MeanField(numpy_activation("relu"), 1.0, 0.5), 1.0, 1.0, id="at its start"),
        pytest.param(MeanField(numpy_activation("relu"), 1.5, 0.5), 1.0, 2.0, id="above"),
        pytest.param(MeanField(numpy_activation("relu"), 1.5, 0.5), 1e6, 2.0, id="below"),
    ],
)
def test_fixed_point_of_the_variance_map(net, start, expected):
    assert net.fixed_point(start) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
def test_torch_gains_of_homogeneous_activations_are_exact(name):
    parameters = {"negative_slope": 0.01} if name == "leaky_relu" else {}
    assert activation_moments(numpy_activation(name, **parameters)).gain == pytest.approx(
        TORCH_GAINS[name], rel=1e-9
    )


@pytest.mark.parametrize(
    ("name", "exact", "fixed_point", "output_rms", "chi1"),
    [
        # 5/3 has no derivation, and settles a little above one; 3/4 is an experiment's: the plateau
        # of 100 layers of width 1000 that
        # the change to PyTorch reports has a standard deviation of about .20. With 1, gradients die
        # 18-fold in each layer.
        pytest.param("tanh", 1.592537, 1.1785, 0.6513, 1.2098, id="tanh 5/3"),
        pytest.param("selu", 1.0, 0.0230, 0.2024, 1.0037, id="selu 3/4"),
        pytest.param("sigmoid", 1.846229, 0.2647, None, 0.0557, id="sigmoid 1"),
    ],
)
def test_torch_gains_that_differ_from_the_exact_ones(name, exact, fixed_point, output_rms, chi1):
    function, gain = numpy_activation(name), TORCH_GAINS[name]
    net = MeanField(function, gain**2)
    q = net.fixed_point()
    assert activation_moments(function).gain == pytest.approx(exact, abs=1e-6)
    assert abs(gain / exact - 1.0) > 0.04
    assert (q, net.chi1(q)) == pytest.approx((fixed_point, chi1), abs=6e-5)
    assert output_rms is None or activation_moments(
        function, q
    ).second_moment ** 0.5 == pytest.approx(output_rms, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "start", "log10_after"),
    [
        ("silu", 0.8, -13.80),
        ("silu", 1.25, 13.41),
        ("gelu", 0.8, -20.31),
        ("gelu", 1.25, 6.41),
        ("tanh", 0.8, 0.0),
        ("selu", 1.25, 0.0),
    ],
)
def test_exact_gain_holds_over_depth_only_where_the_map_attracts(name, start, log10_after):
    net = MeanField(numpy_activation(name), activation_moments(numpy_activation(name)).gain ** 2)
    q = start
    for _ in range(100):
        q = net.variance_map(q)
    assert math.log10(q) == pytest.approx(log10_after, abs=0.01)
