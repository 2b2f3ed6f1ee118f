"""Range that chance allows around what inputs and weights predict of a healthy network.

Numbers and arrays only. The weights of a layer are drawn at random, hence its ratio scatters around
the predicted one: `ln(ratio)` with the variance `log_ratio_variance` and, since the ratio itself
has the predicted mean, with a median that lies half the variance lower (Hanin & Nica 2020). Along a
way through the network the variances of the layers add up. Where ways meet, the one with the
largest variance counts, which is conservative: a sum of independent signals scatters less.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.site_kinds import SCALED_BY_CONSTANTS
from keras_initcheck.theory.noise import TWO_SIDED_99

FloatArray = npt.NDArray[np.float64]


def sources(inputs: Sequence[Sequence[int]], inputs_known: Sequence[bool]) -> list[Sequence[int]]:
    """Indices of the sites that each site's input comes from.

    Execution order serves where that is not known.
    """
    return [
        found if is_known else range(max(index - 1, 0), index)
        for index, (found, is_known) in enumerate(zip(inputs, inputs_known, strict=True))
    ]


def removes_scatter(kind: str, layer_type: str) -> bool:
    """Whether the output of a site has the predicted scale, whatever the scale of its input was."""
    return kind == "embedding" or (kind == "normalization" and layer_type != SCALED_BY_CONSTANTS)


def signal_variance(
    ways: Sequence[Sequence[int]], own: FloatArray, restarts: Sequence[bool]
) -> FloatArray:
    """`(sites,)` variance of the logarithm of the signal's second moment behind each site.

    Args:
        ways: Indices of the sites that each site's input comes from.
        own: `(sites,)` variance that each site adds, `nan` for none.
        restarts: Whether the site removes the scatter of its input, see `removes_scatter`.
    """
    added, found = np.nan_to_num(own), np.zeros(len(own))
    for index, before in enumerate(ways):
        if not restarts[index]:
            found[index] = max((found[each] for each in before), default=0.0) + added[index]
    return found


def gradient_variance(ways: Sequence[Sequence[int]], own: FloatArray) -> FloatArray:
    """`(sites,)` variance of the logarithm of the gradient's second moment behind each site.

    Args:
        ways: Indices of the sites that each site's input comes from.
        own: `(sites,)` variance that each site adds on the gradient's way through it, `nan` for
            none.
    """
    added, found = np.nan_to_num(own), np.zeros(len(own))
    for index in reversed(range(len(own))):
        for each in ways[index]:
            found[each] = max(found[each], found[index] + added[index])
    return found


def chance_band(log10_predicted: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of the range that holds 99% of healthy networks, in log10 units.

    Args:
        log10_predicted: log10 of predicted ratios or second moments.
        variance: Variance of their natural logarithm.

    >>> low, high = chance_band(np.array([0.0]), np.array([0.5]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([-0.9], [0.682])
    """
    half = TWO_SIDED_99 * np.sqrt(variance)
    middle = -variance / 2.0
    return (
        log10_predicted + (middle - half) / math.log(10.0),
        log10_predicted + (middle + half) / math.log(10.0),
    )
