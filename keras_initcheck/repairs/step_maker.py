"""The steps that may cure a finding, by what its rule names as a cure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.repairs.kernels import FAR_TOO_LARGE, LayerKernels, changeable, protected
from keras_initcheck.repairs.options import FIXUP, GLOROT, LSUV, ModelRepairOptions
from keras_initcheck.repairs.own_kernels import own_layers
from keras_initcheck.repairs.plan import RECENTER, REDRAW, RENEW, RESCALE, RESET, SETTLE, Step
from keras_initcheck.rules.catalogue import RULES_BY_SLUG
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.head import LARGE_INPUT
from keras_initcheck.rules.rule import percent
from keras_initcheck.theory.fans import MEAN
from keras_initcheck.theory.noise import STATIC_FACTOR, static_tolerance

_LARGE_BIAS = 0.1
"""Share of the pre-activation's second moment from which a bias is taken for the reason of dead or
saturated units. Keras' own are 0.
"""
DEEP = 16
"""Layers of one chain from which kernels of a wrong size are drawn anew, orthogonal, where those of
a shorter one are multiplied. An orthogonal kernel keeps the size of each signal, not only on
average, and what chance adds to a gain grows with depth.

Measured on digits with SGD, ReLU, width 64, medians of 4 and 6 draws: 22 layers reach a loss of 0.5
in 148 steps orthogonal, in 225 multiplied and in 228 drawn by He; 34 layers have a loss of 0.80,
1.57 and 1.70 after 450 steps. The bound lies between these and the 8 layers that multiplying serves
as well.
"""


def cure_of(finding: Finding) -> Cure | None:
    """The change of weights that may cure a finding; `None` if no initialization does."""
    rule = RULES_BY_SLUG.get(finding.slug)
    return None if rule is None else rule.cure


def reason(finding: Finding) -> str:
    """The finding as the reason of a step."""
    return f"{finding.code} {finding.slug}"


@dataclass(frozen=True)
class StepMaker:
    """Makes steps for the findings in one profile.

    Attributes:
        evidence: What follows from the profile.
        layers: The layers that may change, by path.
        options: The method and what it may change.
    """

    evidence: Evidence
    layers: Mapping[str, LayerKernels]
    options: ModelRepairOptions

    @classmethod
    def of(cls, profile: Profile, options: ModelRepairOptions) -> "StepMaker":
        """The maker of steps for a profile."""
        evidence = Evidence(profile)
        found = (*changeable(evidence, options), *own_layers(evidence, options))
        layers = {each.layer: each for each in found}
        return cls(evidence, layers, options)

    def steps_for(self, finding: Finding) -> list[Step]:
        """The steps that may cure a finding; empty if nothing that may change can."""
        cure = cure_of(finding)
        return [] if cure is None else self._MAKERS[cure](self, finding)

    def around(self, finding: Finding) -> list[LayerKernels]:
        """The layers that a finding names, and those of their chains: a gain is a product.

        Layers of the user's own are in no chain: with one of them come the others. All layers where
        it names none.
        """
        blamed = set(blamed_layers(finding))
        if not blamed:
            return list(self.layers.values())
        sites = self.evidence.analysis.sites
        chains = {site.chain for site in sites if site.layer in blamed and site.chain is not None}
        names_own = any(self.layers[name].is_own for name in blamed if name in self.layers)
        return [
            each
            for each in self.layers.values()
            if each.layer in blamed or each.site.chain in chains or (names_own and each.is_own)
        ]

    def sharing(self, steps: Sequence[Step], targets: Sequence[Finding]) -> list[Step]:
        """Steps for further layers whose weights are far too large, where others are mended.

        None where no finding is about the size of weights, and none in a training: a layer's size
        is then what it has learned.

        Args:
            steps: Steps that are planned. Their layers are left out.
            targets: The findings that those steps go for.
        """
        is_about_size = any((cure := cure_of(each)) and cure.concerns_size for each in targets)
        if not is_about_size or self.evidence.profile.step > 0:
            return []
        mended = {step.layer for step in steps}
        return [
            self._scaled(each, self._shared_reason(each))
            for each in self.layers.values()
            if each.layer not in mended and each.is_far_too_large
        ]

    def _shared_reason(self, layer: LayerKernels) -> str:
        """The reason for a layer that no finding names, with what the first step does to it.

        Behind a normalization the size of weights changes no signal; it sets how far a step moves
        them.
        """
        words, step = "far too large as well", self.evidence.profile.first_step
        positions = self.evidence.analysis.kernels.get(layer.layer, ())
        if step is None or not step.relative_updates or not positions:
            return words
        moved = step.relative_updates[positions[0]]
        if not math.isfinite(moved):
            return words
        return f"{words}; the first step moves it by {percent(moved)} of its size"

    def renewed(self, finding: Finding) -> list[Step]:
        """The embeddings and normalizations that the user named, where their values are blamed."""
        cure = cure_of(finding)
        if cure is None or cure.concerns_size:
            return []
        named = protected(self.evidence.profile, self.options)
        return [
            Step(layer, RENEW, named[layer], reason(finding))
            for layer in blamed_layers(finding)
            if layer in named
        ]

    def all_redrawn(self, faults: Sequence[Finding]) -> list[Step]:
        """Redraws all but zeros that nothing blames: those are intended.

        Matrices of the user's own layers are multiplied.
        """
        zeros = [finding for finding in faults if cure_of(finding) is Cure.REDRAW_ZEROS]
        blamed = {layer for finding in zeros for layer in blamed_layers(finding)}
        layers = self.layers.values()
        chosen = [each for each in layers if not each.is_zero or each.layer in blamed]
        why = f"method {self.options.method}"
        steps = [
            self._scaled(each, why) if each.is_own else self._redraw(each, why) for each in chosen
        ]
        if self.options.method == LSUV:
            steps += [
                Step(each.layer, SETTLE, each.names, why)
                for each in chosen
                if not (each.is_recurrent or each.is_own)
            ]
        return steps

    def _redraw_blamed(self, finding: Finding) -> list[Step]:
        return [*self.renewed(finding), *self._redraws(finding, blamed_layers(finding))]

    def _redraw_all_but_first(self, finding: Finding) -> list[Step]:
        return [*self.renewed(finding), *self._redraws(finding, blamed_layers(finding)[1:])]

    def _redraw_recurrent(self, finding: Finding) -> list[Step]:
        """Redraws the recurrent kernel alone: what enters has its own."""
        steps = self._redraws(finding, blamed_layers(finding))
        return [_only(step, range(1, len(step.variables))) for step in steps]

    def _scale_blamed_branches(self, finding: Finding) -> list[Step]:
        return self._branches_scaled(finding, set(blamed_layers(finding)))

    def _scale_branches_or_chain(self, finding: Finding) -> list[Step]:
        """Scales residual branches first where they made the input of the head large.

        Smaller kernels of the head would hide their growth.
        """
        branches = self._branches_scaled(finding, self._growing(finding))
        return self._recentered_too(finding, [*branches, *self._scaled_around(finding)])

    def _rescale(self, finding: Finding) -> list[Step]:
        return self._recentered_too(finding, self._scaled_around(finding))

    def _rescale_and_reset_biases(self, finding: Finding) -> list[Step]:
        steps = self._rescale(finding)
        for each in self.around(finding):
            steps += self._bias_reset(each, finding)
        return steps

    def _rescale_or_redraw(self, finding: Finding) -> list[Step]:
        return self._rescale_and_reset_biases(finding) or self._redraws(
            finding, blamed_layers(finding)
        )

    _MAKERS: ClassVar[Mapping[Cure, Callable[["StepMaker", Finding], list[Step]]]] = {
        Cure.REDRAW: _redraw_blamed,
        Cure.REDRAW_ZEROS: _redraw_blamed,
        Cure.REDRAW_ALL_BUT_FIRST: _redraw_all_but_first,
        Cure.REDRAW_RECURRENT: _redraw_recurrent,
        Cure.SCALE_BRANCHES: _scale_blamed_branches,
        Cure.SCALE_BRANCHES_OR_CHAIN: _scale_branches_or_chain,
        Cure.RESCALE: _rescale,
        Cure.RESCALE_AND_RESET_BIASES: _rescale_and_reset_biases,
        Cure.RESCALE_OR_REDRAW: _rescale_or_redraw,
    }

    def _redraws(self, finding: Finding, names: Sequence[str]) -> list[Step]:
        return [
            self._redraw(self.layers[name], reason(finding))
            for name in names
            if name in self.layers and not self.layers[name].is_own
        ]

    def _redraw(self, layer: LayerKernels, why: str) -> Step:
        """A new draw at the right scale.

        Recurrent kernels are orthogonal, as Keras draws them (Saxe et al. 2014).
        """
        method = self.options.method
        mode = MEAN if method == GLOROT else self.options.mode
        return Step(
            layer.layer,
            REDRAW,
            layer.names,
            why,
            stds=tuple(map(math.sqrt, layer.second_moments(mode))),
            num_gates=layer.num_gates,
            is_orthogonal=layer.is_recurrent or method in ("orthogonal", LSUV),
        )

    def _scaled_around(self, finding: Finding) -> list[Step]:
        blamed, why = set(blamed_layers(finding)), reason(finding)
        chosen = [
            each
            for each in self.around(finding)
            if not each.is_zero and self._is_off(each, each.layer in blamed)
        ]
        depths = Counter(each.site.chain for each in chosen)
        return [
            replace(self._redraw(each, why), is_orthogonal=True)
            if each.site.chain is not None and depths[each.site.chain] >= DEEP
            else self._scaled(each, why)
            for each in chosen
        ]

    def _is_off(self, layer: LayerKernels, is_blamed: bool) -> bool:
        """Whether to bring a layer to its scale.

        A layer that a finding names is; its neighbors are only where they are clearly off their
        scale. That of a user's own layer is measured, and known less well.
        """
        excess = layer.log_excess(self.options.mode)
        if layer.is_own and not is_blamed:
            return abs(excess) > FAR_TOO_LARGE
        factor = 1.0 if is_blamed else STATIC_FACTOR
        chance = max(
            static_tolerance(kernel.moments.num_elements, factor=factor) for kernel in layer.kernels
        )
        return not math.isfinite(excess) or abs(excess) > chance

    def _scaled(self, layer: LayerKernels, why: str) -> Step:
        """A step that rescales the kernels by `1 / sqrt(excess)`.

        Kernels with a non-zero mean are redrawn, because rescaling would keep their mean. Those of
        a recurrent layer are redrawn where they are off themselves: they work side by side.
        """
        if layer.is_recurrent:
            return _only(self._redraw(layer, why), layer.off_scale(self.options.mode))
        if not layer.is_centered:
            return self._redraw(layer, why)
        factor = math.exp(-layer.log_excess(self.options.mode) / (2 * len(layer.kernels)))
        return Step(layer.layer, RESCALE, layer.names, why, factor=factor)

    def _recentered_too(self, finding: Finding, steps: list[Step]) -> list[Step]:
        """The steps, and a new bias for each of their layers that needs one for its scale."""
        changed = {step.layer for step in steps}
        return [
            *steps,
            *[
                Step(each.layer, RECENTER, (each.bias.name,), reason(finding), kernel=each.names[0])
                for each in self.around(finding)
                if each.is_recentered and each.layer in changed and each.bias is not None
            ],
        ]

    def _bias_reset(self, layer: LayerKernels, finding: Finding) -> list[Step]:
        x, bias = layer.site.activations.x, layer.bias
        if x is None or bias is None or layer.is_recurrent or layer.is_recentered:
            return []
        if not self.options.selects(bias):
            return []
        # Nothing enters behind a dead layer: what would, if it lived, is of the order of 1.
        size = x.second_moment or 1.0
        scales = layer.second_moments(self.options.mode)
        fans = [kernel.fan_in or 1.0 for kernel in layer.kernels]
        is_large = (
            bias.moments.second_moment > _LARGE_BIAS * math.prod(scales) * math.prod(fans) * size
        )
        return [Step(layer.layer, RESET, (bias.name,), reason(finding))] if is_large else []

    def _growing(self, finding: Finding) -> set[str]:
        """Last layers of the branches that made the signal of a finding large.

        Where that is a head, what enters it has to be large itself.
        """
        sites = self.evidence.analysis.sites
        blamed = next((site.index for site in sites if site.layer == finding.layer), None)
        if blamed is None:
            return set()
        if sites[blamed].is_head:
            x = self.evidence.site(blamed).activations.x
            if x is None or x.second_moment <= LARGE_INPUT**2:
                return set()
        size = self.evidence.size
        free = [
            [block for block in each if not block.is_normalized] for each in self.evidence.stacks
        ]
        grown = [
            stack
            for stack in free
            if stack and size(stack[-1].skip) > LARGE_INPUT**2 * size(stack[0].skip)
        ]
        return {each.last_layer for stack in grown for each in stack if each.last_layer is not None}

    def _branches_scaled(self, finding: Finding, blamed: set[str]) -> list[Step]:
        """Scales every layer of a branch of m by `N^(-1/(2m-2))` in a stack of N blocks.

        With Fixup the last one becomes zero.

        Zhang et al. 2019, section 3: so a step of SGD changes the network's output by its learning
        rate, however many blocks there are. 1/√N on the last layers alone keeps the signal as well,
        but each of N branches still moves the output by the learning rate, and SGD diverges at a
        tenth of the rates and less. A branch of one layer moves by that whatever its size, and gets
        1/√N: `(1 + 1/N)^N` is below e.
        """
        steps = []
        for stack in self.evidence.stacks if blamed else ():
            for block in stack:
                if block.last_layer not in blamed:
                    continue
                branch = self._layers_of(block.sites)
                exponent = -1.0 / (2 * len(branch) - 2) if len(branch) > 1 else -0.5
                for layer in [self.layers[name] for name in branch if name in self.layers]:
                    if layer.is_zero:
                        continue
                    if self.options.method == FIXUP and layer.layer == block.last_layer:
                        steps.append(Step(layer.layer, RESET, layer.names, reason(finding)))
                        continue
                    factor = len(stack) ** (exponent / len(layer.kernels))
                    steps.append(
                        Step(layer.layer, RESCALE, layer.names, reason(finding), factor=factor)
                    )
        return steps

    def _layers_of(self, indices: frozenset[int]) -> list[str]:
        """Paths of the weight layers among those sites, in order."""
        sites = (self.evidence.analysis.sites[index] for index in sorted(indices))
        return list(dict.fromkeys(site.layer for site in sites if site.kind == "weight"))


def _only(step: Step, positions: Iterable[int]) -> Step:
    """A step that draws some of its variables alone."""
    return replace(
        step,
        variables=tuple(step.variables[each] for each in positions),
        stds=tuple(step.stds[each] for each in positions),
    )


def blamed_layers(finding: Finding) -> list[str]:
    """Paths of the layers that a finding blames; empty where it blames none."""
    own = [finding.layer] if finding.layer is not None else []
    return list(dict.fromkeys(finding.culprits or own))
