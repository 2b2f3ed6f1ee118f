import math

import numpy as np
import pytest

from keras_initcheck.theory.activations import numpy_activation
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.merge import Concatenate, Maximum, Multiply, Sum
from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal

SIZE = 500_000  # standard errors of second moments are below 0.5%
FIRST, SECOND = Signal.from_moments(1.0, 1.0), Signal.from_moments(-0.5, 4.0)


@pytest.fixture
def operands(generator):
    return generator.normal(1.0, 1.0, SIZE), generator.normal(-0.5, 2.0, SIZE)


def gradient_factors(rule, *signals):
    return [math.exp(factor) for factor in rule.log_gradient_factors(*signals)]


@pytest.mark.parametrize(
    "coefficients",
    [(1.0, 1.0), (1.0, -1.0), (0.5, 0.5), (1.0, 0.2)],
    ids=["add", "subtract", "average", "scaled"],
)
def test_sum_of_independent_operands(coefficients, operands, assert_predicts):
    total = coefficients[0] * operands[0] + coefficients[1] * operands[1]
    assert_predicts(Sum(coefficients).forward(FIRST, SECOND), total, rel=0.01)
    assert gradient_factors(Sum(coefficients), FIRST, SECOND) == pytest.approx(
        [c**2 for c in coefficients]
    )


def test_sum_with_an_operand_beyond_floats():
    assert Sum().forward(
        Signal(3000.0), Signal(0.0), Signal(3000.0)
    ).log_second_moment == pytest.approx(3000.0 + math.log(2.0))
    assert Sum().forward(ZERO, ZERO) == ZERO


def test_product_of_independent_operands(operands, assert_predicts):
    assert_predicts(Multiply().forward(FIRST, SECOND), operands[0] * operands[1], rel=0.02)
    assert gradient_factors(Multiply(), FIRST, SECOND) == pytest.approx(
        [np.mean(operands[1] ** 2), np.mean(operands[0] ** 2)], rel=0.01
    )


def test_product_of_three_operands():
    product = Multiply().forward(FIRST, SECOND, Signal(1.0))
    assert (product.second_moment, product.mean, product.variance_share) == pytest.approx(
        (2.0 * 4.25 * math.e, 0.0, 1.0)
    )
    assert gradient_factors(Multiply(), FIRST, SECOND, Signal(1.0)) == pytest.approx(
        [4.25 * math.e, 2.0 * math.e, 2.0 * 4.25]
    )


def test_gated_linear_unit_has_the_published_nfnet_gamma():
    # haiku's and timm's 1.84843 for GLU (Brock et al. 2021): 2e-3, because the published gammas
    # look like estimates from samples.
    glu = Multiply().forward(
        Signal(0.0), Activation(numpy_activation("sigmoid")).forward(Signal(0.0))
    )
    assert glu.second_moment**-0.5 == pytest.approx(1.84843, rel=2e-3)


def test_broadcast_operand_collects_the_gradients_of_its_copies(generator):
    # A squeeze-and-excitation gate: one number for 12 positions.
    signal, gate, gradient = (
        generator.normal(size=(40_000, 12)),
        generator.normal(2.0, 1.0, (40_000, 1)),
        generator.normal(size=(40_000, 12)),
    )
    to_gate = np.sum(gradient * signal, axis=1)
    signals = Signal(0.0), Signal.from_moments(2.0, 1.0)
    measured = [np.mean((gradient * gate) ** 2), np.mean(to_gate**2)]
    assert gradient_factors(Multiply(repeats=(1, 12)), *signals) == pytest.approx(
        measured, rel=0.03
    )
    assert gradient_factors(Sum(repeats=(1, 12)), *signals)[1] == pytest.approx(
        np.mean(gradient.sum(axis=1) ** 2), rel=0.03
    )


def test_concatenation_weighs_by_size(operands, assert_predicts):
    joined = np.concatenate([operands[0][: SIZE // 4], operands[1]])
    assert_predicts(Concatenate((1, 4)).forward(FIRST, SECOND), joined, rel=0.01)
    assert gradient_factors(Concatenate((1, 4)), FIRST, SECOND) == [1.0, 1.0]


@pytest.mark.parametrize("is_minimum", [False, True])
def test_largest_and_smallest_of_simulated_operands(
    is_minimum, operands, generator, assert_predicts
):
    stacked = np.stack([*operands, generator.normal(0.0, 1.0, SIZE)])
    rule, signals = Maximum(is_minimum), (FIRST, SECOND, Signal(0.0))
    winners = stacked.argmin(axis=0) if is_minimum else stacked.argmax(axis=0)
    assert_predicts(
        rule.forward(*signals), stacked.min(axis=0) if is_minimum else stacked.max(axis=0), rel=0.01
    )
    assert gradient_factors(rule, *signals) == pytest.approx(
        [np.mean(winners == i) for i in range(3)], abs=0.003
    )


def test_largest_of_operands_beyond_floats():
    assert Maximum().forward(Signal(3000.0), Signal(3000.0)).log_second_moment == pytest.approx(
        3000.0
    )


@pytest.mark.parametrize("rule", [Sum(), Multiply(), Concatenate((1, 1)), Maximum()])
def test_one_unknown_operand_makes_the_result_unknown(rule):
    assert not rule.forward(FIRST, UNKNOWN).is_known
    assert len(rule.log_gradient_factors(FIRST, UNKNOWN)) == 2


def test_gradient_to_an_unknown_operand_is_known_where_the_other_is():
    to_known, to_unknown = Multiply().log_gradient_factors(FIRST, UNKNOWN)
    assert math.isnan(to_known) and math.isfinite(to_unknown)


def test_product_of_operands_with_a_mean_keeps_its_share_of_variance():
    # 1 - (1/2) (0.25 / 4.25)
    product = Multiply().forward(FIRST, SECOND)
    assert product.variance_share == pytest.approx(1.0 - 0.5 * 0.25 / 4.25)


def test_copies_of_an_operand_of_a_maximum_add_their_gradients():
    once, twelve = Maximum(), Maximum(repeats=(1.0, 12.0))
    factors = gradient_factors(once, FIRST, SECOND)
    assert gradient_factors(twelve, FIRST, SECOND) == pytest.approx([factors[0], 12 * factors[1]])


@pytest.mark.parametrize(
    "rule", [Sum((1.0, 2.0)), Concatenate((1.0, 2.0)), Sum((1.0, 2.0, 3.0, 4.0))], ids=str
)
def test_numbers_for_another_number_of_operands_are_refused(rule):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        rule.forward(FIRST, SECOND, FIRST)


@pytest.mark.parametrize("rule", [Sum, Maximum])
def test_copies_for_another_number_of_operands_are_refused(rule):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        rule(repeats=(1.0, 2.0)).log_gradient_factors(FIRST, SECOND, FIRST)
