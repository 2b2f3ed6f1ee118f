"""The gradient on the batch: not a number, or gone."""

from collections.abc import Iterable, Sequence

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.rules import kernel_rules
from keras_initcheck.rules.rule import Rule, further, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


def _moments(places: Places | None) -> list[Moments]:
    return (
        [place for place in (places.h, places.z, places.x) if place is not None]
        if places is not None
        else []
    )


def _is_nonfinite(places: Places | None) -> bool:
    return any(not moments.is_finite for moments in _moments(places))


class NonfiniteGradients(Rule):
    """NaN or infinity in the backward pass."""

    code = "IC301"
    slug = "nonfinite-gradients"
    title = "the gradient becomes NaN or infinite"
    what = (
        "The gradient of the loss, or of a random direction at the outputs, holds NaN or infinity."
        " The first site on the way back is named, and the others are counted."
    )
    why = "One step with it makes the weights NaN."
    example = (
        "ops.sqrt or ops.norm of something that is zero: finite forward, infinite slope. Or log of"
        " a probability that underflows."
    )
    limits = (
        "Information where only the loss's gradient overflows under a LossScaleOptimizer: it skips"
        " such steps and lowers its scale. Layers that were not probed may hold the true first"
        " place."
    )
    fix = (
        "Add a small constant under roots, norms and logarithms; give losses logits"
        " (from_logits=True); look at backward-gain."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        random = [site for site in profile.sites if _is_nonfinite(site.random_gradients)]
        broken = [
            site for site in profile.sites if site in random or _is_nonfinite(site.loss_gradients)
        ]
        if not broken:
            yield from self._from_weights(profile)
            return
        first = broken[-1]
        is_scaled = not random and profile.is_loss_scaled
        source = "a random direction" if first in random else "the loss"
        yield self.finding(
            "info" if is_scaled else "error",
            f"The gradient of {source} is NaN or infinite at `{first.name}` ({first.layer_type}),"
            f" the first on its way back{further(len(broken) - 1, 'site')}.",
            site=first,
            measured=max(
                moments.share_nonfinite
                for moments in (*_moments(first.random_gradients), *_moments(first.loss_gradients))
            ),
            expected="0",
            culprits=(first.layer,),
        )

    def _from_weights(self, profile: Profile) -> Iterable[Finding]:
        """Of weights alone, such as those of a layer that is not probed."""
        broken = [
            weight
            for weight in profile.weights
            if weight.gradient is not None and not weight.gradient.is_finite
        ]
        if broken:
            yield self.finding(
                "info" if profile.is_loss_scaled else "error",
                f"The gradient of the loss for `{broken[-1].name}` is NaN or"
                f" infinite{further(len(broken) - 1, 'gradient')}.",
                layer=broken[-1].layer,
                site=profile.sites[broken[-1].site] if broken[-1].site is not None else None,
                expected="0",
                culprits=(broken[-1].layer,),
            )


class NoGradient(Rule):
    """No hidden layer receives a gradient."""

    code = "IC302"
    slug = "no-gradient"
    title = "no gradient reaches any hidden layer"
    what = (
        "A random direction at the outputs is pulled back through the network, and is exactly zero"
        " at every hidden layer's pre-activation."
    )
    why = "Nothing but the head can be trained."
    example = (
        "A dead ReLU layer before the head; float16 gradients that underflow; a rounding or argmax"
        " on the way."
    )
    limits = (
        "Judged with the random direction only: the loss's gradient may vanish for good reasons."
        " Where a gradient is not defined (stop_gradient, integer outputs) nothing is said."
        " Information where every head's kernel, or a scale or gate, is zero and gets a gradient"
        " itself: the first step moves it. Nothing is said about a single sample, of which batch"
        " normalisation or a few ReLU units leave no gradient."
    )
    fix = (
        "Look at the findings on dead layers and zero kernels, and for operations without a slope"
        " on the way to the output."
    )
    fix_of_zeros = (
        "Begin with ones, or with zeros only in branches beside a skip connection that carries"
        " signal and gradient."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        hidden = [
            site
            for site in profile.sites
            if site.kind in ("weight", "recurrent", "embedding") and not site.is_head
        ]
        received = [moments for moments in map(_arriving, hidden) if moments is not None]
        if (
            profile.batch_size == 1
            or not received
            or any(moments.max_abs != 0.0 or not moments.is_finite for moments in received)
        ):
            return
        zeros = _zero_gates(profile)
        moving = [weight for weight in zeros if _moves(weight)]
        yield self.finding(
            "info" if moving else "error",
            "The gradient of a random direction is exactly zero in front of the activation of"
            f" {_all(hidden)}" + _said_of(zeros, moving),
            site=hidden[-1],
            measured=0.0,
            expected="a second moment above zero",
            fix=(
                "Nothing, if the zeros are meant."
                if moving
                else self.fix_of_zeros
                if zeros
                else self.fix
            ),
            culprits=() if moving else tuple(dict.fromkeys(weight.layer for weight in zeros)),
        )


class NoWeightGradient(Rule):
    """Trainable weights that the loss does not reach."""

    code = "IC304"
    slug = "no-weight-gradient"
    title = "trainable weights get no gradient from the loss"
    what = (
        "The gradient of the loss is exactly zero for every value of a trainable variable, although"
        " other variables get one."
    )
    why = "These weights will not be trained: the way to the loss is cut, or never led there."
    example = (
        "A branch behind ops.stop_gradient, an output without a loss, a layer that is built but"
        " whose result is not used."
    )
    limits = (
        "Needs labels and a compiled loss. Information where a kernel, scale or gate in the model"
        " is zero on purpose (Fixup, ReZero, zero gamma) and gets a gradient itself: what lies"
        " behind it gets its own after the first step. Biases are left out."
    )
    fix = "Connect the layer to the loss, or set trainable=False to say that it is meant."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        trained = [
            weight
            for weight in profile.weights
            if weight.is_trainable and weight.gradient is not None and weight.role != "bias"
        ]
        without = [
            weight
            for weight in trained
            if weight.gradient is not None and _is_zero(weight.gradient)
        ]
        if not without or len(without) == len(trained):
            return
        is_meant = any(
            _is_zero(weight.moments) and _moves(weight)
            for weight in profile.weights
            if weight.is_trainable and weight.role != "bias" and not _is_offset(weight)
        )
        layers = tuple(dict.fromkeys(weight.layer for weight in without))
        yield self.finding(
            "info" if is_meant else "warning",
            f"{len(without)} of {len(trained)} trainable weights get no gradient:"
            f" {listed(weight.name for weight in without)}."
            + (
                " Weights that are zero on purpose can cause that for the first step."
                if is_meant
                else ""
            ),
            layer=layers[0],
            site=profile.sites[without[0].site] if without[0].site is not None else None,
            measured=0.0,
            expected="a gradient",
            culprits=layers,
        )


def _is_zero(moments: Moments) -> bool:
    """By the second moment: repeated probes take no largest magnitude."""
    return moments.is_finite and moments.second_moment == 0.0


def _all(hidden: Sequence[SiteStats]) -> str:
    return (
        f"each of the {len(hidden)} hidden layers"
        if len(hidden) > 1
        else f"`{hidden[0].name}`, the only hidden layer"
    )


def _arriving(site: SiteStats) -> Moments | None:
    """The gradient of the random direction at a layer's pre-activation, which is what its kernel is
    trained by.
    """
    places = site.random_gradients
    return None if places is None else places.z or places.h


def _zero_gates(profile: Profile) -> list[WeightStats]:
    """Trained weights that are zero and let nothing through: all heads' kernels, or scales and
    gates as in ReZero.
    """
    heads = [site.layer for site in profile.sites if site.is_head]
    if heads and all(any(map(kernel_rules.is_zero, profile.kernels(layer))) for layer in heads):
        return [kernel for layer in heads for kernel in profile.kernels(layer)]
    return [
        w
        for w in profile.weights
        if w.is_trainable
        and w.role in ("scale", "other")
        and not _is_offset(w)
        and _is_zero(w.moments)
    ]


def _moves(weight: WeightStats) -> bool:
    """Whether the first step may change it. Zeros in a row, or behind ReLU, keep the gradient from
    one another; without labels it may.
    """
    return weight.gradient is None or not _is_zero(weight.gradient)


def _said_of(zeros: Sequence[WeightStats], moving: Sequence[WeightStats]) -> str:
    if moving:
        return (
            f": {listed(weight.name for weight in moving)} are zero, and move with the first step."
        )
    return (
        f": {listed(weight.name for weight in zeros)} are zero, and get no gradient themselves."
        if zeros
        else "."
    )


def _is_offset(weight: WeightStats) -> bool:
    return weight.name.rsplit("/", 1)[-1] == "beta"
