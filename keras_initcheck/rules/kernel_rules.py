"""Kernels whose values are no random draw: all equal, all zero, those of another layer, or of few
directions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

LARGEST_ZERO_SHARE = 0.01
"""Random draws in float32 hold next to no exact zero, identities and fixed filters many."""

RANK_COUNTED_TO = 16
"""Directions up to which `WeightStats.rank` counts."""


def is_zero(weight: WeightStats) -> bool:
    """Whether every value is exactly zero."""
    return weight.moments.is_zero


def is_constant(weight: WeightStats, share: float = DEFAULTS.constant_share) -> bool:
    """Whether all values are equal, and not zero."""
    moments = weight.moments
    is_equal = moments.variance <= share * moments.second_moment
    return (
        moments.is_finite and moments.num_elements > 1 and moments.second_moment > 0.0 and is_equal
    )


def is_hidden(profile: Profile, layer: str) -> bool:
    """Whether the layer is no head in any of its calls."""
    return not any(site.is_head for site in profile.sites if site.layer == layer)


def _called(profile: Profile) -> Iterator[tuple[WeightStats, SiteStats]]:
    """The kernels of weight layers that were called, each with its first site."""
    for weight in profile.weights:
        if (
            weight.role == "kernel"
            and weight.site is not None
            and profile.sites[weight.site].kind == "weight"
        ):
            yield weight, profile.sites[weight.site]


class ConstantKernel(Rule):
    """All weights of a kernel are the same number."""

    code = "IC105"
    slug = "constant-kernel"
    title = "all weights of a kernel are equal"
    what = "A kernel, or an embedding, whose values are all the same number, other than zero."
    why = (
        "All units of the layer compute the same thing: whatever comes in leaves as one number."
        " Only differences between later layers' weights can tell the units apart; where those are"
        " constant too, the units stay identical for ever. An embedding that is constant makes all"
        " tokens one: no sample differs from another until its rows have drifted apart."
    )
    example = 'Dense(64, activation="relu", kernel_initializer="ones"), as a first layer.'
    limits = (
        "An error in hidden layers with several units that are trained; information in heads, in"
        " depthwise kernels (an average of each channel may be meant), in frozen layers, where"
        " there is one unit, and in embeddings that are merged. Recurrent kernels are not judged."
    )
    fix = 'Use a random initialiser, such as "he_normal" with ReLU or "glorot_normal" with tanh.'

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel or embedding."""
        for weight, site in _called(profile):
            if is_constant(weight, thresholds.constant_share):
                is_fault = (
                    is_hidden(profile, weight.layer)
                    and weight.is_trainable
                    and _num_mixing_units(weight, site) > 1
                )
                yield self.finding(
                    "error" if is_fault else "info",
                    f"Every value of `{weight.name}` {weight.shape} is {weight.moments.mean:.4g}.",
                    site=site,
                    measured=weight.moments.variance,
                    expected="a variance above zero",
                    culprits=(weight.layer,),
                )
        yield from self._embeddings(profile, thresholds)

    def _embeddings(self, profile: Profile, thresholds: Thresholds) -> Iterable[Finding]:
        graph = Graph(profile)
        for weight in profile.weights:
            if (
                weight.role == "embedding"
                and weight.site is not None
                and is_constant(weight, thresholds.constant_share)
            ):
                site = profile.sites[weight.site]
                yield self.finding(
                    (
                        "info"
                        if graph.is_branch(site) or not weight.is_trainable or weight.shape[0] == 1
                        else "error"
                    ),
                    f"Every value of `{weight.name}` {weight.shape} is {weight.moments.mean:.4g}:"
                    " it gives the same for each token.",
                    site=site,
                    fix='Use a random initialiser: "uniform" is Keras\' default.',
                    measured=weight.moments.variance,
                    expected="a variance above zero",
                    culprits=(weight.layer,),
                )


def _num_mixing_units(weight: WeightStats, site: SiteStats) -> float:
    """Units that see the same inputs; 1 for kernels that keep channels apart, and where the fans
    are not known.
    """
    if (
        not weight.fan_in
        or "depthwise" in weight.name.rsplit("/", 1)[-1]
        or "Depthwise" in site.layer_type
    ):
        return 1.0
    return weight.moments.num_elements / weight.fan_in


