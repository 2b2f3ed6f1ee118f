"""How far the weights of a recurrent layer drive its candidate state into saturation, before
anything is measured inside its loop.
"""

import math

from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory import activations


def predicted_slope(profile: Profile, site: SiteStats, steepest: float) -> float | None:
    """Mean square slope of a recurrent layer's activation over that of its steepest slope, 0..1.

    The pre-activation of each gate and of the candidate state is a sum over inputs and state,
    `q_z = n E[w²] q_x + m E[u²] q_h`, whose slope follows by quadrature. Weights that were trained
    depend on their inputs, and the sum says nothing.

    Args:
        profile: What was measured, before training.
        site: The site of a recurrent layer.
        steepest: The steepest slope of its activation.

    Returns:
        The slope; `None` where the layer's kernels are not those of SimpleRNN, GRU and LSTM, or its
        input is not known.
    """
    kernels = [
        weight
        for weight in profile.weights
        if weight.role == "kernel" and weight.site == site.index
    ]
    x, h = _input(profile, site), site.activations.h
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
    return (
        activations.activation_moments(
            activations.numpy_activation(site.activation), second_moment
        ).derivative_second_moment
        / steepest**2
    )


def _input(profile: Profile, site: SiteStats) -> Moments | None:
    """What enters: the layer's own record, the output of the one site before, or the one input of
    the model.
    """
    if site.activations.x is not None:
        return site.activations.x
    if not site.inputs_known:
        return None
    if site.inputs:
        return profile.sites[site.inputs[0]].activations.h
    return profile.inputs[0][1] if len(profile.inputs) == 1 else None
