"""The kernels that a repair may change, layer by layer, and the size that they should have."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.predicted_ratios import MEAN_KEPT_BY_RESCALING, is_centered
from keras_initcheck.analysis.site_kinds import TRANSPARENT
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.structure import Site
from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.theory.fans import BACKWARD, FORWARD, Fans
from keras_initcheck.theory.weight_scales import recommended_scale

PROTECTED_KINDS = ("normalization", "embedding")
"""Kinds of sites whose weights change only where the user names the layer."""
SIGMOID = "sigmoid"
_SIGMOID_ON_SIGMOID, _SIGMOID_ON_CENTRED = 16.0, 4.0
"""`n Var[w]` that make of a sigmoid what Glorot's 1 makes of a tanh: its argument is twice as
large, its output half as large.
"""

FAR_TOO_LARGE = math.log(4.0)
"""Logarithm of `E[w²]` over what it should be from which a layer shares the fault of another one:
weights of twice the size. The initializers of Keras and of the papers stay at 2 or below, by their
own fan; N(0, 1) is beyond 4 from 8 inputs and outputs on.
"""
LARGEST_FACTOR = 1000.0
"""Factor, or its inverse, by which kernels may change whose right size follows from a measured
signal alone.
"""


@dataclass(frozen=True)
class LayerKernels:
    """The kernels of one layer.

    Attributes:
        site: The layer's first site.
        kernels: Its kernels, in the order of application; those of a recurrent layer work side by
            side.
        bias: The bias that it adds, where it is trained.
        follows_sigmoid: Whether all that it gets are the outputs of a sigmoid.
        measured_ratio: The measured factor of a layer of the user's own, which its one matrix
            explains and a factor on it cures; `None` for a known layer.
    """

    site: SiteStats
    kernels: tuple[WeightStats, ...]
    bias: WeightStats | None = None
    follows_sigmoid: bool = False
    measured_ratio: float | None = None

    @property
    def layer(self) -> str:
        """Path of the layer."""
        return self.site.layer

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the kernels."""
        return tuple(kernel.name for kernel in self.kernels)

    @property
    def is_own(self) -> bool:
        """Whether the layer is the user's own: no draw is known to be right for it."""
        return self.measured_ratio is not None

    @property
    def is_recurrent(self) -> bool:
        """Whether the kernels are those of gates and work side by side."""
        return self.site.kind == "recurrent"

    @property
    def is_centered(self) -> bool:
        """Whether the means of the kernels are negligible, so that rescaling keeps what matters."""
        return all(is_centered(kernel, MEAN_KEPT_BY_RESCALING) for kernel in self.kernels)

    @property
    def is_zero(self) -> bool:
        """Whether a kernel is all zero: no factor gives it a scale."""
        return any(kernel.moments.second_moment == 0.0 for kernel in self.kernels)

    @property
    def num_gates(self) -> int:
        """Gates side by side in the last axis of each kernel."""
        if not self.is_recurrent:
            return 1
        return max(1, round(self.kernels[0].shape[-1] / (self.kernels[0].fan_out or 1.0)))

    @property
    def is_recentered(self) -> bool:
        """Whether a bias of minus half of each unit's weights belongs to the right scale.

        A sigmoid is a tanh of half the size around 1/2: `σ(z) = (1 + tanh(z/2)) / 2`. With that
        bias, and weights four times as large, a layer between sigmoids computes what a layer
        between tanhs would, whose gradient Glorot weights keep.
        """
        is_plain = self.site.layer_type in ("Dense", "Conv1D", "Conv2D", "Conv3D")
        return (
            self.site.activation == SIGMOID
            and self.follows_sigmoid
            and is_plain
            and self.bias is not None
        )

    def second_moments(self, mode: str) -> tuple[float, ...]:
        """The `E[w²]` that each kernel should have: the layer's scale over its fans.

        Kernels that multiply get equal parts.

        Args:
            mode: Whose scale is kept. `"backward"` takes the outputs that an input feeds instead of
                the inputs of an output, as in He et al. 2015, section 2.2; `"balanced"` the
                geometric mean of the two, so that either gain gets half of the misfit.
        """
        scale = self._scale() ** (1.0 if self.is_recurrent else 1.0 / len(self.kernels))
        return tuple(
            scale / Fans(kernel.fan_in or 1.0, kernel.fan_out or 1.0).fan_for(mode)
            for kernel in self.kernels
        )

    def log_excess(self, mode: str) -> float:
        """Natural logarithm of the layer's factor over what it should be.

        Of the kernels of gates, the one that is off most counts.
        """
        parts = self._log_excesses(mode)
        return max(parts, key=abs) if self.is_recurrent else math.fsum(parts)

    def off_scale(self, mode: str) -> tuple[int, ...]:
        """Positions of the kernels that are off by half of what the worst is, in its direction."""
        parts = self._log_excesses(mode)
        worst = max(parts, key=abs)
        return tuple(
            position
            for position, part in enumerate(parts)
            if part * worst > 0.0 and abs(part) >= 0.5 * abs(worst)
        )

    def _log_excesses(self, mode: str) -> list[float]:
        wanted = self.second_moments(mode)
        return [
            math.log(kernel.moments.second_moment / each)
            for kernel, each in zip(self.kernels, wanted, strict=True)
        ]

    @property
    def is_far_too_large(self) -> bool:
        """Whether the weights are far beyond what either direction needs.

        A hidden layer counts only where that is so by its fan-in and by its fan-out: `"fan_out"` of
        a layer with many inputs is large forward alone. No gradient needs a size of the head.
        """
        modes = (FORWARD,) if self.site.is_head else (FORWARD, BACKWARD)
        return not self.is_zero and all(
            FAR_TOO_LARGE < self.log_excess(mode) < math.inf for mode in modes
        )

    @property
    def is_size_known(self) -> bool:
        """Whether the right size follows from the activation, or from the layer's measured factor.

        Otherwise 1 is a guess, as for no activation.
        """
        ratio = self._factor
        is_measured = ratio is not None and 0.0 < ratio < math.inf
        return self._known_scale is not None or is_measured

    @property
    def _known_scale(self) -> float | None:
        """The `n Var[w]` that is recommended for the activation; `None` where that is not known."""
        if self.is_own:
            return None
        if self.is_recurrent or self.site.is_head or self.site.activation is None:
            return 1.0
        if self.site.activation == SIGMOID and self.bias is not None:
            return _SIGMOID_ON_SIGMOID if self.is_recentered else _SIGMOID_ON_CENTRED
        return recommended_scale(self.site.activation)

    @property
    def _factor(self) -> float | None:
        """The layer's factor, as measured or, of a known layer, predicted from the weights."""
        return self.measured_ratio if self.is_own else self.site.predicted_forward_ratio

    def _scale(self) -> float:
        """The right `n Var[w]`.

        Where the activation is not known, the layer's measured factor determines it.
        """
        known, ratio = self._known_scale, self._factor
        if known is not None:
            return known
        if ratio is None or not 0.0 < ratio < math.inf:
            return 1.0
        fans_and_sizes = (
            (kernel.fan_in or 1.0) * kernel.moments.second_moment for kernel in self.kernels
        )
        return math.prod(fans_and_sizes) / ratio


