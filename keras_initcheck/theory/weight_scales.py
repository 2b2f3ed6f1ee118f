"""How large weights should be: the `n Var[w]` that keeps the scale of a signal through an
activation.
"""

from keras_initcheck.theory import activations

USUAL = {
    "relu": 2.0,
    "relu6": 2.0,
    "leaky_relu": 2.0,
    "selu": 1.0,
    "tanh": 1.0,
    "hard_tanh": 1.0,
    "softsign": 1.0,
    "linear": 1.0,
}
"""He et al. 2015, section 2.2 (leaky ReLU with Keras' slopes is within 9% of ReLU); Klambauer et
al. 2017, section 2; Glorot & Bengio 2010, section 4.2.1. For tanh and softsign 1 errs to the linear
side, where the gradient is kept."""


def recommended_scale(activation: str) -> float | None:
    """`n Var[w]` for weights that the activation of that name follows: the usual number, else
    `1 / E[f²]` at `z ~ N(0, 1)`.

    Args:
        activation: Name of an element-wise activation, as in `keras_initcheck.theory.activations`.

    Returns:
        The scale; `None` for an activation that is not known.

    >>> recommended_scale("relu"), round(recommended_scale("gelu"), 2), recommended_scale("mish_of_mine")
    (2.0, 2.35, None)
    """
    if activation in USUAL:
        return USUAL[activation]
    if (
        activation in activations.ACTIVATIONS and activation != "threshold"
    ):  # whose level each layer chooses
        return 1.0 / activations.moments(activations.named(activation)).forward_factor
    return None
