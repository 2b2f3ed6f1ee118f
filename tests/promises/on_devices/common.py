"""For the scripts of this folder: a small network, its data, and what of a report is compared."""

import json
import warnings
from pathlib import Path

import keras
import numpy as np

import keras_initcheck as ic

SAMPLES = 32
BATCH = 16


def data(samples=SAMPLES):
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, 6)).astype("float32"), generator.integers(
        0, 4, samples
    )


def network(middle=(), **options):
    """The dropout's seed would show a probe that left a trace."""
    keras.utils.set_random_seed(7)
    layers = [keras.layers.Dense(8, "relu", name="wide"), *middle, keras.layers.Dropout(0.25)]
    model = keras.Sequential(
        [keras.Input((6,)), *layers, keras.layers.Dense(4, "softmax", name="head")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def exploding_network(**options):
    """A repair has something to do. It does not learn, so that a fit leaves it as the repair made
    it.
    """
    keras.utils.set_random_seed(7)
    initializer = keras.initializers.RandomNormal(stddev=6.0)
    hidden = [keras.layers.Dense(8, "relu", kernel_initializer=initializer) for _ in range(2)]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(4, "softmax")])
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", **options)
    return model


def statistics(report):
    """The loss and all second moments, by their places in the profile.

    They are far from zero where a mean may not be.
    """
    profile = json.loads(report.to_json())["profile"]
    return {
        "loss": profile["loss"],
        "batch_size": profile["batch_size"],
        **dict(_second_moments(profile, "profile")),
    }


def _second_moments(value, path):
    if isinstance(value, dict):
        if "second_moment" in value:
            yield path, value["second_moment"]
        for name, part in value.items():
            yield from _second_moments(part, f"{path}/{name}")
    elif isinstance(value, (tuple, list)):
        for place, part in enumerate(value):
            yield from _second_moments(part, f"{path}/{place}")


def weights(model):
    """On the host."""
    return [keras.ops.convert_to_numpy(variable.value) for variable in model.variables]


def are_equal(first, second):
    """Whether two lists of arrays are bitwise the same."""
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


def warned(action):
    """Runs `action`, and gives the texts of the warnings that this package raised in it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(each.message) for each in caught if issubclass(each.category, ic.InitCheckWarning)]


def runs(log_dir):
    """The name of a run for each file of events."""
    return sorted(path.parent.name for path in Path(log_dir).rglob("events.out.tfevents.*"))
