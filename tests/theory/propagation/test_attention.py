import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.attention import Attention
from keras_initcheck.theory.propagation.signal import UNKNOWN, Signal

SEQUENCES, TOKENS, SIZE = 150, 24, 32


def tokens(generator, correlation, second_moment):
    """`(sequences, tokens, size)`, any two tokens of a sequence of that cosine."""
    shared, own = (
        generator.normal(size=(SEQUENCES, 1, SIZE)),
        generator.normal(size=(SEQUENCES, TOKENS, SIZE)),
    )
    return math.sqrt(second_moment) * (
        math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * own
    )


def attend(query, key, value, gradient):
    """Output of one head, and the gradients to its queries, keys and values."""
    logits = query @ key.transpose(0, 2, 1) / math.sqrt(SIZE)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    to_shares = gradient @ value.transpose(0, 2, 1)
    to_logits = (
        shares * (to_shares - (shares * to_shares).sum(axis=2, keepdims=True)) / math.sqrt(SIZE)
    )
    return shares @ value, (
        to_logits @ key,
        to_logits.transpose(0, 2, 1) @ query,
        shares.transpose(0, 2, 1) @ gradient,
    )


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("logit_scale", [0.1, 1.0, 2.0])
def test_attention_over_simulated_tokens(correlation, logit_scale, generator):
    # 8%: the norm of a query of 32 components scatters by 12%, and with it the variance of its
    # logits, which is exponentiated.
    second_moments = (logit_scale, logit_scale, 3.0)
    operands = [tokens(generator, correlation, q) for q in second_moments]
    gradient = generator.normal(size=(SEQUENCES, TOKENS, SIZE))
    output, gradients = attend(*operands, gradient)
    rule, signals = (
        Attention(TOKENS, TOKENS, SIZE, SIZE, correlation),
        [Signal(math.log(q)) for q in second_moments],
    )
    factors = [math.exp(factor) for factor in rule.log_gradient_factors(*signals)]
    assert rule.forward(*signals).second_moment == pytest.approx(np.mean(output**2), rel=0.08)
    assert factors == pytest.approx([np.mean(each**2) for each in gradients], rel=0.08)


def test_flat_attention_averages_unrelated_tokens():
    flat = Attention(100, 100, 64, 64).forward(Signal(-20.0), Signal(0.0), Signal(0.0))
    assert flat.second_moment == pytest.approx(0.01)


@pytest.mark.parametrize("logit_variance", [0.5, 1.0])
def test_attention_over_many_tokens_has_the_log_normal_law(logit_variance):
    # rho + (1 - rho) e^(s²) / T, where queries see (1 - rho) of the keys' variance.
    rule = Attention(100_000, 100_000, 64, 64, correlation=0.3)
    output = rule.forward(Signal(math.log(logit_variance / 0.7)), Signal(0.0), Signal(0.0))
    assert output.second_moment - 0.3 == pytest.approx(
        0.7 * math.exp(logit_variance) / 100_000, rel=0.01
    )


def test_attention_over_equal_tokens_keeps_them():
    rule = Attention(10, 10, 64, 64, correlation=1.0)
    assert rule.forward(Signal(0.0), Signal(0.0), Signal(2.0)).log_second_moment == pytest.approx(
        2.0
    )
    assert rule.log_gradient_factors(Signal(0.0), Signal(0.0), Signal(2.0))[:2] == (
        -math.inf,
        -math.inf,
    )


def test_scale_of_one_over_the_key_size_makes_logits_flat():
    # Yang et al. 2021 (maximal update parametrisation): logits of variance 1/d at initialisation.
    small = Attention(50, 50, 64, 64, scale=1 / 64).forward(Signal(0.0), Signal(0.0), Signal(0.0))
    assert small.second_moment == pytest.approx(math.exp(1 / 64) / 50, rel=0.001)


def test_exploded_queries_pick_one_value():
    sharp = Attention(10, 10, 64, 64).forward(Signal(2000.0), Signal(0.0), Signal(0.0))
    assert sharp.second_moment == pytest.approx(1.0, rel=0.2)


def test_unknown_queries_make_everything_unknown():
    rule = Attention(10, 10, 64, 64)
    assert not rule.forward(UNKNOWN, Signal(0.0), Signal(0.0)).is_known
    assert all(
        math.isnan(factor)
        for factor in rule.log_gradient_factors(UNKNOWN, Signal(0.0), Signal(0.0))
    )
