"""Numbers that are kept of each site over time, and the one number for the worst layer.

All of a probe is a matrix of sites × statistics, computed from the measured arrays.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.logged import Description, LoggedSites
from keras_initcheck.records import measurement as rows
from keras_initcheck.records.measurement import H, Measurement, X, Z
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.structure import Structure

VERSION = 2
"""Version of the matrix's description. It grows when a reader has to be changed."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Kernels:
    """The kernels and embeddings that belong to a site.

    Attributes:
        positions: `(kernels,)` positions among the weights.
        sites: `(kernels,)` index of each one's site.
        num_sites: Number of sites.
        owners: `(weights,)` index of the site of every weight of any role, -1 without one.
    """

    positions: npt.NDArray[np.intp]
    sites: npt.NDArray[np.intp]
    num_sites: int
    owners: npt.NDArray[np.intp]

    @classmethod
    def of(cls, structure: Structure) -> "_Kernels":
        found = [
            (position, weight.site)
            for position, weight in enumerate(structure.weights)
            if weight.role in ("kernel", "embedding") and weight.site is not None
        ]
        positions, sites = np.array(found, np.intp).reshape(-1, 2).T
        owners = [-1 if weight.site is None else weight.site for weight in structure.weights]
        return cls(positions, sites, len(structure.sites), np.array(owners, np.intp))

    def root_mean_square(self, moments: FloatArray) -> FloatArray:
        """`(sites,)` root of the mean square of all elements of a site's kernels.

        Args:
            moments: `(weights, moments)` statistics, `nan` for a weight that does not count.
        """
        counts = np.nan_to_num(moments[self.positions, rows.SIZE])
        squares = np.where(counts > 0, moments[self.positions, rows.SECOND_MOMENT], 0.0)
        return np.sqrt(self._sum(squares * counts) / self._sum(counts))

    def norm(self, norms: FloatArray, is_counted: npt.NDArray[np.bool_]) -> FloatArray:
        """`(sites,)` Euclidean norm of all kernels of a site together, `nan` where none counts.

        Args:
            norms: `(weights,)` norm of each weight.
            is_counted: `(weights,)` which of them count.
        """
        counted, found = is_counted[self.positions], norms[self.positions]
        largest = np.full(self.num_sites, np.nan)
        np.fmax.at(largest, self.sites[counted], found[counted])
        # The squares alone may leave float64's range.
        parts = np.where(counted, found / largest[self.sites], 0.0)
        is_plain = np.isfinite(largest) & (largest > 0.0)
        return np.where(is_plain, np.sqrt(self._sum(parts**2)) * largest, largest)

    def _sum(self, values: FloatArray) -> FloatArray:
        return np.bincount(self.sites, values, self.num_sites).astype(np.float64)  # int if empty


Statistic = Callable[[Measurement, _Kernels], FloatArray]


def _log10(numbers: FloatArray) -> FloatArray:
    """`log10`, `-inf` for 0."""
    return np.log10(np.maximum(numbers, 0.0))


def _moment(part: str, place: int, statistic: int) -> Statistic:
    """A statistic of the signal or of a gradient, `nan` where it was not measured."""

    def read(measured: Measurement, kernels: _Kernels) -> FloatArray:
        moments: FloatArray | None = getattr(measured, part)
        if moments is None:
            return np.full(kernels.num_sites, np.nan)
        return moments[:, place, statistic]

    return read


def _log10_of(read: Statistic) -> Statistic:
    return lambda measured, kernels: _log10(read(measured, kernels))


def _log10_second_moment(part: str, place: int) -> Statistic:
    return _log10_of(_moment(part, place, rows.SECOND_MOMENT))


def _standard_deviation(place: int) -> Statistic:
    variance = _moment("activations", place, rows.VARIANCE)
    return lambda measured, kernels: np.sqrt(np.maximum(variance(measured, kernels), 0.0))


def _log10_gradient_to_weight(measured: Measurement, kernels: _Kernels) -> FloatArray:
    """`(sites,)` log10 of `|gradient| / |w|` over the trained kernels.

    A step of gradient descent with learning rate `r` changes them by `r` times that, relative to
    themselves.
    """
    is_trained = ~np.isnan(measured.weight_gradient_norm)
    gradient = kernels.norm(measured.weight_gradient_norm, is_trained)
    norm = kernels.norm(measured.weight_norm, is_trained)
    return np.where(norm == 0.0, np.nan, _log10(gradient) - _log10(norm))


