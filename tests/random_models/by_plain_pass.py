"""The moments of a model's signals a second way: a plain forward pass of a Functional model, and
NumPy.
"""

import keras
import numpy as np
import pytest

from tests.random_models.data import arrays_of
from tests.random_models.description import BATCH

TOLERANCE = {"float32": 1e-3, "float64": 1e-3, "mixed_bfloat16": 0.03, "mixed_float16": 0.01}


def compare(case, model, report):
    """Holds the outputs of the model's layers against the report; gives how many were compared."""
    sites = {site.layer: site for site in report.profile.sites if site.name == site.layer}
    names = [
        layer.name for layer in model.layers if is_comparable(layer, model) and layer.name in sites
    ]
    if not names:
        return 0
    plain = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    outputs = plain(batch_of(case), training=True)
    for name, output in zip(names, keras.tree.flatten(outputs), strict=True):
        if sites[name].activations.h is None:
            continue  # it hands its input on as it is
        numbers = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")).astype("float64")
        agree(name, sites[name].activations.h, numbers, TOLERANCE[case.dtype])
    return len(names)


def is_comparable(layer, model):
    """One output, and no activation behind it that the probe would count to it."""
    consumers = [node.operation for node in layer._outbound_nodes]
    return (
        len(layer._inbound_nodes) == 1
        and is_one_tensor(layer)
        and not any(is_activation(each) for each in consumers)
    )


def is_one_tensor(layer):
    return isinstance(layer.output, keras.KerasTensor) and keras.backend.is_float_dtype(
        layer.output.dtype
    )


def is_activation(operation):
    kinds = (
        keras.layers.Activation,
        keras.layers.PReLU,
        keras.layers.LeakyReLU,
        keras.layers.Softmax,
    )
    return isinstance(operation, kinds) or not isinstance(operation, keras.Layer)


def batch_of(case):
    """The inputs of the first batch, which `check` takes of every source."""
    return keras.tree.map_structure(lambda array: array[:BATCH], arrays_of(case)[0])


def agree(name, moments, numbers, tolerance):
    """Moments are over the finite elements, which float16 does not always leave."""
    share_zero, numbers = np.mean(numbers == 0), numbers[np.isfinite(numbers)]
    root = float(np.sqrt(np.mean(numbers**2)))
    assert moments.second_moment == pytest.approx(
        np.mean(numbers**2), rel=2 * tolerance, abs=1e-12
    ), name
    assert moments.mean == pytest.approx(numbers.mean(), abs=tolerance * root + 1e-9), name
    assert moments.share_zero == pytest.approx(share_zero, abs=1e-6), name
