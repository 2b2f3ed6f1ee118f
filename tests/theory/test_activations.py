import math

import numpy as np
import pytest

from keras_initcheck.theory.activations import (
    ACTIVATIONS,
    FLOAT32_PRECISION,
    activation_moments,
    numpy_activation,
)

# E f, E f², Var f, E f'², gain, chi1, chi_q at z ~ N(0, 1): six digits, computed once by other
# code.
TABLE = [
    ("linear", {}, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    ("relu", {}, 0.398942, 0.5, 0.340845, 0.5, 1.414214, 1.0, 1.0),
    (
        "leaky_relu",
        {"negative_slope": 0.01},
        0.394953,
        0.50005,
        0.344062,
        0.50005,
        1.414143,
        1.0,
        1.0,
    ),
    ("leaky_relu", {"negative_slope": 0.1}, 0.359048, 0.505, 0.376084, 0.505, 1.407195, 1.0, 1.0),
    ("leaky_relu", {}, 0.319154, 0.52, 0.418141, 0.52, 1.38675, 1.0, 1.0),
    ("leaky_relu", {"negative_slope": 0.3}, 0.27926, 0.545, 0.467014, 0.545, 1.354571, 1.0, 1.0),
    (
        "leaky_relu",
        {"negative_slope": 0.25},
        0.299207,
        0.53125,
        0.441725,
        0.53125,
        1.371989,
        1.0,
        1.0,
    ),
    ("relu6", {}, 0.398942, 0.5, 0.340845, 0.5, 1.414214, 1.0, 1.0),
    ("elu", {}, 0.160521, 0.644945, 0.619179, 0.668102, 1.245198, 1.035905, 0.890968),
    ("celu", {}, 0.160521, 0.644945, 0.619179, 0.668102, 1.245198, 1.035905, 0.890968),
    ("selu", {}, 0.0, 1.0, 1.0, 1.071575, 1.0, 1.071575, 0.782648),
    ("gelu", {}, 0.282095, 0.425221, 0.345644, 0.455851, 1.53353, 1.072032, 1.144063),
    (
        "gelu",
        {"approximate": True},
        0.282039,
        0.425194,
        0.345648,
        0.455818,
        1.533581,
        1.072024,
        1.144298,
    ),
    ("silu", {}, 0.206621, 0.355776, 0.313083, 0.379482, 1.676532, 1.066634, 1.172594),
    ("hard_silu", {}, 0.166217, 0.331567, 0.303939, 0.358532, 1.736657, 1.081323, 1.22392),
    ("mish", {}, 0.240404, 0.452342, 0.394548, 0.479084, 1.486848, 1.059118, 1.076339),
    ("tanh", {}, 0.0, 0.394294, 0.394294, 0.464403, 1.592537, 1.177807, 0.461071),
    ("hard_tanh", {}, 0.0, 0.516059, 0.516059, 0.682689, 1.392036, 1.322892, 0.385127),
    ("softsign", {}, 0.0, 0.183014, 0.183014, 0.227671, 2.337533, 1.24401, 0.476712),
    ("sigmoid", {}, 0.5, 0.293379, 0.043379, 0.044836, 1.846229, 0.152827, 0.106341),
    ("hard_sigmoid", {}, 0.5, 0.277639, 0.027639, 0.027703, 1.89784, 0.09978, 0.097119),
    ("softplus", {}, 0.806059, 0.921246, 0.271515, 0.293379, 1.041867, 0.318459, 0.492053),
    ("log_sigmoid", {}, -0.806059, 0.921246, 0.271515, 0.293379, 1.041867, 0.318459, 0.492053),
    ("squareplus", {}, 1.109306, 1.5, 0.269441, 0.289315, 0.816497, 0.192877, 0.333333),
    ("sparse_plus", {}, 0.46233, 0.524844, 0.311094, 0.379015, 1.380337, 0.722148, 0.932077),
    ("tanh_shrink", {}, 0.0, 0.182883, 0.182883, 0.252992, 2.338368, 1.38335, 1.826201),
    ("soft_shrink", {}, 0.0, 0.419279, 0.419279, 0.617075, 1.544361, 1.471755, 1.471755),
    ("exponential", {}, 1.648721, 7.389056, 4.670774, 7.389056, 0.367879, 1.0, 2.0),
]
TABLE_IDS = [" ".join([name, *map(str, parameters.values())]) for name, parameters, *_ in TABLE]

# 1 / sd f as published with NFNets (Brock et al. 2021: haiku's and timm's code), to five decimals.
NFNET_GAMMAS = [
    ("relu", {}, 1.71396),
    ("gelu", {}, 1.7015),
    ("silu", {}, 1.78813),
    ("elu", {}, 1.2716),
    ("celu", {}, 1.27093),
    ("selu", {}, 1.00085),
    ("tanh", {}, 1.59391),
    ("sigmoid", {}, 4.80384),
    ("softsign", {}, 2.33885),
    ("softplus", {}, 1.92033),
    ("relu6", {}, 1.71315),
    ("leaky_relu", {"negative_slope": 0.01}, 1.7059),
]


NOISES = [("leaky_relu", 2.56), ("tanh", 0.78), ("silu", 3.57), ("hard_shrink", 0.01)]


def normal_density(x):
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def upper_tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def in_float32(function):
    return lambda x: function(x.astype(np.float32)).astype(np.float32)


@pytest.mark.parametrize("row", TABLE, ids=TABLE_IDS)
def test_moments_of_a_standard_normal_signal(row):
    name, parameters, *expected = row
    of = activation_moments(numpy_activation(name, **parameters))
    found = [
        of.mean,
        of.second_moment,
        of.variance,
        of.derivative_second_moment,
        of.gain,
        of.chi1,
        of.chi_q,
    ]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters", "gamma"), NFNET_GAMMAS, ids=[row[0] for row in NFNET_GAMMAS]
)
def test_inverse_standard_deviations_are_the_published_nfnet_gammas(name, parameters, gamma):
    # 2e-3, because the published gammas look like estimates from samples: they scatter by up to
    # 0.1%.
    assert activation_moments(
        numpy_activation(name, **parameters)
    ).variance ** -0.5 == pytest.approx(gamma, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        pytest.param("linear", 0.0, id="linear"),
        pytest.param("relu", 3.0, id="relu"),
        pytest.param("exponential", math.e**4 - 7.0, id="exponential"),
    ],
)
def test_activation_noise_in_closed_form(name, noise):
    assert activation_moments(numpy_activation(name)).activation_noise == pytest.approx(
        noise, rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize(("name", "noise"), NOISES)
def test_activation_noise_to_two_digits(name, noise):
    assert activation_moments(numpy_activation(name)).activation_noise == pytest.approx(
        noise, abs=0.005
    )


@pytest.mark.parametrize("threshold", [0.37, 1.234, 2.71])
def test_kink_at_an_unknown_place(threshold):
    # E relu(z - t)² = (1 + t²) Q(t) - t phi(t), E relu'(z - t)² = Q(t)
    of = activation_moments(lambda x: np.maximum(x - threshold, 0.0))
    tail, edge = upper_tail(threshold), threshold * normal_density(threshold)
    assert of.second_moment == pytest.approx((1 + threshold**2) * tail - edge, rel=1e-7)
    assert of.derivative_second_moment == pytest.approx(tail, rel=1e-7)


@pytest.mark.parametrize("threshold", [0.5, 0.37])
def test_jump_leaves_its_slope_out(threshold):
    # E hard_shrink² = 2 (t phi(t) + Q(t)); away from the jump the slope is 0 or 1.
    of = activation_moments(numpy_activation("hard_shrink", threshold=threshold))
    tail, edge = upper_tail(threshold), threshold * normal_density(threshold)
    assert of.second_moment == pytest.approx(2 * (edge + tail), rel=1e-7)
    assert of.derivative_second_moment == pytest.approx(2 * tail, rel=1e-7)


def test_chi_q_counts_jumps():
    # E f(s z)² = 2 s² (t/s phi(t/s) + Q(t/s)); its slope in ln s² at s = 1 is (t³ phi(t)) / E f² +
    # 1.
    of = activation_moments(numpy_activation("hard_shrink"))
    assert of.chi_q == pytest.approx(1.0 + 0.125 * normal_density(0.5) / of.second_moment, rel=1e-7)


@pytest.mark.parametrize("q", [1e-20, 1e-4, 1e4, 1e20, 1e60])
def test_homogeneous_activations_have_the_same_factors_at_every_scale(q):
    of = activation_moments(numpy_activation("relu"), q)
    assert (of.forward_factor, of.backward_factor) == pytest.approx((0.5, 0.5), rel=1e-9)
    assert (of.chi1, of.chi_q, of.activation_noise) == pytest.approx((1.0, 1.0, 3.0), rel=1e-9)


def test_sigmoid_of_a_vanishing_signal_is_linear_around_one_half():
    of = activation_moments(numpy_activation("sigmoid"), 1e-20)
    assert (of.mean, of.derivative_second_moment) == pytest.approx((0.5, 1 / 16), rel=1e-6)
    assert of.variance == pytest.approx(1e-20 / 16, rel=1e-5)


def test_tanh_of_a_vanishing_signal_is_linear():
    of = activation_moments(numpy_activation("tanh"), 1e-20)
    assert (of.forward_factor, of.backward_factor, of.gain) == pytest.approx(
        (1.0, 1.0, 1.0), rel=1e-9
    )


@pytest.mark.parametrize(
    ("name", "second_moment", "slope_integral"),
    [
        pytest.param("tanh", 1.0, 4 / 3, id="tanh"),
        pytest.param("sigmoid", 0.5, 1 / 6, id="sigmoid"),
    ],
)
def test_saturating_activations_of_a_huge_signal_are_steps(name, second_moment, slope_integral):
    # A slope of width 1 under a density that is flat there: E f'² = integral of f'² / (sqrt(2 pi)
    # std).
    of = activation_moments(numpy_activation(name), 1e20)
    assert of.second_moment == pytest.approx(second_moment, rel=1e-9)
    expected = slope_integral / math.sqrt(2 * math.pi) / 1e10
    assert of.derivative_second_moment == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("q", [1.0, 16.0, 100.0])
def test_exponential_is_integrated_where_its_mass_lies(q):
    # E exp(z) = exp(q/2), E exp(2z) = exp(2q): the mass is 2 sqrt(q) standard deviations from the
    # mean.
    of = activation_moments(numpy_activation("exponential"), q)
    expected = (math.exp(q / 2), math.exp(2 * q), math.exp(2 * q))
    assert (of.mean, of.second_moment, of.derivative_second_moment) == pytest.approx(
        expected, rel=1e-3
    )


def test_overflow_is_infinite_and_silent():
    of = activation_moments(numpy_activation("exponential"), 1e20)
    assert (of.mean, of.second_moment, of.derivative_second_moment) == (
        math.inf,
        math.inf,
        math.inf,
    )
    assert (of.gain, math.isnan(of.variance)) == (0.0, True)


def test_dead_activation_has_infinite_gain():
    of = activation_moments(lambda x: 0.0 * x)
    assert (of.second_moment, of.gain) == (0.0, math.inf)
    assert math.isnan(of.chi1)


@pytest.mark.parametrize(
    "name", ["relu", "tanh", "sigmoid", "gelu", "softplus", "soft_shrink", "hard_silu"]
)
def test_moments_of_a_signal_with_a_mean_are_those_of_samples(name):
    # A million samples, antithetic around the mean: relative errors of a few 1e-3.
    half = np.random.default_rng(0).standard_normal(500_000)
    z = 0.7 + 0.8 * np.concatenate([half, -half])
    y, step = numpy_activation(name)(z), 1e-4
    slopes = (numpy_activation(name)(z + step) - numpy_activation(name)(z - step)) / (2 * step)
    of = activation_moments(numpy_activation(name), 0.8**2 + 0.7**2, 0.7)
    found = (of.mean, of.second_moment, of.variance, of.derivative_second_moment)
    assert found == pytest.approx((y.mean(), np.mean(y**2), y.var(), np.mean(slopes**2)), rel=0.005)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "silu"])
