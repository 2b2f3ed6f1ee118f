"""The numbers that are kept of each site over time: a matrix of sites × statistics, and the few
numbers that sum a network up.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.logged import Description, LoggedSites
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places

VERSION = 2
"""Of the matrix's description. It grows when a reader has to be changed."""

Statistic = Callable[[SiteStats, Sequence[WeightStats]], float | None]


def _log10(number: float | None) -> float | None:
    """`log10(number)`; `-inf` for 0."""
    if number is None or math.isnan(number):
        return None
    return math.log10(number) if number > 0 else -math.inf


def _log10_second_moment(moments: Moments | None) -> float | None:
    return _log10(moments.second_moment) if moments else None


def _standard_deviation(moments: Moments | None) -> float | None:
    return math.sqrt(max(moments.variance, 0.0)) if moments else None


def _share_nonfinite(moments: Moments | None) -> float | None:
    return moments.share_nonfinite if moments else None


def _loss(site: SiteStats) -> Places:
    return site.loss_gradients or Places()


def _random(site: SiteStats) -> Places:
    return site.random_gradients or Places()


def _root_mean_square(moments: Sequence[Moments]) -> float | None:
    count = sum(each.num_elements for each in moments)
    return (
        math.sqrt(sum(each.second_moment * each.num_elements for each in moments) / count)
        if count
        else None
    )


def _weight_rms(site: SiteStats, kernels: Sequence[WeightStats]) -> float | None:
    return _root_mean_square([kernel.moments for kernel in kernels])


def _weight_gradient_rms(site: SiteStats, kernels: Sequence[WeightStats]) -> float | None:
    return _root_mean_square([kernel.gradient for kernel in kernels if kernel.gradient])


def _log10_gradient_to_weight(site: SiteStats, kernels: Sequence[WeightStats]) -> float | None:
    """log10 of `|gradient| / |w|`: an optimizer step of learning rate `r` changes the kernel by `r`
    times that, relative to itself.
    """
    trained = [
        (kernel.gradient_norm, kernel.norm)
        for kernel in kernels
        if kernel.gradient_norm is not None
    ]
    gradient, norm = (
        math.hypot(*(each[0] for each in trained)),
        math.hypot(*(each[1] for each in trained)),
    )
    if not trained or norm == 0.0 or math.isnan(gradient):
        return None
    return math.log10(gradient) - math.log10(norm) if gradient > 0 else -math.inf


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "log10_second_moment_x": lambda site, kernels: _log10_second_moment(site.activations.x),
        "log10_second_moment_z": lambda site, kernels: _log10_second_moment(site.activations.z),
        "log10_second_moment_h": lambda site, kernels: _log10_second_moment(site.activations.h),
        "mean_h": lambda site, kernels: site.activations.h.mean if site.activations.h else None,
        "standard_deviation_h": lambda site, kernels: _standard_deviation(site.activations.h),
        "share_zero_h": lambda site, kernels: (
            site.activations.h.share_zero if site.activations.h else None
        ),
        "share_nonfinite_h": lambda site, kernels: _share_nonfinite(site.activations.h),
        "batch_share_h": lambda site, kernels: (
            site.activations.h.batch_share if site.activations.h else None
        ),
        "log10_loss_gradient_second_moment_x": lambda site, kernels: _log10_second_moment(
            _loss(site).x
        ),
        "log10_loss_gradient_second_moment_h": lambda site, kernels: _log10_second_moment(
            _loss(site).h
        ),
        "log10_random_gradient_second_moment_x": lambda site, kernels: _log10_second_moment(
            _random(site).x
        ),
        "log10_random_gradient_second_moment_h": lambda site, kernels: _log10_second_moment(
            _random(site).h
        ),
        "log10_forward_ratio": lambda site, kernels: _log10(site.forward_ratio),
        "log10_predicted_forward_ratio": lambda site, kernels: _log10(site.predicted_forward_ratio),
        "log10_backward_ratio": lambda site, kernels: _log10(site.backward_ratio),
        "log10_predicted_backward_ratio": lambda site, kernels: _log10(
            site.predicted_backward_ratio
        ),
        "log_ratio_variance": lambda site, kernels: site.log_ratio_variance,
        "log10_forward_gain": lambda site, kernels: site.log10_forward_gain,
        "log10_backward_gain": lambda site, kernels: site.log10_backward_gain,
        "weight_rms": _weight_rms,
        "weight_gradient_rms": _weight_gradient_rms,
        "log10_gradient_to_weight": _log10_gradient_to_weight,
        "share_nonfinite_loss_gradient_h": lambda site, kernels: _share_nonfinite(_loss(site).h),
        "share_nonfinite_random_gradient_h": lambda site, kernels: _share_nonfinite(
            _random(site).h
        ),
        "log10_predicted_second_moment_h": lambda site, kernels: site.predicted_log10_second_moment,
        "log10_predicted_gradient_h": lambda site, kernels: site.predicted_log10_gradient,
        "standard_deviation_z": lambda site, kernels: _standard_deviation(site.activations.z),
        "log10_largest_h": lambda site, kernels: _log10(
            site.activations.h.max_abs if site.activations.h else None
        ),
    }
)
"""Name and definition of each column of `measure`'s matrix. Whatever can grow without bounds is a
logarithm: float32 holds all of them.
"""


