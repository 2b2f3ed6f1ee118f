"""Every model of `keras.applications` with random weights, at the smallest input that it takes:
probed without a crash.
"""

import importlib.util
import inspect

import keras
import pytest

import keras_initcheck as ic

BACKEND = keras.backend.backend()
SIZES = {
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
    "Xception": 71,
    "NASNetLarge": 32,
    "NASNetMobile": 32,
}
"""Smallest sides that these accept; 32 for all others."""
BATCH_SIZE = 8
"""Where 32 pixels have shrunk to one, batch normalization over two samples multiplies gradients
until 300 layers overflow float32.
"""
ON_EVERY_BACKEND = (
    "VGG16",
    "ResNet50",
    "MobileNetV2",
    "EfficientNetB0",
    "DenseNet121",
    "ConvNeXtTiny",
)
NOT_ON_TORCH = ("NASNetMobile",)
"""Keras refuses to build these on PyTorch."""
EXPECTED = {"VGG16": ["forward-gain", "backward-gain"], "VGG19": ["forward-gain", "backward-gain"]}
"""Models whose initialization drifts: Glorot with ReLU and no normalization, 2^-13.75 over
conv2..13 of VGG16.
"""


def builders():
    found = inspect.getmembers(keras.applications, inspect.isfunction)
    return {
        name: build for name, build in found if "weights" in inspect.signature(build).parameters
    }


def probed_here():
    """All on PyTorch, which needs a fourth of the time; on TensorFlow what PyTorch cannot run, and
    all where there is no PyTorch.
    """
    if BACKEND == "torch":
        return [name for name in builders() if name not in NOT_ON_TORCH]
    runs_all = BACKEND == "tensorflow" and importlib.util.find_spec("torch") is None
    chosen = (*ON_EVERY_BACKEND, *NOT_ON_TORCH) if BACKEND == "tensorflow" else ON_EVERY_BACKEND
    return [name for name in builders() if runs_all or name in chosen]


@pytest.mark.sweep
@pytest.mark.parametrize("name", probed_here())
def test_application_is_probed(name):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    size = SIZES.get(name, 32)
    model = builders()[name](
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )
    report = ic.check(model, batch_size=BATCH_SIZE)
    profile = report.profile
    print(
        f"{name}: {len(profile.sites)} sites, {len(profile.not_probed)} not probed,"
        f" {profile.seconds:.0f} s, {report.worst}"
    )
    for finding in report.findings:
        if finding.severity != "info":
            print(f"  {finding.severity} {finding.code} {finding.message[:200]}")
    assert len(profile.sites) >= len([layer for layer in model.layers if layer.weights])
    assert all(site.activations.h is not None for site in profile.sites if site.kind == "weight")
    assert all(weight.moments.is_finite for weight in profile.weights)
    assert all(reason for _, reason in profile.not_probed)
    assert {finding.slug for finding in report.findings if finding.severity != "info"} == set(
        EXPECTED.get(name, [])
    )
