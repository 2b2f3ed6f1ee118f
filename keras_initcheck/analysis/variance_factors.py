"""A layer's ratio in its factors, `½ n Var[w]` (He et al. 2015, section 2.2), and their product
along a chain.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats

FORWARD, BACKWARD = "forward", "backward"
_SAME = 2e-3  # quadrature is better, three digits are shown
LARGE_BIAS = 0.5
"""Second moment of the bias over that of what the weights make of the input, from which the weights
alone say little of the signal.
"""
_CENTRED = 0.1
"""Share of `E[w²]` that the squared mean may have for `E[w²]` to be called the variance."""


@dataclass(frozen=True)
class Factor:
    """What the weights of one layer do to the second moment, in one direction.

    Attributes:
        site: The layer's call.
        direction: `"forward"` or `"backward"`.
        fan: Forward the true fan-in; backward `n̂ = k² d` as in He et al., without the stride of a
            convolution. A stride spreads the gradient over more positions, each of which adds to
            the weight gradient, so that nothing is lost.
        variance: Mean of `w²`. Kernels that are applied one after the other multiply, in `fan` too.
        ratio: `fan * variance` times what the activation that follows does.
        is_centred: Whether the weights' mean is negligible.
        is_led_by_bias: Whether the bias makes a good part of the pre-activation, so that the factor
            says little of the signal: the bias may add to what the weights make, or take the mean
            of it out again as `-E[h] Σ w` does behind a sigmoid.
    """

    site: SiteStats
    direction: str
    fan: float
    variance: float
    ratio: float
    is_centred: bool = True
    is_led_by_bias: bool = False

    @property
    def activation(self) -> float:
        """The activation's share: 1/2 for ReLU, 1 where none follows."""
        return self.ratio / (self.fan * self.variance)

    @property
    def log_ratio(self) -> float:
        """`ln(ratio)`: 0 where the layer keeps the scale."""
        return math.log(self.ratio)

    @property
    def formula(self) -> str:
        """What is multiplied, such as `½ n Var[w]`."""
        measure, fan = ("E[f²]/E[z²]", "n") if self.direction == FORWARD else ("E[f'²]", "n̂")
        return " ".join(
            [*self._activation_as(measure), fan, "Var[w]" if self.is_centred else "E[w²]"]
        )

    def __str__(self) -> str:
        """The same in numbers, such as `½ · 576 · 0.00116 = 0.333`."""
        numbers = [
            *self._activation_as(f"{self.activation:.3g}"),
            f"{self.fan:.4g}",
            f"{self.variance:.3g}",
        ]
        return f"{' · '.join(numbers)} = {self.ratio:.3g}"

    def _activation_as(self, text: str) -> list[str]:
        if math.isclose(self.activation, 1.0, rel_tol=_SAME):
            return []
        return ["½" if math.isclose(self.activation, 0.5, rel_tol=_SAME) else text]


def factor(profile: Profile, site: SiteStats, direction: str) -> Factor | None:
    """The factor of one site; `None` where it is not known, or zero or not finite, so that it is no
    factor of a scale.
    """
    kernels = profile.kernels(site.layer)
    ratio = site.predicted_forward_ratio if direction == FORWARD else site.predicted_backward_ratio
    if (
        ratio is None
        or not kernels
        or any(kernel.fan_in is None or kernel.fan_out is None for kernel in kernels)
    ):
        return None
    stride = 1.0 if direction == FORWARD else max(1.0, _stride(site, kernels))
    fans = [kernel.fan_in if direction == FORWARD else kernel.fan_out for kernel in kernels]
    fan = math.prod(each for each in fans if each is not None) * stride
    variance = math.prod(kernel.moments.second_moment for kernel in kernels)
    if not 0.0 < ratio * stride < math.inf or not 0.0 < fan * variance < math.inf:
        return None
    is_biased = direction == FORWARD and _is_led_by_bias(profile, site, fan * variance)
    return Factor(
        site,
        direction,
        fan,
        variance,
        ratio * stride,
        all(_is_centred(kernel) for kernel in kernels),
        is_biased,
    )


def _is_led_by_bias(profile: Profile, site: SiteStats, scale: float) -> bool:
    x = site.activations.x
    biases = [
        weight for weight in profile.weights if weight.role == "bias" and weight.layer == site.layer
    ]
    if x is None or not x.second_moment:
        return False
    return (
        math.fsum(bias.moments.second_moment for bias in biases)
        > LARGE_BIAS * scale * x.second_moment
    )


def chains(profile: Profile, direction: str) -> Iterator[list[Factor]]:
    """The factors of each chain. One that is not known, such as that of a gating softmax or of an
    intended zero, parts it in two.
    """
    hidden = sorted(
        (site for site in profile.weight_sites if site.chain is not None),
        key=lambda site: (site.chain, site.index),
    )
    for _, sites in groupby(hidden, key=lambda site: site.chain):
        run: list[Factor] = []
        for found in (factor(profile, site, direction) for site in sites):
            if found is not None:
                run.append(found)
            elif run:
                yield run
                run = []
        if run:
            yield run


def _is_centred(kernel: WeightStats) -> bool:
    return kernel.moments.mean**2 <= _CENTRED * kernel.moments.second_moment


def _stride(site: SiteStats, kernels: Sequence[WeightStats]) -> float:
    """Input positions per output position of a convolution: `s²`, `1/s²` of a transposed one, 1 for
    other layers.

    Every connection counts once from either end:
    `positions_in channels_in fan_out = positions_out channels_out fan_in`. The shapes' own quotient
    would count the border of an unpadded convolution as well.
    """
    if "Conv" not in site.layer_type or not site.input_shape or not site.output_shape:
        return 1.0
    axis = -1 if site.output_shape[-1] == _num_filters(site.layer_type, kernels[-1].shape) else 1
    fan_in = math.prod(kernel.fan_in or 0.0 for kernel in kernels)
    fan_out = math.prod(kernel.fan_out or 0.0 for kernel in kernels)
    connections = site.input_shape[axis] * fan_out
    return site.output_shape[axis] * fan_in / connections if connections else 1.0


def _num_filters(layer_type: str, shape: tuple[int, ...]) -> int:
    if "Depthwise" in layer_type:
        return shape[-1] * shape[-2]
    return shape[-2] if "Transpose" in layer_type else shape[-1]
