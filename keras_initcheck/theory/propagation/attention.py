"""The rule of scaled dot-product attention, from projected queries, keys and values to what is
handed to the output projection.
"""

import math
from dataclasses import dataclass

from keras_initcheck.theory.propagation.rule import PropagationRule
from keras_initcheck.theory.propagation.signal import Signal, exponential, logarithm
from keras_initcheck.theory.propagation.softmax import SoftmaxMoments, softmax_moments

_LARGEST_LOGIT_VARIANCE = 100.0  # beyond, softmax picks one key, and more changes nothing


@dataclass(frozen=True)
class Attention(PropagationRule):
    """`q -> q_V (ρ + (1 - ρ) T E a²)`, with softmax probabilities `a` over `T` keys and logits of
    variance `s² = (1 - ρ) q_Q q_K`.

    `T E a²` tends to `e^(s²) / T` for many keys: attention over unrelated tokens divides the second
    moment by up to their number (Vaswani et al. 2017, section 3.2.1, gives the unit variance of the
    scaled logits). What all keys share adds the same to every logit, hence `1 - ρ`. Assumes
    queries, keys and values that are independent of each other and of zero mean, but for what
    tokens share.

    >>> one_in_a_hundred = Attention(num_keys=100, num_queries=100, key_size=64, value_size=64)
    >>> flat = one_in_a_hundred.forward(Signal(-20.0), Signal(0.0), Signal(0.0))
    >>> round(flat.second_moment, 4)
    0.01

    Attributes:
        num_keys: `T`, keys that one query sees; half of it, on average, under a causal mask.
        num_queries: Queries that see one key.
        key_size: Length of queries and keys of one head.
        value_size: Length of values of one head.
        correlation: `ρ`, mean cosine of two tokens.
        scale: What logits are multiplied with; `1 / sqrt(key_size)` if not given.
    """

    num_keys: int
    num_queries: int
    key_size: int
    value_size: int
    correlation: float = 0.0
    scale: float | None = None

    def log_gradient_factors(self, *inputs: Signal) -> tuple[float, ...]:
        """To queries, keys and values, for gradients that are independent from query to query.

        To a value `T_Q E a²`, one probability from each of the `T_Q` queries. To a logit
        `d_V (1 - ρ) q_V E sum_j (d a_j / d z_i)²`; from there to a query over the `T` keys, of
        which what they share cancels, and to a key over the queries.
        """
        query, key, value = inputs
        if not all(signal.is_known for signal in inputs):
            return math.nan, math.nan, math.nan
        found = self._softmax(query, key)
        own = logarithm(1.0 - self.correlation)
        to_logits = (
            logarithm(found.gradient_factor)
            + math.log(self.value_size)
            + own
            + value.log_second_moment
        )
        to_products = to_logits + 2.0 * math.log(self._scale)
        return (
            to_products + math.log(self.num_keys) + own + key.log_second_moment,
            to_products + math.log(self.num_queries) + query.log_second_moment,
            math.log(self.num_queries) + logarithm(found.second_moment),
        )

    @property
    def _scale(self) -> float:
        return self.key_size**-0.5 if self.scale is None else self.scale

    def _softmax(self, query: Signal, key: Signal) -> SoftmaxMoments:
        log_product = query.log_second_moment + key.log_second_moment
        factor = self._scale**2 * self.key_size * (1.0 - self.correlation)
        return softmax_moments(
            self.num_keys, min(exponential(log_product) * factor, _LARGEST_LOGIT_VARIANCE)
        )

    def _forward(self, *inputs: Signal) -> Signal:
        query, key, value = inputs
        concentration = self.num_keys * self._softmax(query, key).second_moment
        kept = self.correlation + (1.0 - self.correlation) * concentration
        mean = value.relative_mean
        return Signal.from_moments(mean, max(kept - mean * mean, 0.0), value.log_second_moment)
