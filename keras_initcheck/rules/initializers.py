"""Which initialiser cures a gain, from the activation that follows the layer."""

import math
from collections.abc import Sequence

from keras_initcheck.profile import WeightStats
from keras_initcheck.rules.factors import BACKWARD, Factor
from keras_initcheck.theory import activations
from keras_initcheck.theory.fans import keras_fans
from keras_initcheck.theory.noise import STATIC_FLOOR

_BY_ACTIVATION = {
    "relu": ('"he_normal"', 2.0),
    "relu6": ('"he_normal"', 2.0),
    "leaky_relu": ('"he_normal"', 2.0),
    "selu": ('"lecun_normal"', 1.0),
    "tanh": ('"glorot_normal"', 1.0),
    "hard_tanh": ('"glorot_normal"', 1.0),
    "softsign": ('"glorot_normal"', 1.0),
    "linear": ('"glorot_normal"', 1.0),
}
"""The usual initialiser and its `n Var[w]` (for Glorot that of a square layer). He et al. 2015, section 2.2; Klambauer et al. 2017,
section 2; Glorot & Bengio 2010, section 4.2.1. For tanh and softsign 1 errs to the linear side, where the gradient is kept."""
_SQUASHING = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")


def advice(factor: Factor, kernels: Sequence[WeightStats]) -> str:
    """The smallest cure for a layer that spends gain, as an instruction.

    Args:
        factor: The layer's factor.
        kernels: Its kernels.
    """
    name = factor.site.activation or "linear"
    if name in _SQUASHING and factor.direction == BACKWARD:
        return (
            f"Use another activation than {name}, whose slope is at most 1/4: no initialiser keeps its gradient. "
            'relu with kernel_initializer="he_normal", or tanh with "glorot_normal", does.'
        )
    initializer, scale = _recommended(factor, name)
    fan_in = math.prod(kernel.fan_in or 0.0 for kernel in kernels)
    if abs(math.log(fan_in * factor.variance / scale)) < STATIC_FLOOR:
        return f'Fan-in already gives n Var[w] = {scale:.3g} here; split the difference with VarianceScaling({scale:.3g}, "fan_avg").'
    if len(kernels) > 1 or keras_fans(kernels[0].shape).fan_in != kernels[0].fan_in:
        shares = scale ** (1.0 / len(kernels))
        stds = " and ".join(f"stddev={math.sqrt(shares / (kernel.fan_in or 1.0)):.3g}" for kernel in kernels)
        return f"Use RandomNormal({stds}): Keras' own initialisers do not count this kernel's true fan-in."
    return f"Use kernel_initializer={initializer} for layers followed by {name}."


def _recommended(factor: Factor, name: str) -> tuple[str, float]:
    """An initialiser in Keras' words, and the `n Var[w]` that it makes."""
    if name in _BY_ACTIVATION:
        return _BY_ACTIVATION[name]
    if name in activations.ACTIVATIONS and name != "threshold":
        scale = 1.0 / activations.moments(activations.named(name)).forward_factor
    else:
        scale = 1.0 / factor.activation
    return f'VarianceScaling({scale:.3g}, "fan_in") (1 / E[f²], gain {math.sqrt(scale):.3g})', scale
