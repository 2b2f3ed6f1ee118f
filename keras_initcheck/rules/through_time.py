"""What a recurrent layer does to the gradient on its way back through the steps."""

import math
from collections.abc import Iterable

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.rules import budgets
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class ThroughTime(Rule):
    """A gradient that grows with every step back."""

    code = "IC305"
    slug = "through-time"
    title = "the gradient explodes on its way back through the steps of a recurrent layer"
    what = (
        "The loss's gradient for a recurrent kernel U is larger than one that does not grow can be."
        " It is the sum of h(t-1) δ(t) over samples and steps, so that |dL/dU|² <= Σ|h|² Σ|δ|²"
        " (Cauchy-Schwarz). If no step back enlarges it, Σ|δ|² <= T S |dL/dh|², with T steps of"
        " which the loss sees S: the last one, or all. The measured norm over that bound is the"
        " least that the gradient has grown."
    )
    why = (
        "With T steps the gradient is multiplied T times by the same kernel (Pascanu et al. 2013,"
        " section 2.1): the early steps shout the late ones down, and one update throws the weights"
        " far away."
    )
    example = "SimpleRNN(64, recurrent_initializer=RandomNormal(stddev=3 / 8)) over 50 steps."
    limits = (
        "SimpleRNN, LSTM and GRU, with labels and a compiled loss. The bound is far from sharp, so"
        " that a growth that is not large goes unseen. A gradient that vanishes over many steps is"
        " not judged: layers of Keras' defaults do that, and learn what lies close. What a layer"
        " gives away as its state is not counted."
    )
    fix = 'Draw the recurrent kernel "orthogonal", as Keras does; clip gradients (clipnorm=1.0).'

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such layer."""
        for site in profile.sites:
            kernel, shape = _recurrent_kernel(profile, site), site.input_shape
            if kernel is None or shape is None or len(shape) != 3:
                continue
            ln_growth = _least_ln_growth(site, kernel, num_samples=shape[0], num_steps=shape[1])
            if ln_growth > 0.0:
                yield self.finding(
                    budgets.severity(
                        ln_growth, budgets.optimizer_of(profile, [site], thresholds), thresholds
                    )
                    or "warning",
                    f"On its way back through the {shape[1]} steps of `{site.name}` the gradient's"
                    f" second moment grows by e^{ln_growth:.1f} or more: the norm of that for"
                    f" `{kernel.name}` is {kernel.gradient_norm:.3g}.",
                    site=site,
                    measured=math.exp(min(ln_growth, 709.0)),
                    expected="below 1, the bound of a gradient that does not grow",
                    culprits=(site.layer,),
                )


def _recurrent_kernel(profile: Profile, site: SiteStats) -> WeightStats | None:
    """The second of two kernels that are matrices."""
    kernels = [
        weight
        for weight in profile.weights
        if weight.role == "kernel" and weight.site == site.index
    ]
    is_plain = len(kernels) == 2 and all(len(kernel.shape) == 2 for kernel in kernels)
    return kernels[1] if site.kind == "recurrent" and is_plain else None


def _least_ln_growth(
    site: SiteStats, kernel: WeightStats, num_samples: int, num_steps: int
) -> float:
    """`ln` of the squared gradient norm over the bound of one that does not grow; `-inf` where one
    of them is not known.
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
