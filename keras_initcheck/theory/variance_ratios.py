"""Ratios of second moments that a layer's weights predict, and their product along a network."""

import math
from collections.abc import Iterable


def forward_ratio(fan_in: float, weight_second_moment: float, forward_factor: float) -> float:
    """`n E[w²] E[f²]/q`: second moments of a layer, output over input.

    Assumes weights that are independent of the input, of zero mean (or an input of zero mean) and
    uncorrelated with each other, no bias, and a pre-activation that is Gaussian. He et al. 2015,
    section 2.2, equations 9 and 10, with the 1/2 of ReLU replaced by `E[f²]/q`; Glorot & Bengio
    2010, section 4.2, with 1 (linear).

    >>> forward_ratio(512, 2 / 512, forward_factor=0.5)  # He initialization and ReLU
    1.0

    Args:
        fan_in: True fan, `Fans.fan_in`.
        weight_second_moment: `mean(w²)` of the kernel.
        forward_factor: `ActivationMoments.forward_factor`; 1 for the pre-activation itself.
    """
    return fan_in * weight_second_moment * forward_factor


def backward_ratio(fan_out: float, weight_second_moment: float, backward_factor: float) -> float:
    """`n̂ E[w²] E[f'²]`: second moments of the gradient, a layer's input over its output.

    Assumes in addition that the gradient is independent of the weights and of `f'`. He et al. 2015,
    section 2.2, equations 13 and 14, with the 1/2 of ReLU replaced by `E[f'²]`; Glorot & Bengio
    2010, section 4.2, with 1 (linear).

    >>> backward_ratio(256, 2 / 512, backward_factor=0.5)  # He initialization, width halved
    0.5

    Args:
        fan_out: True fan, `Fans.fan_out`.
        weight_second_moment: `mean(w²)` of the kernel.
        backward_factor: `ActivationMoments.backward_factor`; 1 for the gradient at the
            pre-activation.
    """
    return fan_out * weight_second_moment * backward_factor


def log10_product(ratios: Iterable[float]) -> float:
    """`log10` of the product of ratios: the gain of a chain.

    He et al. 2015, section 2.2, equations 9 and 13. Logarithms are summed, since a hundred factors
    of 1e4 overflow. A zero among them gives `-inf`, an infinity `inf`, both `nan`.

    >>> log10_product([1e200, 1e200, 1e-300])
    100.0

    Raises:
        ValueError: A ratio is negative.
    """
    logarithms = [_log10(ratio) for ratio in ratios]
    is_undefined = math.inf in logarithms and -math.inf in logarithms  # `fsum` raises there
    return math.nan if is_undefined else math.fsum(logarithms)


def _log10(ratio: float) -> float:
    if ratio < 0.0:
        raise ValueError(
            f"`ratios` must not be negative. Received: {ratio}. Pass ratios of second moments, not"
            " of means."
        )
    return math.log10(ratio) if ratio else -math.inf