def test_chi_q_and_noise_of_a_signal_with_a_mean_are_those_of_samples(name):
    z = np.random.default_rng(1).normal(0.7, 0.8, 1_000_000)
    function, scale, q = numpy_activation(name), 1.001, 0.8**2 + 0.7**2
    y = function(z) ** 2
    growth = np.mean(function(scale * z) ** 2) / np.mean(function(z / scale) ** 2)
    chi_q = math.log(growth) / math.log(scale**4)
    of = activation_moments(function, q, 0.7)
    assert of.chi_q == pytest.approx(chi_q, rel=0.005)
    assert of.activation_noise == pytest.approx(np.var(y / of.second_moment - z**2 / q), rel=0.02)


@pytest.mark.parametrize("q", [1e-16, 0.01, 1.0, 1e4])
@pytest.mark.parametrize("name", ["relu", "sigmoid", "gelu", "hard_tanh", "squareplus"])
def test_float32_values_give_four_digits(name, q):
    exact = activation_moments(numpy_activation(name), q)
    found = activation_moments(in_float32(numpy_activation(name)), q, precision=FLOAT32_PRECISION)
    expected = (exact.second_moment, exact.derivative_second_moment)
    assert (found.second_moment, found.derivative_second_moment) == pytest.approx(
        expected, rel=1e-4
    )