def _draw(measured: Measurement, kernels: _Kernels) -> FloatArray:
    """`(sites,)` position in `VERDICTS` of the verdict that needs most attention."""
    found = np.full(kernels.num_sites, np.nan)
    for site, draw in zip(kernels.owners, measured.weight_draws, strict=False):
        if site >= 0 and draw is not None:
            found[site] = np.fmax(found[site], draw.rank)
    return found


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "log10_second_moment_x": _log10_second_moment("activations", X),
        "log10_second_moment_z": _log10_second_moment("activations", Z),
        "log10_second_moment_h": _log10_second_moment("activations", H),
        "mean_h": _moment("activations", H, rows.MEAN),
        "standard_deviation_h": _standard_deviation(H),
        "share_zero_h": _moment("activations", H, rows.SHARE_ZERO),
        "share_nonfinite_h": _moment("activations", H, rows.SHARE_NONFINITE),
        "batch_share_h": _moment("activations", H, rows.BATCH_SHARE),
        "log10_loss_gradient_second_moment_x": _log10_second_moment("loss_gradients", X),
        "log10_loss_gradient_second_moment_h": _log10_second_moment("loss_gradients", H),
        "log10_random_gradient_second_moment_x": _log10_second_moment("random_gradients", X),
        "log10_random_gradient_second_moment_h": _log10_second_moment("random_gradients", H),
        "log10_forward_ratio": lambda measured, kernels: _log10(measured.forward_ratio),
        "log10_predicted_forward_ratio": lambda measured, kernels: _log10(
            measured.predicted_forward_ratio
        ),
        "log10_backward_ratio": lambda measured, kernels: _log10(measured.backward_ratio),
        "log10_predicted_backward_ratio": lambda measured, kernels: _log10(
            measured.predicted_backward_ratio
        ),
        "log_ratio_variance": lambda measured, kernels: measured.log_ratio_variance,
        "log10_forward_gain": lambda measured, kernels: measured.log10_forward_gain,
        "log10_backward_gain": lambda measured, kernels: measured.log10_backward_gain,
        "weight_rms": lambda measured, kernels: kernels.root_mean_square(measured.weights),
        "weight_gradient_rms": lambda measured, kernels: kernels.root_mean_square(
            measured.weight_gradients
        ),
        "log10_gradient_to_weight": _log10_gradient_to_weight,
        "share_nonfinite_loss_gradient_h": _moment("loss_gradients", H, rows.SHARE_NONFINITE),
        "share_nonfinite_random_gradient_h": _moment("random_gradients", H, rows.SHARE_NONFINITE),
        "log10_predicted_second_moment_h": lambda measured, kernels: (
            measured.predicted_log10_second_moment
        ),
        "log10_predicted_gradient_h": lambda measured, kernels: measured.predicted_log10_gradient,
        "standard_deviation_z": _standard_deviation(Z),
        "log10_largest_h": _log10_of(_moment("activations", H, rows.MAX_ABS)),
        "draw": _draw,
    }
)
"""Name and definition of each column of `measure`'s matrix.

Whatever can grow without bounds is a logarithm: float32 holds all of them.
"""

SQUARES = frozenset(
    name
    for name in STATISTICS
    if "second_moment" in name or name.endswith(("_ratio", "_gain", "_predicted_gradient_h"))
)
"""Statistics that are logarithms of mean squares or of their ratios. Figures and tables show their
roots, which have the unit of the numbers themselves.
"""


def measure(profile: Profile) -> FloatArray:
    """`(sites, statistics)` numbers; `nan` for a statistic that was not measured or not defined."""
    kernels = _Kernels.of(profile.structure)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns = [read(profile.measurement, kernels) for read in STATISTICS.values()]
    return np.stack(columns, axis=1)


def describe(profile: Profile) -> Description:
    """The rows and columns of `measure`'s matrix."""
    found = profile.structure.sites
    reasons = profile.measurement.unpredicted or (None,) * len(found)
    sites = LoggedSites(
        names=tuple(site.name for site in found),
        layers=tuple(site.layer for site in found),
        layer_types=tuple(site.layer_type for site in found),
        kinds=tuple(site.kind for site in found),
        inputs=tuple(site.inputs for site in found),
        inputs_known=tuple(site.inputs_known for site in found),
        output_shapes=tuple(site.output_shape and site.output_shape[1:] for site in found),
        num_parameters=tuple(site.num_parameters for site in found),
        activations=tuple(site.activation for site in found),
        are_heads=tuple(site.is_head for site in found),
        unpredicted=tuple(reasons),
    )
    return Description(VERSION, "statistics", profile.model, tuple(STATISTICS), sites)


def hash_sites(structure: Structure) -> str:
    """Twelve hexadecimal digits that are equal for equal lists of sites."""
    sites = json.dumps([(site.name, site.layer_type, site.kind) for site in structure.sites])
    return hashlib.sha256(sites.encode()).hexdigest()[:12]


def worst_log10_ratio(profile: Profile) -> float | None:
    """The largest `|log10 ratio|`, forward or backward, of a hidden weight layer, if any."""
    sites = profile.structure.sites
    hidden = [site.index for site in sites if site.kind == "weight" and not site.is_head]
    measured = profile.measurement
    ratios = np.stack([measured.forward_ratio, measured.backward_ratio])[:, hidden]
    with np.errstate(divide="ignore"):
        found = np.abs(np.log10(ratios[~np.isnan(ratios)]))
    return float(found.max()) if found.size else None
