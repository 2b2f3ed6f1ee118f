"""The gradient on the batch: not a number, or gone."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.moment_rows import are_nonfinite
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import (
    MAX_ABS,
    SHARE_NONFINITE,
    SIZE,
    H,
    Z,
)
from keras_initcheck.records.structure import Site, Weight
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.rule import Rule, further, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.zero_weights import moves, zero_gates

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


class NonfiniteGradients(Rule):
    """NaN or infinity in the backward pass."""

    code = "IC301"
    slug = "nonfinite-gradients"
    breaks_layers = True
    title = "the gradient becomes NaN or infinite"
    what = (
        "The gradient of the loss, or of a random direction at the outputs, holds NaN or"
        " infinity. The rule names the first such site on the way back and counts the others."
    )
    why = "One step with such a gradient makes the weights NaN."
    example = (
        "ops.sqrt or ops.norm of something that is zero: finite forward, infinite slope. Or the"
        " logarithm of a probability that underflows."
    )
    limits = (
        "Information where only the loss's gradient overflows under a LossScaleOptimizer, which"
        " skips such steps and lowers its scale. The first place may be in a layer that was not"
        " probed."
    )
    fix = (
        "Add a small constant under roots, norms and logarithms; pass logits to losses"
        " (from_logits=True); look at backward-gain."
    )
    cure = Cure.RESCALE
    explained_by = (
        "nonfinite-input",
        "nonfinite-weights",
        "nonfinite-activations",
        "labels-out-of-range",
        "nonfinite-loss",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        random, loss = evidence.measurement.random_gradients, evidence.measurement.loss_gradients
        is_random_broken = _is_broken_at(random, evidence)
        broken = (is_random_broken | _is_broken_at(loss, evidence)).nonzero()[0]
        if not broken.size:
            yield from self._from_weights(evidence)
            return
        last = int(broken[-1])
        site = evidence.analysis.sites[last]
        is_scaled = not is_random_broken.any() and evidence.profile.is_loss_scaled
        source = "a random direction" if is_random_broken[last] else "the loss"
        shares = [each[last, :, SHARE_NONFINITE] for each in (random, loss) if each is not None]
        yield self.finding(
            "info" if is_scaled else "error",
            f"The gradient of {source} is NaN or infinite at `{site.name}` ({site.layer_type}),"
            f" the first on its way back{further(broken.size - 1, 'site')}.",
            site=site,
            measured=float(np.nanmax(shares)),
            expected="0",
            culprits=(site.layer,),
        )

    def _from_weights(self, evidence: Evidence) -> Iterable[Finding]:
        """At most one finding on gradients that are broken at weights alone.

        Those may belong to a layer that is not probed.
        """
        broken = are_nonfinite(evidence.measurement.weight_gradients).nonzero()[0]
        if broken.size:
            weight = evidence.analysis.weights[broken[-1]]
            yield self.finding(
                "info" if evidence.profile.is_loss_scaled else "error",
                f"The gradient of the loss for `{weight.name}` is NaN or"
                f" infinite{further(broken.size - 1, 'gradient')}.",
                site=evidence.site_of(weight),
                layer=weight.layer,
                expected="0",
                culprits=(weight.layer,),
            )


def _is_broken_at(gradients: FloatArray | None, evidence: Evidence) -> BoolArray:
    """`(sites,)`, whether a gradient is NaN or infinite at a place of the site."""
    if gradients is None:
        return np.zeros(len(evidence.analysis.sites), bool)
    found: BoolArray = np.logical_or.reduce(gradients[..., SHARE_NONFINITE] > 0.0, axis=1)
    return found


class NoGradient(Rule):
    """No hidden layer receives a gradient."""

    code = "IC302"
    slug = "no-gradient"
    title = "no gradient reaches any hidden layer"
    what = (
        "A random direction at the outputs is pulled back through the network, and its gradient"
        " is exactly zero at the pre-activation of every hidden layer."
    )
    why = "Nothing but the head can be trained."
    example = (
        "A dead ReLU layer before the head; float16 gradients that underflow; a rounding or"
        " argmax on the way."
    )
    limits = (
        "Judged by the random direction only: the loss's gradient may vanish for good reasons."
        " Not reported where a gradient is not defined (stop_gradient, integer outputs), or for"
        " a single sample, of which batch normalization or a few ReLU units leave no gradient."
        " Information where the kernel of every head, or a scale or gate, is zero and receives a"
        " gradient itself: the first step moves it."
    )
    fix = (
        "Look at the findings on dead layers and zero kernels, and for operations without a"
        " slope on the way to the output."
    )
    fix_of_zeros = (
        "Begin with ones, or with zeros only in branches beside a skip connection that carries"
        " signal and gradient."
    )
    cure = Cure.RESCALE
    explained_by = (
        "nonfinite-input",
        "nonfinite-weights",
        "nonfinite-activations",
        "zero-kernel",
        "dead-layer",
        "head-and-loss",
    )
    raises = ("saturated-units", "forward-gain")

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        hidden = evidence.analysis.where(_is_hidden).nonzero()[0]
        if evidence.profile.batch_size == 1 or not _are_gradients_zero(evidence, hidden):
            return
        zeros = zero_gates(evidence)
        moving = [position for position in zeros if moves(evidence, position)]
        sites = [evidence.analysis.sites[index] for index in hidden.tolist()]
        weights = [evidence.analysis.weights[position] for position in zeros]
        fix = self.fix_of_zeros if zeros else self.fix
        yield self.finding(
            "info" if moving else "error",
            f"No gradient reaches {_all(sites)}"
            + _zeros_sentence(
                weights, [evidence.analysis.weights[position] for position in moving]
            ),
            site=sites[-1],
            measured=0.0,
            expected="a second moment above zero",
            fix="Nothing, if the zeros are intended." if moving else fix,
            culprits=() if moving else tuple(dict.fromkeys(each.layer for each in weights)),
        )


def _is_hidden(site: Site) -> bool:
    return site.kind in ("weight", "recurrent", "embedding") and not site.is_head


def _are_gradients_zero(evidence: Evidence, hidden: npt.NDArray[np.intp]) -> bool:
    """Whether the gradient of the random direction is zero at the pre-activation of those sites.

    Kernels are trained by it. Sites where it was not measured are left out.
    """
    gradients = evidence.measurement.random_gradients
    if gradients is None:
        return False
    own, output = gradients[hidden, Z], gradients[hidden, H]
    arriving = np.where(np.isnan(own[:, SIZE, None]), output, own)
    received = arriving[~np.isnan(arriving[:, SIZE])]
    is_something = (received[:, MAX_ABS] != 0.0) | (received[:, SHARE_NONFINITE] != 0.0)
    return received.size > 0 and not is_something.any()


def _all(hidden: Sequence[Site]) -> str:
    return (
        f"any of the {len(hidden)} hidden layers"
        if len(hidden) > 1
        else f"`{hidden[0].name}`, the only hidden layer"
    )


def _zeros_sentence(zeros: Sequence[Weight], moving: Sequence[Weight]) -> str:
    if moving:
        return (
            f": all values of {listed(weight.name for weight in moving)} are zero, and the first"
            " step moves them. Measured for a random direction at the outputs."
        )
    return (
        f": all values of {listed(weight.name for weight in zeros)} are zero, and they receive no"
        " gradient themselves. Measured for a random direction at the outputs."
        if zeros
        else ": it is exactly zero for a random direction at the outputs."
    )