def measure(profile: Profile) -> npt.NDArray[np.float64]:
    """`(sites, statistics)` numbers in float64; `nan` where a statistic was not measured or is not
    defined.
    """
    kernels: dict[int | None, list[WeightStats]] = {}
    for weight in profile.weights:
        if weight.role in ("kernel", "embedding"):
            kernels.setdefault(weight.site, []).append(weight)
    rows = [
        [statistic(site, kernels.get(site.index, ())) for statistic in STATISTICS.values()]
        for site in profile.sites
    ]
    matrix = np.array(
        [[math.nan if value is None else value for value in row] for row in rows], np.float64
    )
    return matrix.reshape(len(profile.sites), len(STATISTICS))


def describe(profile: Profile) -> Description:
    """What the rows and columns of `measure`'s matrix are."""
    sites = LoggedSites(
        names=tuple(site.name for site in profile.sites),
        layers=tuple(site.layer for site in profile.sites),
        layer_types=tuple(site.layer_type for site in profile.sites),
        kinds=tuple(site.kind for site in profile.sites),
        inputs=tuple(site.inputs for site in profile.sites),
        inputs_known=tuple(site.inputs_known for site in profile.sites),
        output_shapes=tuple(site.output_shape and site.output_shape[1:] for site in profile.sites),
        num_parameters=tuple(site.num_parameters for site in profile.sites),
        activations=tuple(site.activation for site in profile.sites),
        are_heads=tuple(site.is_head for site in profile.sites),
        unpredicted=tuple(site.unpredicted for site in profile.sites),
    )
    return Description(VERSION, "statistics", profile.model, tuple(STATISTICS), sites)


def hash_sites(profile: Profile) -> str:
    """Twelve hexadecimal digits that are equal for equal lists of sites."""
    sites = json.dumps([(site.name, site.layer_type, site.kind) for site in profile.sites])
    return hashlib.sha256(sites.encode()).hexdigest()[:12]


def worst_log10_ratio(profile: Profile) -> float | None:
    """The largest `|log10 ratio|`, forward or backward, over the weight layers that are no heads;
    `None` if there is none.
    """
    ratios = [
        ratio
        for site in profile.weight_sites
        if not site.is_head
        for ratio in (site.forward_ratio, site.backward_ratio)
    ]
    sizes = [
        abs(math.log10(ratio)) if ratio else math.inf
        for ratio in ratios
        if ratio is not None and not math.isnan(ratio)
    ]
    return max(sizes, default=None)
