"""The signal on the batch: not a number, or gone."""

from collections.abc import Iterable

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.rules import kernel_rules
from keras_initcheck.rules.rule import Rule, further, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.unit_rules import RECTIFIERS

_MASKING_KINDS = ("merge", "activation", "other", "pass")
FEWEST_SILENT = 20
"""A healthy layer of n ReLU units is silent on one sample with probability 2^-n, and on m samples
with 2^-(mn): 1e-6 for 20.
"""


def _is_nonfinite(site: SiteStats) -> bool:
    return any(
        place is not None and not place.is_finite
        for place in (site.activations.z, site.activations.h)
    )


class NonfiniteActivations(Rule):
    """NaN or infinity in the forward pass."""

    code = "IC201"
    slug = "nonfinite-activations"
    title = "the signal becomes NaN or infinite"
    what = (
        "A layer's pre-activation or output holds NaN or infinity. The first one is named, and"
        " those after it are counted."
    )
    why = "Loss and gradients become NaN, and with the first step all weights."
    example = (
        "Convolutions with N(0, 1) weights multiply the signal by 40 each: in float16 the fourth"
        " one overflows."
    )
    limits = (
        "Information where the infinities of a merge, an activation or a custom operation go no"
        " further: a mask of -inf before a softmax does that. Layers that were not probed may hold"
        " the true first place."
    )
    fix = (
        "Look at forward-gain for layers before it, at the input's scale, and at divisions,"
        " logarithms and roots in custom layers."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        graph = Graph(profile)
        broken = [site for site in profile.sites if _is_nonfinite(site)]
        spreading = [site for site in broken if not _is_absorbed(site, graph)]
        if not broken:
            return
        first = (spreading or broken)[0]
        share = max(
            place.share_nonfinite
            for place in (first.activations.z, first.activations.h)
            if place is not None
        )
        yield self.finding(
            "error" if spreading else "info",
            f"{percent(share)} of the signal in `{first.name}` ({first.layer_type}) is NaN or"
            f" infinite{further(len(broken) - 1, 'site')}."
            + ("" if spreading else " It goes no further, as with a mask."),
            site=first,
            measured=share,
            expected="0",
            culprits=(first.layer,),
        )


def _is_absorbed(site: SiteStats, graph: Graph) -> bool:
    consumers = graph.consumers(site)
    return (
        site.kind in _MASKING_KINDS and bool(consumers) and not any(map(_is_nonfinite, consumers))
    )


class DeadLayer(Rule):
    """A layer whose output is zero everywhere."""

    code = "IC202"
    slug = "dead-layer"
    title = "a layer's output is zero for every sample"
    what = (
        "The output of a hidden layer, or of a head with ReLU, is exactly zero for every sample,"
        " unit and position, although its input is not."
    )
    why = (
        "Later layers see nothing of the data, and with ReLU no gradient comes back: the layer"
        " cannot recover by training."
    )
    example = (
        'Dense(64, activation="relu", bias_initializer=Constant(-10)) on standard normal inputs. Or'
        ' Dense(1, activation="relu") as a head: on positive inputs its one unit is silent for'
        " every sample as often as not, and nothing in the network is trained."
    )
    limits = (
        "Only the layer where the signal ends is named, not those behind it. Heads without ReLU are"
        " left out: zero is a good start there. Information for intended zeros (see zero-kernel),"
        " and where samples times units are fewer than 20, so that chance does it. Single dead"
        " units are another matter."
    )
    fix = (
        "Initialise the bias with zeros and the kernel to fit the activation; look at the signal's"
        " scale before the layer."
    )
    fix_of_head = (
        "Give the head no activation, or softplus where its output has to be positive; initialise"
        " its bias with zeros."
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each layer where the signal ends."""
        graph = Graph(profile)
        for site in profile.sites:
            can_die = not site.is_head or site.activation in RECTIFIERS
            if (
                site.kind in ("weight", "activation", "recurrent")
                and can_die
                and _ends_signal(site, profile)
            ):
                yield self._report(profile, graph, site)

    def _report(self, profile: Profile, graph: Graph, site: SiteStats) -> Finding:
        outputs = [each.activations.h for each in profile.sites if graph.is_last(each)]
        has_zero_head = any(
            map(
                kernel_rules.is_zero,
                (
                    kernel
                    for each in profile.sites
                    if each.is_head
                    for kernel in profile.kernels(each.layer)
                ),
            )
        )
        is_network_dead = bool(outputs) and all(map(_is_silent, outputs)) and not has_zero_head
        extent = ", and so is what the network gives" if is_network_dead else ""
        excuse = _excuse(profile, graph, site)
        return self.finding(
            "info" if excuse else "error",
            f"The output of `{site.name}` is zero for every sample{extent}.{excuse}",
            site=site,
            measured=0.0,
            expected="a second moment above zero",
            fix=(
                "Nothing, if the zeros are meant; else probe more samples."
                if excuse
                else self.fix_of_head
                if site.is_head
                else self.fix
            ),
            culprits=(site.layer,),
        )


def _ends_signal(site: SiteStats, profile: Profile) -> bool:
    if not _is_silent(site.activations.h):
        return False
    before = (
        [site.activations.x]
        if site.activations.x is not None
        else [profile.sites[index].activations.h for index in site.inputs]
    )
    return any(place is not None and place.second_moment > 0.0 for place in before)


def _is_silent(place: Moments | None) -> bool:
    return place is not None and place.is_zero


def _excuse(profile: Profile, graph: Graph, site: SiteStats) -> str:
    has_zero_kernel = (
        any(map(kernel_rules.is_zero, profile.kernels(site.layer))) and not site.is_head
    )
    if has_zero_kernel and (
        graph.is_branch(site) or not kernel_rules.is_hidden(profile, site.layer)
    ):
        return " Its kernel is zero on purpose: the branch is merged."
    shape = site.output_shape or ()
    if profile.batch_size * min(shape[1:2] + shape[-1:], default=0) < FEWEST_SILENT:
        return " So few samples and units can do that by chance."
    return ""
