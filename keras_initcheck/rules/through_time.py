"""The gradient of a recurrent layer on its way back through the steps."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.structure import Site
from keras_initcheck.rules import budgets
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import LARGEST_LOG, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class ThroughTime(Rule):
    """A gradient that grows with every step back in time."""

    code = "IC305"
    slug = "through-time"
    title = "the gradient explodes on its way back through the steps of a recurrent layer"
    what = (
        "The loss's gradient for a recurrent kernel U is larger than it could be without growth"
        " from step to step. It is the sum of h(t-1) δ(t) over samples and steps, so that"
        " |dL/dU|² <= Σ|h|² Σ|δ|² (Cauchy-Schwarz). If no step back enlarges it, Σ|δ|² <= T S"
        " |dL/dh|², with T steps, of which the loss receives S: the last one, or all. The"
        " measured norm over that bound is the least factor by which the gradient has grown."
    )
    why = (
        "With T steps the gradient is multiplied T times by the same kernel (Pascanu et al."
        " 2013, section 2.1): the early steps dominate the sum, and one update moves the weights"
        " far away."
    )
    example = "SimpleRNN(64, recurrent_initializer=RandomNormal(stddev=3 / 8)) over 50 steps."
    limits = (
        "SimpleRNN, LSTM and GRU, with labels and a compiled loss. The bound is far from sharp,"
        " so that moderate growth is not detected. A gradient that vanishes over many steps is"
        " not judged: layers with Keras' defaults do that, and learn what lies close. The states"
        " that a layer returns are not counted."
    )
    fix = (
        'Draw the recurrent kernel with "orthogonal", as Keras does; clip gradients (clipnorm=1.0).'
    )
    cure = Cure.REDRAW_RECURRENT

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such layer."""
        for index in evidence.analysis.where(_is_recurrent).nonzero()[0].tolist():
            site = evidence.site(index)
            kernel, shape = _recurrent_kernel(evidence, site), site.input_shape
            if kernel is None or shape is None or len(shape) != 3:
                continue
            ln_growth = _least_ln_growth(site, kernel, num_samples=shape[0], num_steps=shape[1])
            if ln_growth > 0.0:
                optimizer = budgets.optimizer_of(evidence, [site], thresholds)
                yield self.finding(
                    budgets.severity(ln_growth, optimizer, thresholds) or "warning",
                    f"On its way back through the {shape[1]} steps of `{site.name}` the gradient's"
                    f" second moment grows by e^{ln_growth:.1f} or more: its norm for"
                    f" `{kernel.name}` is {kernel.gradient_norm:.3g}.",
                    site=site,
                    measured=math.exp(min(ln_growth, LARGEST_LOG)),
                    expected="below 1, the bound of a gradient that does not grow",
                    culprits=(site.layer,),
                )


def _is_recurrent(site: Site) -> bool:
    return site.kind == "recurrent"


def _recurrent_kernel(evidence: Evidence, site: SiteStats) -> WeightStats | None:
    """The second of two kernels that are matrices."""
    kernels = list(map(evidence.weight, evidence.analysis.kernels_of_call.get(site.index, ())))
    is_plain = len(kernels) == 2 and all(len(kernel.shape) == 2 for kernel in kernels)
    return kernels[1] if is_plain else None


def _least_ln_growth(
    site: SiteStats, kernel: WeightStats, num_samples: int, num_steps: int
) -> float:
    """Logarithm of the squared gradient norm over the bound of one that does not grow.

    `-inf` where one of them is not known.
    """
    g = site.loss_gradients.h if site.loss_gradients is not None else None
    h, norm = site.activations.h, kernel.gradient_norm
    if g is None or h is None or not norm or not math.isfinite(norm):
        return -math.inf
    units = kernel.shape[0]
    seen = g.num_elements / (num_samples * units)
    state = (
        num_samples * num_steps * units * max(1.0, h.second_moment)
    )  # Σ|h|²; a squashed state is below 1
    bound = state * num_steps * seen * (kernel.shape[1] / units) * g.second_moment * g.num_elements
    return 2.0 * math.log(norm) - math.log(bound) if 0.0 < bound < math.inf else -math.inf
