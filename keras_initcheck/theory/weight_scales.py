"""The `n Var[w]` that keeps the scale of a signal through an activation."""

from collections.abc import Mapping
from types import MappingProxyType

from keras_initcheck.theory.activations import (
    ACTIVATIONS,
    activation_moments,
    numpy_activation,
)

PUBLISHED_SCALES: Mapping[str, float] = MappingProxyType(
    {
        "relu": 2.0,
        "relu6": 2.0,
        "leaky_relu": 2.0,
        "selu": 1.0,
        "tanh": 1.0,
        "hard_tanh": 1.0,
        "softsign": 1.0,
        "linear": 1.0,
    }
)
"""Scales of the literature, by activation.

He et al. 2015, section 2.2 (leaky ReLU with Keras' slopes is within 9% of ReLU); Klambauer et al.
2017, section 2; Glorot & Bengio 2010, section 4.2.1. For tanh and softsign 1 errs to the linear
side, where the gradient is kept.
"""

_CHOSEN_BY_LAYER = ("threshold",)  # activations without defaults: each layer chooses its level


def recommended_scale(activation: str) -> float | None:
    """`n Var[w]` for weights that an activation follows.

    It is the published number, else `1 / E[f²]` at `z ~ N(0, 1)`.

    >>> recommended_scale("relu"), round(recommended_scale("gelu"), 2)
    (2.0, 2.35)
    >>> recommended_scale("mish_of_mine") is None
    True

    Args:
        activation: Name of an element-wise activation, as in `ACTIVATIONS`.

    Returns:
        The scale; `None` for an activation that is not known.
    """
    if activation in PUBLISHED_SCALES:
        return PUBLISHED_SCALES[activation]
    if activation not in ACTIVATIONS or activation in _CHOSEN_BY_LAYER:
        return None
    return 1.0 / activation_moments(numpy_activation(activation)).forward_factor
