"""Whether anything grows: fresh models checked by the hundred, and a long fit that is probed at
every step.

`KERAS_BACKEND=torch python tests/soak/soak.py --checks 300 --steps 2000` prints memory, threads,
open files, living models and compiled functions over time, and for each the slope of its second
half with the slope's standard error. Nothing is asserted: a machine's memory is noisy, and the
slope with its error tells.
"""

import argparse
import gc
import os
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

import keras_initcheck as ic

MEGABYTE = 2**20
SAMPLES = 20
"""Readings of each run."""

FLAT = 2.0
"""Standard errors within which a slope counts as none."""

LITTLE = 10.0
"""MB in 1000 below which memory counts as flat: what Keras itself leaves of a model that is trained
alone, which the first run measures.
"""


def make_model():
    """A small model with what leaks most easily: state, dropout, normalization, a loss of a
    layer.
    """
    layers = keras.layers
    body = [
        layers.Dense(32, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(32, "tanh", activity_regularizer="l2"),
    ]
    model = keras.Sequential([keras.Input((16,)), *body, layers.Dense(3)])
    model.compile(
        keras.optimizers.Adam(1e-3),
        "mse",
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    return model


def data(samples):
    rng = np.random.default_rng(0)
    return rng.standard_normal((samples, 16)).astype("float32"), rng.standard_normal(
        (samples, 3)
    ).astype("float32")


class Readings:
    """Readings over time, and how each grows."""

    def __init__(self, title):
        self.title, self.at, self.rows, self.models = title, [], [], weakref.WeakSet()

    def take(self, number):
        """Reads everything, after a collection."""
        gc.collect()
        row = {
            "memory, MB": memory(),
            "threads": threading.active_count(),
            "files": open_files(),
            "living models": len(self.models),
        }
        self.at.append(number)
        self.rows.append({**row, "compiled": compiled()})

    def table(self):
        """Readings at the start, after a quarter, and so on, and the slope of the second half for
        each thousand.
        """
        shown = [round(share * (len(self.at) - 1)) for share in (0, 0.25, 0.5, 0.75, 1)]
        heads = " | ".join(str(self.at[index]) for index in shown)
        lines = [
            f"| {self.title} | {heads} | growth in 1000, second half | |",
            "| --- |" + " ---: |" * (len(shown) + 1) + " --- |",
        ]
        return "\n".join([*lines, *[self.line(name, shown) for name in self.rows[0]]])

    def line(self, name, shown):
        values = [row[name] for row in self.rows]
        half = len(values) // 2
        slope, error = slope_of(self.at[half:], values[half:])
        is_little = name.startswith("memory") and abs(1000 * slope) <= LITTLE
        verdict = (
            "flat"
            if abs(slope) <= FLAT * error or slope == 0 or is_little
            else "grows"
            if slope > 0
            else "falls"
        )
        numbers = " | ".join(f"{values[index]:.4g}" for index in shown)
        return f"| {name} | {numbers} | {1000 * slope:.3g} ± {1000 * error:.2g} | {verdict} |"


def slope_of(x, y):
    """Slope of a straight line by least squares, and its standard error."""
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    spread = np.sum((x - x.mean()) ** 2)
    if not spread:
        return 0.0, 0.0
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    rest = y - y.mean() - slope * (x - x.mean())
    return slope, float(np.sqrt(np.sum(rest**2) / max(1, len(x) - 2) / spread))


def memory():
    """Resident memory in MB; Linux only."""
    return (
        int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
    )


def open_files():
    return len(os.listdir("/proc/self/fd"))


def compiled():
    """Functions that the framework keeps compiled: traces of TensorFlow, which the collector
    counts, or entries of JAX's caches.
    """
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.eager.polymorphic_function.concrete_function import (
            ConcreteFunction,
        )  # no public name

        return sum(isinstance(each, ConcreteFunction) for each in gc.get_objects())
    if keras.backend.backend() == "jax":
        import jax

        return sum(1 for each in gc.get_objects() if isinstance(each, jax.stages.Wrapped))
    return 0


def alone(number):
    """A fresh model for each short fit without this tool: what the framework itself leaves
    behind.
    """
    return fresh_models(
        "fits of fresh models without InitCheck",
        number,
        lambda model, x, y: model.fit(x, y, verbose=0),
    )


def checks(number):
    """A fresh model for each check."""
    return fresh_models("checks of fresh models", number, ic.check)


def fits(number):
    """A fresh model for each short fit with the callback."""
    return fresh_models("fits of fresh models", number, fit_with_callback)


def fit_with_callback(model, x, y):
    model.fit(x, y, verbose=0, callbacks=[ic.InitCheck(None, on_drift="ignore")])


def fresh_models(title, number, use):
    """Makes, uses and drops models one by one."""
    readings, (x, y) = Readings(title), data(32)
    for index in range(1, number + 1):
        model = make_model()
        readings.models.add(model)
        use(model, x, y)
        del model
        if index % max(1, number // SAMPLES) == 0:
            keras.backend.clear_session()
            readings.take(index)
    return readings


class Reading(keras.callbacks.Callback):
    """Takes a reading every so many steps."""

    def __init__(self, readings, every):
        super().__init__()
        self.readings, self.every, self.step = readings, every, 0

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every == 0:
            self.readings.take(self.step)


def steps(number):
    """One fit that is probed at every step and logged."""
    readings, (x, y) = Readings("steps of a fit, update_freq=1"), data(32 * 10)
    model = make_model()
    readings.models.add(model)
    with tempfile.TemporaryDirectory() as directory:
        callbacks = [
            ic.InitCheck(directory, update_freq=1, on_drift="ignore"),
            Reading(readings, max(1, number // SAMPLES)),
        ]
        model.fit(x, y, batch_size=32, epochs=-(-number // 10), verbose=0, callbacks=callbacks)
    return readings


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checks", type=int, default=300)
    parser.add_argument("--fits", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    for run, number in (
        (alone, options.fits),
        (checks, options.checks),
        (fits, options.fits),
        (steps, options.steps),
    ):
        start = time.monotonic()
        print(
            f"{run(number).table()}\n\n{keras.backend.backend()},"
            f" {time.monotonic() - start:.0f} s\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