def test_float32_values_with_a_kink_at_an_unknown_place():
    of = activation_moments(
        in_float32(lambda x: np.maximum(x - 2.71, 0.0)), precision=FLOAT32_PRECISION
    )
    assert of.derivative_second_moment == pytest.approx(upper_tail(2.71), rel=1e-3)


def test_noisy_function_ends():
    generator = np.random.default_rng(0)
    of = activation_moments(lambda x: x + 0.01 * generator.standard_normal(x.shape))
    assert of.second_moment == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"threshold"}))
def test_every_activation_is_finite_from_minus_to_plus_fifty(name):
    x = np.linspace(-50.0, 50.0, 101)
    assert np.isfinite(numpy_activation(name)(x)).all()


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("relu", {"threshold": 1.0, "negative_slope": 0.5}, [-2.0, -0.5, 0.0, 7.0]),
        ("relu", {"max_value": 5.0}, [0.0, 0.0, 1.0, 5.0]),
        ("relu", {"max_value": 5.0, "threshold": -4.0}, [0.0, 0.0, 1.0, 5.0]),
        ("threshold", {"threshold": 0.5, "default_value": -9.0}, [-9.0, -9.0, 1.0, 7.0]),
        ("sparse_sigmoid", {}, [0.0, 0.5, 1.0, 1.0]),
        ("sparse_plus", {}, [0.0, 0.25, 1.0, 7.0]),
        ("hard_swish", {}, [0.0, 0.0, 4 / 6, 7.0]),
        ("hard_shrink", {"threshold": 2.0}, [-3.0, 0.0, 0.0, 7.0]),
        ("celu", {"alpha": 2.0}, [2 * math.expm1(-1.5), 0.0, 1.0, 7.0]),
        ("squareplus", {"b": 0.0}, [0.0, 0.0, 1.0, 7.0]),
    ],
)
def test_named_activation_takes_keras_parameters(name, parameters, expected):
    assert numpy_activation(name, **parameters)(np.array([-3.0, 0.0, 1.0, 7.0])) == pytest.approx(
        np.array(expected)
    )


