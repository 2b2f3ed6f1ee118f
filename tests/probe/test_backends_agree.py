"""TensorFlow, JAX and PyTorch measure the same numbers: their kernels and gradients are
independent, the probe is written once.
"""

import dataclasses
import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_initcheck.outputs import json_format
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.records.statistics import Moments

# Once is enough: the other backends run in processes of their own.
pytestmark = [pytest.mark.backend("tensorflow"), pytest.mark.slow]

SCRIPT = Path(__file__).with_name("agreement_models.py")
_SPECIFICATION = importlib.util.spec_from_file_location("agreement_models", SCRIPT)
models = importlib.util.module_from_spec(_SPECIFICATION)
_SPECIFICATION.loader.exec_module(models)

OTHERS = ("jax", "torch")
TOLERANCE = 1e-4
"""Relative. float32 has 6e-8 and the sums here have at most some thousand terms."""
LOOSER = {
    # Some kernels add up a bias's gradient in the number format itself: 216 terms, each rounded to
    # 11 bits, give 5e-4 · √216.
    "mixed_float16": 1e-2,
    # The same with 8 bits.
    "mixed_bfloat16": 6e-2,
}
LOGITS_TAKEN = "softmax_head_with_regularised_kernel"
"""Keras takes the logits behind this head's softmax on TensorFlow and the probabilities elsewhere:
the gradient of the loss, the same at the logits, reaches the probabilities elsewhere only.
"""
CIRCUMSTANCES = ("backend", "seconds", "versions")
"""Fields that name the backend or the time that it took."""


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """`profiles(backend, name)`. The other backends run beside each other and beside TensorFlow,
    which runs here.
    """
    directories = {
        backend: tmp_path_factory.mktemp(backend)
        for backend in OTHERS
        if importlib.util.find_spec(backend)
    }
    processes = {backend: started(backend, directory) for backend, directory in directories.items()}
    here = {name: models.profile_of(name) for name in models.ARCHITECTURES}
    for backend, process in processes.items():
        _, errors = process.communicate()
        assert process.returncode == 0, f"{backend}: {errors}"

    def profile(backend, name):
        if backend == "tensorflow":
            return here[name]
        if backend not in directories:
            pytest.skip(f"{backend} is not installed")
        return json_format.from_json((directories[backend] / f"{name}.json").read_text()).profile

    return profile


def started(backend, directory):
    flags = (  # JAX compiles for longer than it runs
        f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": flags}
    command = [sys.executable, str(SCRIPT), str(directory)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def leaves(value, path=""):
    """Every number, name and flag of a record by its path. What can be zero up to rounding is in
    units of the root of `q`.
    """
    if isinstance(value, WeightStats):
        value = dataclasses.replace(value, fingerprint=value.fingerprint / rms(value.moments))
    if isinstance(value, Moments):
        value = dataclasses.replace(value, mean=value.mean / rms(value))
    if isinstance(value, Profile):
        for name, part in value.as_records().items():
            if name not in CIRCUMSTANCES:
                yield from leaves(part, f"{path}.{name}")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from leaves(item, f"{path}[{getattr(item, 'name', position)}]")
    else:
        yield path, value


def rms(moments):
    return math.sqrt(moments.second_moment) or 1.0


def is_close(path, value, expected, tolerance):
    if not isinstance(value, float) or not isinstance(expected, float):
        return value == expected
    is_near_zero = (
        path.endswith((".mean", ".fingerprint", ".share_zero", ".share_dead")) or "log10" in path
    )
    both_undefined = math.isnan(value) and math.isnan(expected)
    return both_undefined or math.isclose(
        value, expected, rel_tol=tolerance, abs_tol=tolerance if is_near_zero else 0.0
    )


def disagreements(profile, expected, tolerance):
    found, wanted = dict(leaves(profile)), dict(leaves(expected))
    missing = {path: "only on one backend" for path in found.keys() ^ wanted.keys()}
    different = {
        path: (found[path], wanted[path])
        for path in found.keys() & wanted.keys()
        if not is_close(path, found[path], wanted[path], tolerance)
    }
    return missing | different


@pytest.mark.parametrize("name", models.ARCHITECTURES)
@pytest.mark.parametrize("backend", OTHERS)
def test_every_number_is_that_of_tensorflow(profiles, backend, name):
    profile, expected = profiles(backend, name), profiles("tensorflow", name)
    assert profile.backend == backend
    found = disagreements(profile, expected, LOOSER.get(name, TOLERANCE))
    if name == LOGITS_TAKEN:
        head, of_tensorflow = profile.sites[-1].name, expected.sites[-1].loss_gradients
        assert of_tensorflow.h is None
        assert of_tensorflow.z.second_moment > 0.0
        place = f".sites[{head}].loss_gradients.h"
        found = {path: values for path, values in found.items() if not path.startswith(place)}
    assert not found


@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_comparison_covers_signals_gradients_and_weights(profiles, name):
    profile = profiles("tensorflow", name)
    paths = [
        path for path, value in leaves(profile) if isinstance(value, float) and math.isfinite(value)
    ]
    assert profile.loss is not None
    for place in ("activations.h", "loss_gradients.h", "random_gradients.x"):
        assert any(f"{place}.second_moment" in path for path in paths)
    assert sum(path.endswith(".gradient_norm") for path in paths) == sum(
        weight.is_trainable for weight in profile.weights
    )


def test_comparison_notices_a_thousandth(profiles):
    profile = profiles("tensorflow", "relu_mlp")
    site = profile.sites[1]
    changed = dataclasses.replace(site, forward_ratio=site.forward_ratio * 1.001)
    other = profile.with_changes(sites=(profile.sites[0], changed, *profile.sites[2:]))
    assert list(disagreements(other, profile, TOLERANCE)) == [f".sites[{site.name}].forward_ratio"]
