"""Signal and gradient of a recurrent layer on their way through the steps."""

import math
from collections.abc import Iterable, Mapping

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.recurrent import cells
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SECOND_MOMENT
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.structure import Site
from keras_initcheck.rules import budgets
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import LARGEST_LOG, Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import times


class ThroughTime(Rule):
    """A signal that grows with every step, or a gradient with every step back in time."""

    code = "IC305"
    slug = "through-time"
    title = "signal or gradient explode on their way through the steps of a recurrent layer"
    what = (
        "The loss's gradient for a recurrent kernel U is larger than it could be without growth"
        " from step to step. It is the sum of h(t-1) δ(t) over samples and steps, so that"
        " |dL/dU|² <= Σ|h|² Σ|δ|² (Cauchy-Schwarz). If no step back enlarges it, Σ|δ|² <= T S"
        " |dL/dh|², with T steps, of which the loss receives S: the last one, or all. The"
        " measured norm over that bound is the least factor by which the gradient has grown. In"
        " the same way a state that no step enlarges is at most the sum of what the T steps"
        " bring in: its root mean square is at most T times the one of W x + b. The rule reports"
        " an output whose second moment is beyond that bound by more than the budget of"
        " forward-gain."
    )
    why = (
        "With T steps signal and gradient are multiplied T times by the same kernel (Pascanu et"
        " al. 2013, section 2.1): the early steps dominate the sum, and one update moves the"
        " weights far away. No later layer can undo that: a small head scales the output back,"
        " and leaves the steps as they are."
    )
    example = (
        "SimpleRNN(64, recurrent_initializer=RandomNormal(stddev=3 / 8)) over 50 steps; with"
        ' activation="relu" the signal explodes, too.'
    )
    limits = (
        "SimpleRNN, LSTM and GRU, alone, in Bidirectional or TimeDistributed, and their cells in"
        " RNN, of which the last is judged; for the gradient, with labels and a compiled loss. The"
        " bounds are far from sharp, so that moderate growth is not detected. The state of a"
        " squashing activation such as tanh cannot explode: saturated-units judges it. A signal or"
        " a gradient that vanishes over many steps is not judged: layers with Keras' defaults do"
        " that, and learn what lies close. The states that a layer returns are not counted."
    )
    fix = (
        'Draw the recurrent kernel with "orthogonal", as Keras does; clip gradients (clipnorm=1.0).'
    )
    cure = Cure.REDRAW_RECURRENT

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such layer."""
        for index in evidence.analysis.where(_is_recurrent).nonzero()[0].tolist():
            site = evidence.site(index)
            kernels, shape = _kernels(evidence, site), site.input_shape
            if not kernels or shape is None or len(shape) != 3:
                continue
            optimizer = budgets.optimizer_of(evidence, [site], thresholds)
            bound = budgets.budget_of(optimizer, thresholds).warning
            signal = _least_signal_growth(evidence, site, kernels[0], num_steps=shape[1])
            gradient = _least_gradient_growth(site, kernels[1], shape[0], num_steps=shape[1])
            grown = {"signal": signal if signal > bound else -math.inf, "gradient": gradient}
            if max(grown.values()) > 0.0:
                yield self._report(site, shape[1], grown, optimizer, thresholds)

    def _report(
        self,
        site: SiteStats,
        num_steps: int,
        grown: dict[str, float],
        optimizer: str | None,
        thresholds: Thresholds,
    ) -> Finding:
        told = {name: ln_growth for name, ln_growth in grown.items() if ln_growth > 0.0}
        worst = max(told.values())
        return self.finding(
            budgets.severity(worst, optimizer, thresholds) or "warning",
            _message(told, f"the {num_steps} steps of `{site.name}`"),
            site=site,
            measured=math.exp(min(worst, LARGEST_LOG)),
            expected="below 1, the bound of a signal and a gradient that do not grow",
            culprits=(site.layer,),
            details="Second moment over the largest one without growth: "
            + ", ".join(f"{name} e^{each:.1f}" for name, each in told.items())
            + ".",
        )


def _message(told: Mapping[str, float], steps: str) -> str:
    if len(told) > 1:
        return (
            f"Signal and gradient explode on their way through {steps}: they grow at least"
            f" {times(told['signal'])} and {times(told['gradient'])} times."
        )
    ((name, ln_growth),) = told.items()
    back = "back " if name == "gradient" else ""
    return (
        f"The {name} explodes on its way {back}through {steps}: it grows at least"
        f" {times(ln_growth)} times."
    )


def _is_recurrent(site: Site) -> bool:
    return site.kind == "recurrent"


def _kernels(evidence: Evidence, site: SiteStats) -> tuple[WeightStats, ...]:
    """The kernel of the inputs and the recurrent one, of the last of stacked cells.

    Empty where they are not two matrices.
    """
    kernels = next(reversed(cells(evidence, site)), ())
    is_plain = len(kernels) == 2 and all(len(kernel.shape) == 2 for kernel in kernels)
    return kernels if is_plain else ()


def _least_signal_growth(
    evidence: Evidence, site: SiteStats, kernel: WeightStats, num_steps: int
) -> float:
    """Logarithm of the output's second moment over the bound of a state that does not grow.

    `|h(T)| <= Σ|W x(t) + b|` for an activation that is not steeper than 1 and a recurrent kernel
    that enlarges nothing, gated or not; `-inf` where one of the sizes is not known.
    """
    h, x = site.activations.h, _entering(evidence, site)
    if h is None or kernel.fan_in is None or not h.second_moment > 0.0:
        return -math.inf
    biases = math.fsum(bias.moments.second_moment for bias in evidence.biases(kernel.layer))
    brought = kernel.fan_in * kernel.moments.second_moment * x + biases
    bound = num_steps**2 * brought
    return math.log(h.second_moment) - math.log(bound) if 0.0 < bound < math.inf else -math.inf


def _entering(evidence: Evidence, site: SiteStats) -> float:
    """Second moment of what enters the last cell of a site; `nan` where it is not known."""
    if len(cells(evidence, site)) > 1:
        return math.nan
    if len(site.inputs) == 1:
        return evidence.size(site.inputs[0])
    inputs = evidence.measurement.inputs
    is_fed_by_data = site.inputs_known and not site.inputs and len(inputs) == 1
    return float(inputs[0, SECOND_MOMENT]) if is_fed_by_data else math.nan


def _least_gradient_growth(
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
