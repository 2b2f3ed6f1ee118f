"""Depth scales of the longest run of like layers, where mean field theory describes it.

They are no finding, but a page beside the findings.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import FORWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import MeanFieldSummary
from keras_initcheck.records.structure import Site
from keras_initcheck.theory.activations import ACTIVATIONS, activation_moments, numpy_activation
from keras_initcheck.theory.mean_field import MeanField
from keras_initcheck.theory.noise import STATIC_FLOOR

FEWEST_LAYERS = 4
"""Like layers that make a depth worth the name."""
TRAINABLE_SCALES = 6.0
"""Depth scales up to which networks were seen to train (Schoenholz et al. 2017, section 6)."""
_CRITICAL = 10.0  # times the number of layers: what such a scale changes in them is below 10%
_SAME_ACTIVATION = 0.02
"""Relative error of a factor up to which an activation has its default parameters; quadrature at
the measured `q` is better."""
_SMALLEST = 1e-8  # a fixed point below vanishes


def summarize(profile: Profile) -> MeanFieldSummary:
    """The depth scales of the longest run of like layers.

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
    evidence = Evidence(profile)
    run = max(_like_layers(evidence), key=len, default=[])
    if len(run) < FEWEST_LAYERS:
        return MeanFieldSummary(
            reason=(
                f"no {FEWEST_LAYERS} like layers follow one another with only their activation"
                " between"
            )
        )
    activation = str(run[0].site.activation)
    if not _has_default_parameters(run[0], evidence.pre_activation(run[0].site)):
        return MeanFieldSummary(reason=f"the parameters of {activation} are not known")
    try:
        return _summary(evidence, run, activation)
    except (ValueError, ArithmeticError) as error:  # a page must never cost the report
        return MeanFieldSummary(reason=f"the maps of {activation} could not be computed: {error}")


def _summary(
    evidence: Evidence, run: Sequence[PredictedRatio], activation: str
) -> MeanFieldSummary:
    log_variances = [math.log(ratio.fan * ratio.variance) for ratio in run]
    weight_variance = math.exp(math.fsum(log_variances) / len(run))
    bias_variance = math.fsum(evidence.bias_second_moment(each.site) for each in run) / len(run)
    theory = MeanField(numpy_activation(activation), weight_variance, bias_variance)
    q = _second_moment(theory, [evidence.pre_activation(each.site) for each in run])
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


def _second_moment(theory: MeanField, measured: Sequence[float]) -> float:
    """`q*` where the run is long enough to reach it, else the geometric mean of what was measured.

    Args:
        theory: The theory of the run.
        measured: Second moments of the pre-activations; `nan` where they were not measured.
    """
    settled = theory.fixed_point()
    if _SMALLEST < settled < math.inf and _scale(theory.variance_slope(settled)) <= len(measured):
        return settled
    known = [each for each in measured if not math.isnan(each)]
    return math.exp(math.fsum(map(math.log, known)) / len(known))


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
    """Number of layers over which `factor` to their power is e or 1/e.

    `inf` where the error of quadrature is all that keeps the factor from 1.
    """
    return 1.0 / abs(math.log(factor)) if abs(math.log(factor)) > 1e-9 else math.inf


def _like_layers(evidence: Evidence) -> Iterator[list[PredictedRatio]]:
    is_fed_by_data = evidence.analysis.graph.is_fed_by_data
    for number in range(len(evidence.runs(FORWARD))):
        found: list[PredictedRatio] = []
        for ratio in evidence.run(FORWARD, number):
            if (
                is_fed_by_data[ratio.site.index]
                or not ratio.is_centered
                or ratio.site.activation not in ACTIVATIONS
            ):
                yield found
                found = []
                continue
            if found and not _continues(evidence.analysis.sites, found, ratio):
                yield found
                found = []
            found.append(ratio)
        yield found


def _continues(sites: Sequence[Site], run: Sequence[PredictedRatio], ratio: PredictedRatio) -> bool:
    first, last = run[0].site, run[-1].site
    is_like = (ratio.site.layer_type, ratio.site.activation) == (
        first.layer_type,
        first.activation,
    )
    log_quotient = math.log(ratio.fan * ratio.variance / (run[0].fan * run[0].variance))
    return is_like and abs(log_quotient) <= STATIC_FLOOR and _is_next(sites, last, ratio.site)


def _is_next(sites: Sequence[Site], before: Site, site: Site) -> bool:
    """Whether nothing but activations comes between."""
    between = sites[before.index + 1 : site.index]
    return site.inputs_known and all(each.kind == "activation" for each in between)


def _has_default_parameters(ratio: PredictedRatio, second_moment: float) -> bool:
    """Whether the activation has Keras' default parameters.

    Its factor at the measured second moment shows it.
    """
    if not 0.0 < second_moment < math.inf:
        return False
    function = numpy_activation(str(ratio.site.activation))
    expected = activation_moments(function, second_moment).forward_factor
    return math.isclose(ratio.activation_factor, expected, rel_tol=_SAME_ACTIVATION)
