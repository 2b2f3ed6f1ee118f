"""Depth scales of the longest run of like layers, where mean field theory describes it. No finding:
a page beside them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from keras_initcheck.analysis.site_graph import Graph
from keras_initcheck.analysis.variance_factors import FORWARD, Factor, chains
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import MeanFieldSummary
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.theory.activations import ACTIVATIONS, activation_moments, numpy_activation
from keras_initcheck.theory.mean_field import MeanField
from keras_initcheck.theory.noise import STATIC_FLOOR

FEWEST_LAYERS = 4
"""Like layers that make a depth worth the name."""
TRAINABLE_SCALES = 6.0
"""Depth scales up to which networks were seen to train (Schoenholz et al. 2017, section 6)."""
_CRITICAL = 10.0  # times the number of layers: what such a scale changes in them is below 10%
_SAME_ACTIVATION = 0.02  # relative error of a factor that tells that parameters are the defaults: quadrature at the measured q is better
_SMALLEST = 1e-8  # a fixed point below vanishes


def summarise(profile: Profile) -> MeanFieldSummary:
    """What the theory says of the longest run of like layers.

    A run are weight layers of one type, one after the other with nothing between but the same
    element-wise activation, whose weights have mean zero and variances within a factor of 1.5 of
    each other. The first layer on the data belongs to none.

    Cost: 0.02 to 2 s where there is such a run; the latter where inputs go to a correlation below
    1.
    """
    if profile.step > 0:
        return MeanFieldSummary(
            reason="the weights have been trained, and the theory is about random ones"
        )
    run = max(_runs(profile), key=len, default=[])
    if len(run) < FEWEST_LAYERS:
        return MeanFieldSummary(
            reason=(
                f"no {FEWEST_LAYERS} like layers follow one another with only their activation"
                " between"
            )
        )
    activation = str(run[0].site.activation)
    if not _is_default(run[0]):
        return MeanFieldSummary(reason=f"the parameters of {activation} are not known")
    try:
        return _summary(profile, run, activation)
    except (ValueError, ArithmeticError) as error:  # a page must never cost the report
        return MeanFieldSummary(reason=f"the maps of {activation} could not be computed: {error}")


def _summary(profile: Profile, run: Sequence[Factor], activation: str) -> MeanFieldSummary:
    log_variances = [math.log(factor.fan * factor.variance) for factor in run]
    weight_variance = math.exp(math.fsum(log_variances) / len(run))
    bias_variance = math.fsum(_bias(profile, factor.site) for factor in run) / len(run)
    theory = MeanField(numpy_activation(activation), weight_variance, bias_variance)
    q = _second_moment(theory, run)
    correlation, chi1 = theory.correlation_fixed_point(q), theory.chi1(q)
    found = MeanFieldSummary(
        first=run[0].site.name,
        last=run[-1].site.name,
        num_layers=len(run),
        activation=activation,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        second_moment=q,
        chi1=chi1,
        correlation=correlation,
        correlation_scale=_scale(theory.correlation_slope(correlation, q)),
        gradient_scale=_scale(chi1),
    )
    return replace(found, sentence=" ".join(_sentences(found)))


def _second_moment(theory: MeanField, run: Sequence[Factor]) -> float:
    """`q*` where the run is long enough to reach it, else the geometric mean of what was
    measured.
    """
    settled = theory.fixed_point()
    if _SMALLEST < settled < math.inf and _scale(theory.variance_slope(settled)) <= len(run):
        return settled
    measured = [
        factor.site.activations.z.second_moment
        for factor in run
        if factor.site.activations.z is not None
    ]
    return math.exp(math.fsum(map(math.log, measured)) / len(measured))


def _sentences(found: MeanFieldSummary) -> Iterator[str]:
    depth, scale = found.num_layers, found.correlation_scale
    yield f"`{found.first}` to `{found.last}` are {depth} like layers."
    if found.gradient_scale > _CRITICAL * depth:
        yield "The gradient keeps its size over all of them."
    else:
        verb = "vanishes" if found.chi1 < 1.0 else "explodes"
        yield (
            f"The gradient's mean square {verb} by e in every {_number(found.gradient_scale)}"
            " layers on its way back."
        )
    if scale > _CRITICAL * depth:
        yield (
            "Two inputs become alike slowly, by no exponential law."
            if found.correlation == 1.0
            else "Two inputs stay as alike as they are."
        )
        return
    goal = (
        "become alike"
        if found.correlation == 1.0
        else f"go to a correlation of {found.correlation:.2f}"
    )
    most = TRAINABLE_SCALES * scale
    yield (
        f"Two inputs {goal}: the distance falls by e in every {_number(scale)} layers. Networks"
        f" were seen to train up to six times that, {_number(most)}"
        f" layers{', and there are more' if depth > most else ''}."
    )


def _number(layers: float) -> str:
    return f"{layers:.2g}" if layers < 10.0 else f"{layers:.0f}"


def _scale(factor: float) -> float:
    """Layers over which `factor` to their power is e or 1/e; `inf` where quadrature's error is all
    that keeps it from 1.
    """
    return 1.0 / abs(math.log(factor)) if abs(math.log(factor)) > 1e-9 else math.inf


def _runs(profile: Profile) -> Iterator[list[Factor]]:
    graph = Graph(profile)
    for chain in chains(profile, FORWARD):
        run: list[Factor] = []
        for factor in chain:
            if (
                graph.is_fed_by_data(factor.site)
                or not factor.is_centred
                or factor.site.activation not in ACTIVATIONS
            ):
                yield run
                run = []
                continue
            if run and not _continues(profile, run, factor):
                yield run
                run = []
            run.append(factor)
        yield run


def _continues(profile: Profile, run: Sequence[Factor], factor: Factor) -> bool:
    first, last = run[0].site, run[-1].site
    is_like = (factor.site.layer_type, factor.site.activation) == (
        first.layer_type,
        first.activation,
    )
    log_quotient = math.log(factor.fan * factor.variance / (run[0].fan * run[0].variance))
    return is_like and abs(log_quotient) <= STATIC_FLOOR and _is_next(profile, last, factor.site)


def _is_next(profile: Profile, before: SiteStats, site: SiteStats) -> bool:
    """Whether nothing but activations comes between."""
    between = profile.sites[before.index + 1 : site.index]
    return site.inputs_known and all(each.kind == "activation" for each in between)


def _is_default(factor: Factor) -> bool:
    """Whether the factor that was predicted at the measured `q` is that of the activation with
    Keras' default parameters.
    """
    z = factor.site.activations.z
    if z is None or not 0.0 < z.second_moment < math.inf:
        return False
    expected = activation_moments(
        numpy_activation(str(factor.site.activation)), z.second_moment
    ).forward_factor
    return math.isclose(factor.activation, expected, rel_tol=_SAME_ACTIVATION)


def _bias(profile: Profile, site: SiteStats) -> float:
    return max(
        (
            weight.moments.second_moment
            for weight in profile.weights
            if (weight.layer, weight.role) == (site.layer, "bias")
        ),
        default=0.0,
    )