def test_activations_that_mix_units_are_left_out():
    assert not {"softmax", "log_softmax", "sparsemax", "glu"} & set(ACTIVATIONS)


def test_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match=r"element-wise activations: celu, .*Received: name='softmax'\."
    ):
        numpy_activation("softmax")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (
            "elu",
            {"slope": 1.0},
            r"suit `elu`\. Received: parameters=\{'slope': 1\.0\}\. .*: alpha\.",
        ),
        ("tanh", {"alpha": 1.0}, "it takes: no parameters"),
        ("threshold", {}, r"it takes: threshold, default_value\."),
    ],
    ids=["unknown", "none taken", "missing"],
)
def test_parameters_that_do_not_fit_are_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        numpy_activation(name, **parameters)


@pytest.mark.parametrize(
    ("second_moment", "mean"),
    [(0.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (math.nan, 0.0), (math.inf, 0.0)],
)
def test_signal_without_variance_is_refused(second_moment, mean):
    with pytest.raises(
        ValueError, match=r"larger than the square of `mean`\. Received: second_moment="
    ):
        activation_moments(numpy_activation("relu"), second_moment, mean)


def test_function_that_is_not_elementwise_is_refused():
    with pytest.raises(ValueError, match=r"`function` must be element-wise\. Received: shape \(\)"):
        activation_moments(np.sum)
