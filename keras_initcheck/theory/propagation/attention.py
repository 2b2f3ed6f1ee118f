"""The rule of scaled dot-product attention, without the projections around it."""

import math
from dataclasses import dataclass

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential, logarithm
from keras_initcheck.theory.propagation.softmax import SoftmaxMoments, softmax_moments

_LARGEST_LOGIT_VARIANCE = 100.0  # beyond, softmax picks one key, and more changes nothing


@dataclass(frozen=True)
class Attention(PropagationRule):
    """`q -> q_V T E a²`, with softmax probabilities `a` over `T` keys.

    Logits, scaled by `1 / sqrt(d_K)`, have the variance `s² = q_Q q_K` (Vaswani et al. 2017,
    section 3.2.1). `T E a²` tends to `e^(s²) / T` for many keys: attention over unrelated tokens
    divides the second moment by up to their number. Assumes queries, keys and values that are
    independent of each other and of zero mean, and tokens that are unrelated.

    >>> one_in_a_hundred = Attention(num_keys=100, num_queries=100, key_size=64, value_size=64)
    >>> flat = one_in_a_hundred.forward(Signal(-20.0), Signal(0.0), Signal(0.0))
    >>> round(flat.second_moment, 4)
    0.01

    Attributes:
        num_keys: `T`, keys that one query sees; half of it, on average, under a causal mask.
        num_queries: `T_Q`, queries that see one key.
        key_size: `d_K`, length of queries and keys of one head.
        value_size: `d_V`, length of values of one head.
    """

    num_keys: int
    num_queries: int
    key_size: int
    value_size: int

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """Factors to queries, keys and values, for gradients independent from query to query.

        To a value it is `T_Q E a²`, one probability from each of the queries. To a logit it is
        `d_V q_V E sum_j (d a_j / d z_i)²`; from there gradients add up over the `T` keys to a
        query, and over the queries to a key.
        """
        query, key, value = inputs
        if not all(signal.is_known for signal in inputs):
            return math.nan, math.nan, math.nan
        found = _softmax(self.num_keys, query, key)
        to_logits = (
            logarithm(found.gradient_factor) + math.log(self.value_size) + value.log_second_moment
        )
        to_products = to_logits - math.log(self.key_size)
        return (
            to_products + math.log(self.num_keys) + key.log_second_moment,
            to_products + math.log(self.num_queries) + query.log_second_moment,
            math.log(self.num_queries) + logarithm(found.second_moment),
        )

    def _forward(self, *inputs: Signal) -> Signal:
        query, key, value = inputs
        concentration = self.num_keys * _softmax(self.num_keys, query, key).second_moment
        mean = value.relative_mean
        return Signal.from_moments(
            mean, max(concentration - mean * mean, 0.0), value.log_second_moment
        )


def _softmax(num_keys: int, query: Signal, key: Signal) -> SoftmaxMoments:
    logit_variance = exponential(query.log_second_moment + key.log_second_moment)
    return softmax_moments(num_keys, min(logit_variance, _LARGEST_LOGIT_VARIANCE))
