"""Measured gains of signal and gradient along the paths through all sites.

The product of the ratios `q(out)/q(in)` along a path telescopes, so that it needs no knowledge of
what the layers compute: a layer of the user's own counts like a known one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.path_structure import NOWHERE, PathStructure
from keras_initcheck.analysis.structure_analysis import StructureAnalysis
from keras_initcheck.records.measurement import MEAN, SECOND_MOMENT, H, Measurement, X
from keras_initcheck.records.structure import Site

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

UNIT = 1e-3
"""Largest difference of a second moment from 1, or of a sum over units, for it to be taken for the
work of a normalization: its epsilon makes less, and chance hits it in one of some hundred layers.
"""
STANDARD = 0.3
"""The same of the output of a table of vectors: a batch sees a part of it."""
NEAR = 1.0
"""`|ln|` of a second moment up to which a small input counts as restored: the epsilon of a
normalization takes a part of it."""
SQUARED = 2.0
"""A sum over m positions multiplies the second moment by up to m², and a mean the gradient's by as
little as 1/m²."""
LARGEST_CATCHING_UP = 12.0
"""`|ln|` beyond which a first layer of the user's own that is no matrix product counts, whatever it
computes: SGD's budget for an error."""
SENSITIVITY = "sensitivity"
"""Gain of the gradient over that of the signal, as if layers had as many outputs as inputs. It is 1
in layers whose output is proportional to their weights, whatever their size, and the squared
Lyapunov factor in chaotic networks."""
LEAST_FACTOR, LARGEST_FACTOR = 0.1, 1.5
"""Factors `E f² / E z²` of activations: tanh, ReLU and GELU are between at any usual size."""


@dataclass(frozen=True)
class PathGain:
    """The measured gain along one path.

    Attributes:
        end: Index of the site with weights whose input the path ends at.
        sites: Indices of the sites whose ratios count, in order.
        ln_ratios: `ln` of each ratio.
        ln_gain: Their sum.
    """

    end: int
    sites: tuple[int, ...]
    ln_ratios: tuple[float, ...]
    ln_gain: float

    def contributors(self, share: float) -> list[tuple[int, float]]:
        """`(site, ln_ratio)`, as few as make that share of what goes in the gain's direction.

        The largest is first; equal ones stay in order.
        """
        pairs = zip(self.sites, self.ln_ratios, strict=True)
        same = [pair for pair in pairs if pair[1] * self.ln_gain > 0.0]
        same.sort(key=lambda pair: -round(abs(pair[1]), 1))
        needed = share * math.fsum(abs(ln_ratio) for _, ln_ratio in same)
        reached = np.cumsum([abs(ln_ratio) for _, ln_ratio in same])
        return same[: int(np.searchsorted(reached, needed * (1.0 - 1e-9))) + 1]


