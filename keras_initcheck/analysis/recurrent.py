"""The cells of a recurrent layer, and saturation in them as weights predict it before training."""

import itertools
import math
from collections.abc import Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.records.structure import Site
from keras_initcheck.theory import activations


def cells(evidence: Evidence, site: Site) -> list[tuple[WeightStats, ...]]:
    """The kernels of each cell of a recurrent layer, in the order in which cells are stacked.

    Those of SimpleRNN, GRU and LSTM have two, for the input and for the state.
    """
    kernels = map(evidence.weight, evidence.analysis.kernels_of_call.get(site.index, ()))
    return [tuple(own) for _, own in itertools.groupby(kernels, lambda kernel: kernel.layer)]


def predicted_slope(evidence: Evidence, site: SiteStats, steepest: float) -> float | None:
    """Mean square slope of a recurrent layer's activation, relative to its steepest slope, 0..1.

    The pre-activation of each gate and of the candidate state is a sum over inputs and state,
    `q_z = n E[w²] q_x + m E[u²] q_h`, whose slope follows by quadrature. Weights that were trained
    depend on their inputs, and the sum predicts nothing. Of stacked cells the flattest counts; the
    states between them are taken to be as large as the output.

    Args:
        evidence: The evidence of a profile from before training.
        site: The site of a recurrent layer.
        steepest: The steepest slope of its activation.

    Returns:
        The slope; `None` where the layer's kernels are not those of SimpleRNN, GRU and LSTM, or its
        input is not known.
    """
    x, h, found = _input(evidence, site), site.activations.h, cells(evidence, site)
    if x is None or h is None or not found or site.activation is None:
        return None
    inputs = (x.second_moment, *[h.second_moment] * (len(found) - 1))
    parts = [_pre_activation(*each, h.second_moment) for each in zip(found, inputs, strict=True)]
    largest = max(parts, key=lambda part: math.inf if part is None else part)
    if largest is None or not 0.0 < largest < math.inf:
        return None
    function = activations.numpy_activation(site.activation)
    moments = activations.activation_moments(function, largest)
    return moments.derivative_second_moment / steepest**2


def _pre_activation(kernels: Sequence[WeightStats], x: float, h: float) -> float | None:
    """Second moment of a cell's pre-activation; `None` for other cells than Keras' own."""
    if len(kernels) != 2 or not all(kernel.fan_in for kernel in kernels):
        return None
    sizes = zip(kernels, (x, h), strict=True)
    return math.fsum(
        (kernel.fan_in or 0.0) * kernel.moments.second_moment * q for kernel, q in sizes
    )


def _input(evidence: Evidence, site: SiteStats) -> Moments | None:
    """Statistics of what enters a recurrent layer.

    That is the layer's own record, the output of the one site before, or the one input of the
    model.
    """
    if site.activations.x is not None:
        return site.activations.x
    if not site.inputs_known:
        return None
    if site.inputs:
        return evidence.site(site.inputs[0]).activations.h
    inputs = evidence.profile.inputs
    return inputs[0][1] if len(inputs) == 1 else None
