"""Causes of numbers that a format does not hold: a weight, steps, what came in, or a constant."""

import math

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.recurrent import cells
from keras_initcheck.records.measurement import MAX_ABS, H, X
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.wording import number

LARGEST = {"float16": 65504.0, "float32": float(np.finfo(np.float32).max)}
"""Largest number of the formats that overflow; bfloat16 reaches as far as float32."""
LARGEST_IN_WORDS = {"float16": "65,504", "float32": "3.4e38"}


def cause_of_overflow(evidence: Evidence, site: Site) -> tuple[str, str]:
    """The likely cause in a sentence, and its cure; both empty where the numbers do not show one.

    A number is large here if its square overflows.
    """
    name = "float16" if "float16" in evidence.profile.dtype.replace("bfloat16", "") else "float32"
    bound = math.sqrt(LARGEST[name])
    extent = f"{name} ends at {LARGEST_IN_WORDS[name]}"
    weight, size = _largest_weight(evidence, site)
    if size > bound:
        return (
            f" Its weight `{weight}` reaches {number(size)}, and {extent}.",
            f"Draw `{weight}` smaller: weights of usual size are below 1.",
        )
    growth, num_steps = _growth_by_steps(evidence, site)
    if growth > 1.0 and num_steps * math.log(growth) > math.log(LARGEST[name]):
        return (
            f" Each of its {num_steps} steps makes its state about {number(growth)} times larger,"
            f" and {extent}.",
            'Draw the recurrent kernel with "orthogonal", as Keras does.',
        )
    received = _largest_input(evidence, site)
    if received > bound:
        return (
            f" What enters it reaches {number(received)}, and {extent}.",
            f"Scale down what makes the input of `{site.name}` so large.",
        )
    if name == "float16" and not math.isnan(received):
        return (
            f" Nothing large enters it, and {extent}: a constant in it, such as -1e9 for what is"
            " masked, becomes infinite.",
            "Mask with a number that float16 has, such as -30000, or give the layer"
            ' dtype="float32".',
        )
    return "", ""


def _growth_by_steps(evidence: Evidence, site: Site) -> tuple[float, int]:
    """Factor of a recurrent kernel on the state's root mean square, and the number of steps.

    The factor is `sqrt(n E[u²])`, and 0 where there is no such kernel.
    """
    kernels = next(reversed(cells(evidence, site)), ()) if site.kind == "recurrent" else ()
    shape = site.input_shape
    if len(kernels) != 2 or shape is None or len(shape) != 3 or kernels[1].fan_in is None:
        return 0.0, 0
    return math.sqrt(kernels[1].fan_in * kernels[1].moments.second_moment), shape[1]


def _largest_weight(evidence: Evidence, site: Site) -> tuple[str, float]:
    """Name and largest magnitude of the largest weight of the layer; 0 if it has none."""
    sizes = evidence.measurement.weights[:, MAX_ABS]
    named = [
        (float(size), weight.name)
        for weight, size in zip(evidence.analysis.weights, sizes, strict=True)
        if weight.layer == site.layer and not math.isnan(size)
    ]
    size, name = max(named, default=(0.0, ""))
    return name, size


def _largest_input(evidence: Evidence, site: Site) -> float:
    """Largest magnitude that enters a site; `nan` where it was not measured or is not finite."""
    activations, inputs = evidence.measurement.activations, evidence.measurement.inputs
    measured = float(activations[site.index, X, MAX_ABS])
    if not math.isnan(measured) or not site.inputs_known:
        return measured
    if site.inputs:
        return float(np.max(activations[[*site.inputs], H, MAX_ABS]))
    return float(np.max(inputs[:, MAX_ABS])) if len(inputs) else math.nan