class PathGains:
    """The gains of all paths in both directions.

    Args:
        analysis: The analysis of the structure.
        measurement: What was measured.
        is_lost: `(sites,)`, whether a normalization does not restore the scale.

    Attributes:
        carrier: `(sites,)`, the operand that brings most of the signal; `NOWHERE` if none is known.
        link: `(sites,)`, the same, but `NOWHERE` where a path starts.
    """

    def __init__(
        self, analysis: StructureAnalysis, measurement: Measurement, is_lost: BoolArray
    ) -> None:
        self._structure: PathStructure = analysis.paths
        self._analysis = analysis
        self._measurement = measurement
        q = measurement.activations[:, H, SECOND_MOMENT]
        self._ln_q = _logarithm(q)
        self.carrier: IntArray = self._carriers()
        self._is_own_norm = self._are_normalized()
        self._is_normalized = self._analysis.divides_by_spread & ~is_lost | self._is_own_norm
        is_start = self._is_normalized | self._structure.sets_scale | np.isnan(self._ln_q)
        self.link: IntArray = np.where(is_start, NOWHERE, self.carrier)
        forward, backward = self._forward(), self._backward()
        self._ratios = {
            FORWARD: forward,
            BACKWARD: backward,
            # Where the gradient's ratio is not known the signal's tells nothing.
            SENSITIVITY: np.where(backward != 0.0, backward - forward - self._widening(), 0.0),
        }
        self._gaps = self._between(self._structure.follows & (self.carrier >= 0))
        # A unit vector or probabilities are small by their nature: a factor that makes ordinary
        # numbers of them costs nothing.
        is_small = self._is_own_norm & (self._ln_q < -STANDARD)
        smallness = np.where(is_small, -self._ln_q, 0.0)
        *totals, self._smallness = _sums(np.stack([*self._ratios.values(), smallness]), self.link)
        self._totals = dict(zip(self._ratios, totals, strict=True))

    def at_ends(self, direction: str) -> FloatArray:
        """`(ends,)`, `ln` of the gain from the start of the path to the input of each end.

        It is 0 at the end of a path into a normalization of the user's own.
        """
        ends = self._structure.ends
        carriers = self.carrier[ends]
        is_judged = (carriers >= 0) & ~self._is_normalized[ends]
        totals = self._totals[direction][carriers] + self._gaps[direction][ends]
        found = np.where(is_judged, totals, 0.0)
        smallness = np.where(is_judged, self._smallness[carriers], 0.0)
        return _beyond(found, np.zeros_like(found), smallness)

    def path(self, direction: str, end: int) -> PathGain:
        """The path that ends at the input of a site.

        That site is a part of it where a function outside of layers makes its input.
        """
        sites = [k for k in self._back(end) if self._ratios[direction][k] != 0.0][::-1]
        ln_ratios = self._ratios[direction][sites].tolist()
        if (gap := self.gap(direction, end)) != 0.0:
            sites, ln_ratios = [*sites, end], [*ln_ratios, gap]
        return PathGain(end, tuple(sites), tuple(ln_ratios), math.fsum(ln_ratios))

    def gap(self, direction: str, index: int) -> float:
        """`ln` of what a function outside of layers makes of the output before a site.

        It is a part of the site's ratio; 0 where there is none, or where it counts as the
        activation of the layer before.
        """
        return float(self._gaps[direction][index])

    def explained_ratio(self, direction: str, index: int) -> tuple[float, float] | None:
        """`(fan, E[w²])` of the matrix of a user's own layer; `None` if it explains no ratio.

        The measured ratio over their product has to be the factor of an activation, as it is where
        the layer multiplies its input by the matrix.
        """
        own = self._structure.own_kernels.get(index)
        if own is None:
            return None
        fan = own[1] if direction == FORWARD else own[2]
        variance = float(self._measurement.weights[own[0], SECOND_MOMENT])
        ln_ratio = float(self.own_ln_ratio(direction, index))
        if not 0.0 < fan * variance < math.inf:
            return None
        factor = ln_ratio - math.log(fan * variance)
        is_explained = math.log(LEAST_FACTOR) <= factor <= math.log(LARGEST_FACTOR)
        return (fan, variance) if is_explained else None

    def own_ln_ratio(self, direction: str, index: int) -> float:
        """`ln` of the measured ratio of a user's own layer; that of the first one is on the data.

        It is `nan` on the data of several inputs.
        """
        if direction == FORWARD and self._structure.is_on_data[index]:
            return float(self._ln_q[index] - self._ln_input())
        return float(self._ratios[direction][index])

    def _back(self, index: int) -> Iterator[int]:
        index = int(self.carrier[index])
        while index != NOWHERE:
            yield index
            index = int(self.link[index])

    def _carriers(self) -> IntArray:
        structure, found = self._structure, np.full(len(self._ln_q), NOWHERE, np.intp)
        if structure.linked.size:
            size = self._ln_q[structure.operands]
            size = np.where(np.isnan(size), -np.inf, size)
            largest = np.maximum.reduceat(size, structure.starts)
            is_largest = size == largest[structure.owner]
            # Of equal ones the first stays, as it is written last.
            owner = structure.linked[structure.owner[is_largest]][::-1]
            found[owner] = structure.operands[is_largest][::-1]
        return found

    def _are_normalized(self) -> BoolArray:
        """`(sites,)`, whether a function of the user's own sets the size of its output.

        It restores unit size, gives unit size or length to three digits, adds up to 1, or takes its
        output from a table of vectors.
        """
        ln_width = self._analysis.per_site(_ln_width)
        mean = self._measurement.activations[:, H, MEAN]
        is_unit = (np.abs(self._ln_q) < UNIT) | self._are_restored()
        is_unit |= np.abs(self._ln_q + ln_width) < UNIT
        is_unit |= (np.abs(_logarithm(mean) + ln_width) < UNIT) & (ln_width > 0.0)
        matrix = self._structure.first_matrix
        if self._measurement.weights.size:
            ln_values = _logarithm(self._measurement.weights[matrix, SECOND_MOMENT])
            is_unit |= (matrix >= 0) & (np.abs(self._ln_q - ln_values) < STANDARD)
        found: BoolArray = is_unit & self._analysis.where(_may_normalize)
        return found

    def _are_restored(self) -> BoolArray:
        """`(sites,)`, whether a site without a matrix has brought a small input to about unit size.

        A large one may have been squashed, which is no normalization: its slope is another.
        """
        before = np.where(self.carrier >= 0, self._ln_q[self.carrier], 0.0)
        is_near = np.abs(self._ln_q) < NEAR
        found: BoolArray = (self._structure.first_matrix < 0) & is_near
        return found & (before < -NEAR) & (self._ln_q - before > NEAR)

    def _forward(self) -> FloatArray:
        structure, carrier = self._structure, self.carrier
        ratios = np.where(self.link >= 0, self._ln_q - self._ln_q[carrier], 0.0)
        found = np.where(structure.is_counted, ratios, 0.0)
        found = _beyond(found, structure.allowance, SQUARED * structure.allowance)
        on_data = structure.is_on_data & structure.is_counted
        found[on_data] = 0.0
        for index in on_data.nonzero()[0].tolist():
            found[index] = self._of_first(index)
        return _known(found)

    def _of_first(self, index: int) -> float:
        """What a layer on the data contributes, whose ratio multiplies the data's own scale."""
        site = self._analysis.sites[index]
        if site.kind == "weight":
            ln_ratio = float(_logarithm(self._measurement.forward_ratio[index]))
            is_linear = True
        elif site.num_parameters:
            ln_ratio = float(self._ln_q[index]) - self._ln_input()
            is_linear = self.explained_ratio(FORWARD, index) is not None
        else:
            return 0.0
        if not is_linear:
            return ln_ratio if abs(ln_ratio) > LARGEST_CATCHING_UP else 0.0
        return ln_ratio if ln_ratio > 0.0 or not site.is_trainable else 0.0

    def _between(self, is_function: BoolArray) -> dict[str, FloatArray]:
        """`gap` of all sites by direction."""
        rows = self._measurement
        inputs = _logarithm(rows.activations[:, X, SECOND_MOMENT])
        forward = _known(np.where(is_function, inputs - self._ln_q[self.carrier], 0.0))
        backward = np.zeros_like(forward)
        if rows.gradients is not None:
            above, below = (_logarithm(rows.gradients[:, k, SECOND_MOMENT]) for k in (X, H))
            is_needed = is_function & self._structure.is_behind_two & self._structure.is_sole
            backward = _known(np.where(is_needed, below[self.carrier] - above, 0.0))
        both = np.where(backward != 0.0, backward - forward, 0.0)
        return {FORWARD: forward, BACKWARD: backward, SENSITIVITY: both}

    def _ln_input(self) -> float:
        """`ln` of the second moment of the model's single input; `nan` if there are several."""
        inputs = self._measurement.inputs
        return float(_logarithm(inputs[0, SECOND_MOMENT])) if len(inputs) == 1 else math.nan

    def _backward(self) -> FloatArray:
        gradients, structure = self._measurement.gradients, self._structure
        if gradients is None:
            return np.zeros(len(self._ln_q))
        above = _logarithm(gradients[:, H, SECOND_MOMENT])
        own_input = _logarithm(gradients[:, X, SECOND_MOMENT])
        # Arithmetic outside of layers may receive the operand, too, where it is a residual stream.
        is_tapped = ~np.isnan(own_input) & self._analysis.where(_is_tapped)
        is_alone = structure.is_sole & (~is_tapped | structure.follows)
        below = np.where(is_alone & (self.link >= 0), above[self.carrier], own_input)
        is_counted = structure.is_counted & structure.is_behind_two & (self.link >= 0)
        found = np.where(is_counted, below - above, 0.0)
        fans = self._analysis.fans
        found[fans.sites] += np.where(found[fans.sites] != 0.0, np.log(fans.stride[BACKWARD]), 0.0)
        return _known(_beyond(found, SQUARED * structure.allowance, SQUARED * structure.allowance))

    def _widening(self) -> FloatArray:
        """`(sites,)`, `ln` of what a layer feeds with an input over what it makes an output of.

        By that alone `n̂ E[w²]` and `n E[w²]` differ, as they do where two numbers become 1024.
        """
        found, fans = np.zeros(len(self._ln_q)), self._analysis.fans
        found[fans.sites] = _logarithm(fans.fan[BACKWARD]) - _logarithm(fans.fan[FORWARD])
        for index, (_, fan_in, fan_out) in self._structure.own_kernels.items():
            found[index] = math.log(fan_out / fan_in)
        return np.nan_to_num(found)