def changeable(evidence: Evidence, options: ModelRepairOptions) -> Iterator[LayerKernels]:
    """The layers that may change.

    Their kernels have known fans, are trained, and are among those that the user named.
    """
    analysis = evidence.analysis
    biases = {
        weight.site: position
        for position, weight in enumerate(analysis.weights)
        if weight.role == "bias" and weight.is_trainable
    }
    seen = set()
    for site in analysis.sites:
        if site.kind not in ("weight", "recurrent") or site.layer in seen:
            continue
        seen.add(site.layer)
        kernels = tuple(map(evidence.weight, analysis.kernels_of_call.get(site.index, ())))
        is_known = all(
            kernel.fan_in and kernel.fan_out and kernel.is_trainable for kernel in kernels
        )
        if kernels and is_known and all(map(options.selects, kernels)):
            bias = evidence.weight(biases[site.index]) if site.index in biases else None
            yield LayerKernels(
                evidence.site(site.index), kernels, bias, _follows_sigmoid(analysis.sites, site)
            )


def protected(profile: Profile, options: ModelRepairOptions) -> dict[str, tuple[str, ...]]:
    """Variables of the embeddings and normalizations that the user named, by layer.

    Those that are frozen are left out.
    """
    kinds = [site.kind for site in profile.structure.sites]
    found: dict[str, tuple[str, ...]] = {}
    for weight in profile.weights:
        is_of_kind = weight.site is not None and kinds[weight.site] in PROTECTED_KINDS
        is_free = weight.is_trainable or weight.role == "state"
        if options.names_layers and is_of_kind and is_free and options.selects(weight):
            found[weight.layer] = (*found.get(weight.layer, ()), weight.name)
    return found


def _follows_sigmoid(sites: Sequence[Site], site: Site) -> bool:
    """Whether all that a layer receives are the outputs of a sigmoid.

    Activation layers, flattening and dropout may come between.
    """
    while site.inputs_known and len(site.inputs) == 1:
        site = sites[site.inputs[0]]
        if site.kind == "weight":
            return site.activation == SIGMOID
        if site.kind not in TRANSPARENT:
            return False
    return False
