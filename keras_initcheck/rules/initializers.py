"""Which initializer cures a gain, from the activation that follows the layer."""

import math
from collections.abc import Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION
from keras_initcheck.rules.wording import number
from keras_initcheck.theory.fans import MEAN, keras_einsum_fans, keras_fans
from keras_initcheck.theory.noise import STATIC_FLOOR
from keras_initcheck.theory.weight_scales import recommended_scale

HE, GLOROT, LECUN = '"he_normal"', '"glorot_normal"', '"lecun_normal"'
_BY_ACTIVATION = {
    "relu": HE,
    "relu6": HE,
    "leaky_relu": HE,
    "selu": LECUN,
    "tanh": GLOROT,
    "hard_tanh": GLOROT,
    "softsign": GLOROT,
    "linear": GLOROT,
}
"""The usual initializer, whose `n Var[w]` (for Glorot that of a square layer) `recommended_scale`
gives.
"""
_EINSUM = "EinsumDense"
_OWN_FACTOR = 0.25
"""How far the measured factor of an activation may be from a known one: correlated inputs and the
borders of padding make about that."""
_SQUASHING = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")


def advice_for(evidence: Evidence, ratios: Sequence[PredictedRatio]) -> str:
    """The cures for layers of different activations, one sentence for each.

    Args:
        evidence: The evidence.
        ratios: The predicted ratios of the layers, those to begin with first.
    """
    cures: dict[str, list[str]] = {}
    for ratio in ratios:
        name = ratio.site.activation or "linear"
        cures.setdefault(advice(ratio, evidence.kernels(ratio.site.layer)), []).append(name)
    if len(cures) == 1:
        return next(iter(cures))
    return " ".join(
        f"{cure.removesuffix('.')} for layers followed by {' or '.join(dict.fromkeys(names))}."
        if cure.startswith("Use kernel_initializer")
        else cure
        for cure, names in cures.items()
    )


def advice(ratio: PredictedRatio, kernels: Sequence[WeightStats]) -> str:
    """The smallest cure for a layer that spends gain, as an instruction.

    Args:
        ratio: The predicted ratio of the layer.
        kernels: Its kernels.
    """
    name = ratio.site.activation or "linear"
    if ratio.site.kind != "weight":
        return _advice_for_own(ratio)
    if name == UNKNOWN_ACTIVATION:
        return (
            "Use the initializer that fits the activation, whose name is not known here:"
            ' "he_normal" with ReLU, "glorot_normal" with tanh.'
        )
    if name in _SQUASHING:
        return (
            'Use relu with kernel_initializer="he_normal", or tanh with "glorot_normal": no'
            f" initializer keeps the gradient of {name}, whose slope is at most 1/4."
        )
    initializer, scale = _recommended(ratio, name)
    fan_in = math.prod(kernel.fan_in or 0.0 for kernel in kernels)
    if abs(math.log(fan_in * ratio.variance / scale)) < STATIC_FLOOR:
        return _beyond_fan_in(ratio, name, scale)
    is_einsum = ratio.site.layer_type == _EINSUM
    if (is_einsum or "Conv" in ratio.site.layer_type) and any(
        keras_fans(kernel.shape).fan_in != kernel.fan_in for kernel in kernels
    ):
        share = scale ** (1.0 / len(kernels))
        stds = " and ".join(
            f"stddev={number(math.sqrt(share / (kernel.fan_in or 1.0)))}" for kernel in kernels
        )
        failing = (
            "count this kernel's true fan-in only from release 3.15 on"
            if is_einsum
            else "do not count this kernel's true fan-in"
        )
        return f"Use RandomNormal({stds}): Keras' own initializers {failing}."
    if initializer == GLOROT and _is_glorot(kernels[0], is_einsum):
        initializer = LECUN
    return f"Use kernel_initializer={initializer}."


def _advice_for_own(ratio: PredictedRatio) -> str:
    """What the matrix of a layer of the user's own needs to keep the size of the signal."""
    initializer = next(
        (
            f"initializer={name}"
            for name, factor in ((HE, 0.5), (LECUN, 1.0))
            if abs(ratio.activation_factor / factor - 1.0) < _OWN_FACTOR
        ),
        f"RandomNormal(stddev={number(math.sqrt(ratio.variance / ratio.ratio))})",
    )
    return f"Use {initializer} in the layer's own add_weight."


def _recommended(ratio: PredictedRatio, name: str) -> tuple[str, float]:
    """An initializer in Keras' words, and the `n Var[w]` that it gives."""
    scale = recommended_scale(name) or 1.0 / ratio.activation_factor
    if name in _BY_ACTIVATION:
        return _BY_ACTIVATION[name], scale
    return f'VarianceScaling({number(scale)}, "fan_in")', scale


def _is_glorot(kernel: WeightStats, is_einsum: bool) -> bool:
    """Whether the kernel is a Glorot draw already, of whatever release of Keras.

    Then its mean of two fans is what does not fit.
    """
    assumed = [keras_fans(kernel.shape)]
    if is_einsum and kernel.fan_in:
        assumed.append(keras_einsum_fans(kernel.shape, kernel.fan_in))
    return any(
        abs(math.log(kernel.moments.second_moment * fans.fan_for(MEAN))) < STATIC_FLOOR
        for fans in assumed
    )


def _beyond_fan_in(ratio: PredictedRatio, name: str, scale: float) -> str:
    """Advice for a kernel that has the recommended scale already: something else is to blame."""
    right = f"n Var[w] is already {number(scale)}, as {name} requires"
    if ratio.direction == BACKWARD:
        change = "narrows" if ratio.ratio < 1.0 else "widens"
        return (
            f"The layer {change}: {right}. Split the difference with"
            f' VarianceScaling({number(scale)}, "fan_avg").'
        )
    return (
        f"Look at the layers before: {right}, and it is the size of the incoming signal that does"
        " not fit."
    )