class ZeroKernel(Rule):
    """All weights of a kernel are zero."""

    code = "IC106"
    slug = "zero-kernel"
    title = "all weights of a kernel are zero"
    what = "A kernel whose values are all zero."
    why = (
        "Nothing of the input passes, and no gradient reaches the layers before. With ReLU the"
        " layer itself gets none either, and stays dead."
    )
    example = 'Dense(64, activation="relu", kernel_initializer="zeros") between two other layers.'
    limits = (
        "Information where zeros are meant: in heads, and where the output is merged with something"
        " else, directly or after a normalisation, scale, dropout or activation (the last layer of"
        " a residual branch). That is assumed as well where a subclassed model does arithmetic"
        " outside of layers on the output. Recurrent kernels and embeddings are not judged."
    )
    fix = 'Use a random initialiser, such as "he_normal" with ReLU or "glorot_normal" with tanh.'

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel."""
        graph = Graph(profile)
        for weight, site in _called(profile):
            if not is_zero(weight):
                continue
            meant = (
                "a head"
                if not is_hidden(profile, weight.layer)
                else "a branch that is merged"
                if graph.is_branch(site)
                else ""
            )
            yield self.finding(
                "info" if meant else "error",
                f"`{weight.name}` is all zero"
                + (f": an intended zero, in {meant}." if meant else " in a hidden layer."),
                site=site,
                fix="Nothing, if the zeros are meant." if meant else self.fix,
                measured=0.0,
                expected="a variance above zero",
                culprits=(weight.layer,),
            )


class DuplicateKernels(Rule):
    """Two layers drew the same random numbers."""

    code = "IC107"
    slug = "duplicate-kernels"
    title = "different layers have bitwise identical kernels"
    what = (
        "Kernels of different layers with the same shape, norm and fingerprint: the same random"
        " numbers were drawn twice."
    )
    why = (
        "Independent weights are what every initialisation rule assumes; identical ones correlate"
        " the layers, and parallel ones learn the same. With one draw for all, SGD took 1.1 times"
        " the steps for 10 and 20 ReLU layers on digits, and 1.5 times for 30; Adam hardly more"
        " than usual (tests/benchmarks/steps_to_learn.py --seeds 3)."
    )
    example = (
        "init = HeNormal(seed=1); [Dense(64, kernel_initializer=init) for _ in range(4)]: a seeded"
        " initialiser repeats itself."
    )
    limits = (
        "Kernels that are constant, zero or hold many exact zeros (identity, fixed filters) and"
        " kernels that are not trained (the slow copy of a momentum encoder) are left out. Repeated"
        " probes of a running training do not take fingerprints, and cannot tell."
    )
    fix = (
        'Give each layer an initialiser of its own: a string such as "he_normal", or an instance'
        " with another seed. For reproducibility call keras.utils.set_random_seed."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each group of identical kernels."""
        groups: dict[tuple[object, ...], list[tuple[WeightStats, SiteStats]]] = defaultdict(list)
        for weight, site in _called(profile):
            if _is_random(weight, thresholds.constant_share):
                groups[weight.shape, weight.fingerprint, weight.norm].append((weight, site))
        for group in groups.values():
            layers = tuple(dict.fromkeys(weight.layer for weight, _ in group))
            if len(layers) > 1:
                yield self._report(layers, *group[1])

    def _report(self, layers: tuple[str, ...], weight: WeightStats, site: SiteStats) -> Finding:
        return self.finding(
            "warning",
            f"{len(layers)} layers have the same kernel {weight.shape}, value for value:"
            f" {listed(layers)}. Usually they share one instance of an initialiser, or a seed.",
            site=site,
            expected="independent random values",
            culprits=layers,
        )


class CollapsedRank(Rule):
    """A kernel whose units are combinations of a few."""

    code = "IC108"
    slug = "collapsed-rank"
    title = "a kernel has few directions: its units are combinations of one another"
    what = (
        "A kernel whose singular values are all below a hundredth of the largest one, but for as"
        " many as a quarter of its smaller side, or 4 where that is above 16. Independent draws"
        " have full rank, and their singular values are of one size: in a square kernel the median"
        " one is 0.40 of the largest (Marchenko & Pastur 1967). Counted from the kernel's product"
        " with 16 random vectors."
    )
    why = (
        "The layer passes on that few numbers of its input, however many units it has. What it"
        " drops is lost to all later layers, and the gradient to the earlier ones has as few"
        " directions."
    )
    example = (
        "kernel.assign(np.outer(u, v)); a first filter that is broadcast to all others; a"
        " pretrained filter tiled over many channels."
    )
    limits = (
        "Hidden kernels that are trained, with four units and more on both sides; information in"
        " heads and frozen layers. A bottleneck or an adapter of low rank consists of kernels that"
        " have their full rank. Constant and zero kernels have rules of their own. Repeated probes"
        " of a running training do not count, and cannot tell."
    )
    fix = "Draw all values independently, or use orthogonal initialisation."

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each such kernel."""
        for weight, site in _called(profile):
            if (
                weight.rank is None
                or is_zero(weight)
                or is_constant(weight, thresholds.constant_share)
            ):
                continue
            side = min(weight.moments.num_elements // weight.shape[-1], weight.shape[-1])
            bound = min(side, RANK_COUNTED_TO) // 4
            if weight.rank <= bound:
                is_fault = is_hidden(profile, weight.layer) and weight.is_trainable
                directions = (
                    "a single direction" if weight.rank == 1 else f"{weight.rank} directions"
                )
                yield self.finding(
                    "warning" if is_fault else "info",
                    f"`{weight.name}` {weight.shape} has {directions}: its {weight.shape[-1]} units"
                    " are combinations of so few.",
                    site=site,
                    measured=float(weight.rank),
                    expected=f"more than {bound}; {side} is full rank",
                    culprits=(weight.layer,),
                )


def _is_random(weight: WeightStats, constant_share: float) -> bool:
    moments = weight.moments
    has_zeros = moments.share_zero >= LARGEST_ZERO_SHARE
    is_drawn = (
        moments.is_finite
        and not has_zeros
        and moments.num_elements > 1
        and not is_constant(weight, constant_share)
    )
    return is_drawn and weight.is_trainable and weight.fingerprint != 0.0
