import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.attention import Attention
from keras_initcheck.theory.propagation.signal import UNKNOWN, Signal

SEQUENCES, TOKENS, SIZE = 150, 24, 32


def tokens(generator, second_moment):
    """`(sequences, tokens, size)`, independent of each other."""
    return generator.normal(0.0, math.sqrt(second_moment), (SEQUENCES, TOKENS, SIZE))


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


@pytest.mark.parametrize("logit_scale", [0.1, 1.0, 2.0])
def test_attention_over_simulated_tokens(logit_scale, generator):
    # 8%: the norm of a query of 32 components scatters by 12%, and with it the variance of its
    # logits, which is exponentiated.
    second_moments = (logit_scale, logit_scale, 3.0)
    operands = [tokens(generator, q) for q in second_moments]
    gradient = generator.normal(size=(SEQUENCES, TOKENS, SIZE))
    output, gradients = attend(*operands, gradient)
    rule, signals = (
        Attention(TOKENS, TOKENS, SIZE, SIZE),
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
    rule = Attention(100_000, 100_000, 64, 64)
    output = rule.forward(Signal(math.log(logit_variance)), Signal(0.0), Signal(0.0))
    assert output.second_moment == pytest.approx(math.exp(logit_variance) / 100_000, rel=0.01)


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
