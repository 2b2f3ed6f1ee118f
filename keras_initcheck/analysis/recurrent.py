"""Saturation inside a recurrent layer, as its weights predict it before training."""

import math

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory import activations


def predicted_slope(evidence: Evidence, site: SiteStats, steepest: float) -> float | None:
    """Mean square slope of a recurrent layer's activation, relative to its steepest slope, 0..1.

    The pre-activation of each gate and of the candidate state is a sum over inputs and state,
    `q_z = n E[w²] q_x + m E[u²] q_h`, whose slope follows by quadrature. Weights that were trained
    depend on their inputs, and the sum predicts nothing.

    Args:
        evidence: The evidence of a profile from before training.
        site: The site of a recurrent layer.
        steepest: The steepest slope of its activation.

    Returns:
        The slope; `None` where the layer's kernels are not those of SimpleRNN, GRU and LSTM, or its
        input is not known.
    """
    kernels = list(map(evidence.weight, evidence.analysis.kernels_of_call.get(site.index, ())))
    x, h = _input(evidence, site), site.activations.h
    if len(kernels) != 2 or x is None or h is None or not all(kernel.fan_in for kernel in kernels):
        return None
    sizes = (x.second_moment, h.second_moment)
    parts = [
        (kernel.fan_in or 0.0) * kernel.moments.second_moment * size
        for kernel, size in zip(kernels, sizes, strict=True)
    ]
    second_moment = math.fsum(parts)
    if not 0.0 < second_moment < math.inf or site.activation is None:
        return None
    function = activations.numpy_activation(site.activation)
    found = activations.activation_moments(function, second_moment)
    return found.derivative_second_moment / steepest**2


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
