"""The signal on the batch: not a number, or gone."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.moment_rows import are_zero
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SECOND_MOMENT, SHARE_NONFINITE, H, Z
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.structure import Site, SiteKind
from keras_initcheck.rules import kernel_rules
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.overflow import cause_of_overflow
from keras_initcheck.rules.rule import Causes, Rule, further, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.unit_rules import RECTIFIERS
from keras_initcheck.rules.zero_weights import gets_no_gradient

BoolArray = npt.NDArray[np.bool_]

_MASKING_KINDS: tuple[SiteKind, ...] = ("merge", "activation", "other", "pass")
FEWEST_SILENT = 20
"""A healthy layer of n ReLU units is silent on one sample with probability 2^-n, and on m samples
with 2^-(mn): 1e-6 for 20.
"""


class NonfiniteActivations(Rule):
    """NaN or infinity in the forward pass."""

    code = "IC201"
    slug = "nonfinite-activations"
    breaks_layers = True
    title = "the signal becomes NaN or infinite"
    what = (
        "The pre-activation or the output of a layer holds NaN or infinity. The rule names the"
        " first such layer and counts those after it."
    )
    why = "Loss and gradients become NaN, and with the first step all weights do."
    example = (
        "Convolutions with N(0, 1) weights multiply the signal by 40 each: in float16 the"
        " fourth one overflows."
    )
    limits = (
        "Information where the infinities of a merge, an activation or a custom operation go no"
        " further, as with a mask of -inf before a softmax. The first place may be in a layer"
        " that was not probed."
    )
    fix = (
        "Look at forward-gain for layers before it, at the scale of the input, and at"
        " divisions, logarithms and roots in custom layers."
    )
    cure = Cure.RESCALE_AND_RESET_BIASES
    explained_by = ("nonfinite-input", "nonfinite-weights")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        shares = evidence.measurement.activations[:, Z : H + 1, SHARE_NONFINITE]
        is_broken: BoolArray = np.logical_or.reduce(shares > 0.0, axis=1)
        broken = is_broken.nonzero()[0].tolist()
        if not broken:
            return
        spreading = [index for index in broken if not _is_absorbed(evidence, index, is_broken)]
        first = (spreading or broken)[0]
        site, share = evidence.analysis.sites[first], float(np.nanmax(shares[first]))
        cause, cure = cause_of_overflow(evidence, site) if spreading else ("", "")
        yield self.finding(
            "error" if spreading else "info",
            f"{percent(share)} of the signal in `{site.name}` ({site.layer_type}) is NaN or"
            f" infinite{further(len(broken) - 1, 'site')}."
            + (cause if spreading else " It goes no further, as with a mask."),
            site=site,
            fix=cure or self.fix,
            measured=share,
            expected="0",
            culprits=(site.layer,),
        )


def _is_absorbed(evidence: Evidence, index: int, is_broken: BoolArray) -> bool:
    consumers = evidence.analysis.graph.consumers[index]
    is_mask = evidence.analysis.sites[index].kind in _MASKING_KINDS
    return is_mask and bool(consumers) and not any(is_broken[each] for each in consumers)


class DeadLayer(Rule):
    """A layer whose output is zero everywhere."""

    code = "IC202"
    slug = "dead-layer"
    breaks_layers = True
    title = "a layer's output is zero for every sample"
    what = (
        "The output of a hidden layer, or of a head with ReLU, is exactly zero for every"
        " sample, unit and position, although its input is not."
    )
    why = (
        "Later layers receive nothing of the data, and with ReLU no gradient comes back: the"
        " layer cannot recover by training."
    )
    example = (
        'Dense(64, activation="relu", bias_initializer=Constant(-10)) on standard normal'
        ' inputs. Or Dense(1, activation="relu") as a head: on positive inputs its one unit is'
        " zero for every sample in half of all draws, and nothing in the network is trained."
    )
    limits = (
        "Only the layer where the signal ends is named, and not those behind it. Heads without"
        " ReLU are left out: zero is a good start there. Information where zeros are intended"
        " (see zero-kernel), and where samples times units are fewer than 20, so that chance can"
        " do it, unless the loss's gradient is zero for every weight, of more than one sample."
        " Single dead units are the subject of dead-units."
    )
    fix = (
        "Initialize the bias with zeros and the kernel to fit the activation; look at the scale"
        " of the signal before the layer."
    )
    fix_of_head = (
        "Give the head no activation, or softplus where its output has to be positive;"
        " initialize its bias with zeros."
    )
    cure = Cure.RESCALE_OR_REDRAW
    explained_by = ("zero-kernel",)

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each layer where the signal ends."""
        is_silent = are_zero(evidence.measurement.activations[:, H])
        for index in (evidence.analysis.where(_can_die) & is_silent).nonzero()[0].tolist():
            site = evidence.site(index)
            if _ends_signal(evidence, site):
                yield self._report(evidence, site, is_silent)

    def _report(self, evidence: Evidence, site: SiteStats, is_silent: BoolArray) -> Finding:
        is_dead = _is_network_dead(evidence, is_silent)
        extent = ", and so is the output of the network" if is_dead else ""
        excuse = _excuse(evidence, site)
        fix = self.fix_of_head if site.is_head else self.fix
        return self.finding(
            "info" if excuse else "error",
            f"The output of `{site.name}` is zero for every sample{extent}.{excuse}",
            site=site,
            measured=0.0,
            expected="a second moment above zero",
            fix="Nothing, if the zeros are intended; otherwise probe more samples."
            if excuse
            else fix,
            culprits=(site.layer,),
        )

    def is_explained_by(self, slug: str, finding: Finding, causes: Causes) -> bool:
        """Another layer's zeros do not silence this one."""
        return causes.rank(slug, finding.layer) >= finding.rank


def _can_die(site: Site) -> bool:
    return site.kind in ("weight", "activation", "recurrent") and (
        not site.is_head or site.activation in RECTIFIERS
    )


def _is_network_dead(evidence: Evidence, is_silent: BoolArray) -> bool:
    """Whether every output of the network is silent, other than by a head whose kernel is zero."""
    outputs = evidence.analysis.graph.is_last
    return bool(
        outputs.any()
        and is_silent[outputs].all()
        and not any(map(evidence.has_zero_kernel, evidence.analysis.head_layers))
    )


def _ends_signal(evidence: Evidence, site: SiteStats) -> bool:
    """Whether something other than zero enters."""
    if site.activations.x is not None:
        return site.activations.x.second_moment > 0.0
    second_moment = evidence.measurement.activations[list(site.inputs), H, SECOND_MOMENT]
    return bool((second_moment > 0.0).any())


def _excuse(evidence: Evidence, site: SiteStats) -> str:
    is_merged = evidence.analysis.graph.is_branch[site.index]
    has_zero_kernel = evidence.has_zero_kernel(site.layer) and not site.is_head
    if has_zero_kernel and (is_merged or not kernel_rules.is_hidden(evidence, site.layer)):
        return " Its kernel is zero on purpose: the branch is merged."
    shape = site.output_shape or ()
    num_units = min(shape[1:2] + shape[-1:], default=0)
    is_lost = evidence.profile.batch_size > 1 and gets_no_gradient(evidence)
    if evidence.profile.batch_size * num_units < FEWEST_SILENT and not is_lost:
        return " Chance can do that with so few samples and units."
    return ""