def _ln_width(site: Site) -> float:
    shape = site.output_shape
    return math.log(shape[-1]) if shape and len(shape) > 1 and shape[-1] else 0.0


def _is_tapped(site: Site) -> bool:
    return site.kind == "weight"


def _may_normalize(site: Site) -> bool:
    return site.kind in ("other", "activation", "merge")


def _logarithm(values: npt.ArrayLike) -> FloatArray:
    numbers = np.asarray(values, np.float64)
    found: FloatArray = np.log(np.where((numbers > 0.0) & (numbers < np.inf), numbers, np.nan))
    return found


def _known(values: FloatArray) -> FloatArray:
    found: FloatArray = np.where(np.isfinite(values), values, 0.0)
    return found


def _beyond(values: FloatArray, below: FloatArray, above: FloatArray) -> FloatArray:
    """What is left of values behind an allowance on either side."""
    found: FloatArray = np.maximum(values - above, 0.0) + np.minimum(values + below, 0.0)
    return np.where(np.isnan(values), np.nan, found)


def _sums(values: FloatArray, carrier: IntArray) -> FloatArray:
    """`(..., sites)`, sums from the start of each path to each site.

    Each round doubles the length of the links, which end at one more site of zeros.
    """
    num = values.shape[-1]
    total = np.zeros((len(values), num + 1))
    total[:, :num] = values
    link = np.full(num + 1, num)
    link[:num] = np.where(carrier >= 0, carrier, num)
    while link.min(initial=num) < num:
        total = total + total[:, link]
        link = link[link]
    return total[:, :num]
