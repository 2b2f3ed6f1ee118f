"""One layer's own factor: whose weights are to blame if a gain alarms."""

from collections.abc import Iterable

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.analysis.variance_factors import BACKWARD, FORWARD, Factor, factor
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.initializers import advice
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.theory.noise import static_tolerance


class LayerRatio(Rule):
    """A hidden layer that does not keep the scale."""

    code = "IC104"
    slug = "layer-ratio"
    title = "a layer's weights do not keep the scale of signal or gradient"
    what = (
        "The factors ½ n Var[w] (forward) and ½ n̂ Var[w] (backward) of a single layer, with the"
        " activation's own number in place of ½, differ from 1 by more than 1.5 times, and by more"
        " than 4.5 standard deviations of what chance makes of so many weights (the thresholds"
        " layer_ratio_factor and layer_ratio_deviations). They come from the weights alone and"
        " hardly scatter."
    )
    why = (
        "One such layer is harmless; many of them multiply to what forward-gain and backward-gain"
        " judge."
    )
    example = (
        "Dense(128, activation='relu') on 128 inputs with Keras' default glorot_uniform: ½ · 128 ·"
        " 1/128 = 0.5."
    )
    limits = (
        "Always information: Keras' default Glorot weights with ReLU halve the second moment in"
        " every layer, and five such layers train as well as He's. Heads, gates, layers that a"
        " normalisation or an unknown activation follows, and further calls of a shared layer are"
        " left out. The first layer on the data is judged forward only."
    )
    fix = (
        'Use the initialiser that fits the activation: "he_normal" with ReLU, "lecun_normal" with'
        ' SELU, "glorot_normal" with tanh.'
    )

    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """At most one finding for each layer; the forward factor's where both are off."""
        graph = Graph(profile)
        for site in profile.weight_sites:
            if _is_beyond_judgement(site, graph):
                continue
            directions = (FORWARD,) if graph.is_fed_by_data(site) else (FORWARD, BACKWARD)
            found = [
                each
                for each in (factor(profile, site, direction) for direction in directions)
                if each is not None
            ]
            told = [each for each in found if not each.is_led_by_bias]
            off = [
                each for each in told if abs(each.log_ratio) > _tolerance(profile, site, thresholds)
            ]
            if off:
                yield self._report(profile, site, off, thresholds)

    def _report(
        self, profile: Profile, site: SiteStats, off: list[Factor], thresholds: Thresholds
    ) -> Finding:
        parts = " and ".join(
            f"the {_QUANTITIES[each.direction]} second moment by {each.formula} = {each}"
            for each in off
        )
        return self.finding(
            "info",
            f"`{site.name}` multiplies {parts}.",
            site=site,
            fix=advice(off[0], profile.kernels(site.layer)),
            measured=off[0].ratio,
            expected=(
                f"{1 / thresholds.layer_ratio_factor:.2g} to {thresholds.layer_ratio_factor:g}"
            ),
            culprits=(site.layer,),
        )


def _is_beyond_judgement(site: SiteStats, graph: Graph) -> bool:
    is_repeated = site.name != site.layer
    return (
        site.is_head
        or is_repeated
        or site.activation == "unknown"
        or graph.is_normalised(site)
        or graph.is_gate(site)
    )


_QUANTITIES = {FORWARD: "signal's", BACKWARD: "gradient's"}


def _tolerance(profile: Profile, site: SiteStats, thresholds: Thresholds) -> float:
    """Largest `|ln(ratio)|` that chance and taste explain:
    `max(ln 1.5, 4.5 sqrt(2 / number of weights))` of the smallest kernel.
    """
    limits = {
        "factor": thresholds.layer_ratio_factor,
        "standard_deviations": thresholds.layer_ratio_deviations,
    }
    return max(
        static_tolerance(kernel.moments.num_elements, **limits)
        for kernel in profile.kernels(site.layer)
    )
