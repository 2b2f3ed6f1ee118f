"""Cost of `InitCheck` to a whole `fit`, beside Keras' own histograms and a script of the user's.

    KERAS_BACKEND=jax python tests/benchmarks/fit_cost.py [--rounds 3] [--epochs 5] [--steps 200]

The same small CNN trains for 5 epochs of 200 steps: alone; with `InitCheck`; with `InitCheck` that
was used in a training before and has its passes; with `TensorBoard(histogram_freq=1)`; and with a
callback that runs a model of all layers' outputs at the end of each epoch, takes the gradients of
the weights, and computes their moments with NumPy. All are run in turn, and the least time of each
counts. "later" is the ratio without the first probe.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from keras_initcheck.callback import InitCheck
from tests.benchmarks import machine
from tests.benchmarks.networks import cnn

BATCH = 32


class OwnScript(keras.callbacks.Callback):
    """Moments of all outputs and of all weights' gradients, at the end of each epoch."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y
        self.moments = []

    def on_epoch_end(self, epoch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        outputs = keras.Model(self.model.inputs, [layer.output for layer in self.model.layers])
        found = [*outputs.predict(self.x, verbose=0), *gradients(self.model, self.x, self.y)]
        self.moments.append([(np.mean(each), np.std(each), np.mean(each == 0)) for each in found])


def gradients(model, x, y):
    """The gradients of all trainable weights, as each framework's documentation takes them."""

    def loss_of(outputs):
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(model(x, training=True))
        return [each.numpy() for each in tape.gradient(loss, model.trainable_weights)]
    if backend == "jax":
        import jax

        values, state = [
            [variable.value for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        found = jax.grad(lambda v: loss_of(model.stateless_call(v, state, x, training=True)[0]))(
            values
        )
        return list(map(np.asarray, found))
    import torch

    values = [variable.value for variable in model.trainable_variables]
    return [each.numpy() for each in torch.autograd.grad(loss_of(model(x, training=True)), values)]


def measure(epochs, steps, rounds):
    """A row for each way to watch a training."""
    network = cnn(batch=BATCH * steps)
    network.model.compile("adam", "sparse_categorical_crossentropy")
    x, y = network.x[:BATCH], network.y[:BATCH]
    first_probe = []

    def fit(*callbacks):
        start = time.perf_counter()
        network.model.fit(
            network.x, network.y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks
        )
        return time.perf_counter() - start

    def watch(directory, watcher=None):
        watcher = watcher or InitCheck(directory, on_drift="ignore")
        seconds = fit(watcher)
        first_probe.append(watcher.first_report.profile.seconds)
        return seconds

    with tempfile.TemporaryDirectory() as directory:
        used = InitCheck(directory, on_drift="ignore")
        ways = {
            "alone": fit,
            "InitCheck": lambda: watch(directory),
            "InitCheck, used before": lambda: watch(directory, used),
            "TensorBoard(histogram_freq=1)": lambda: fit(
                keras.callbacks.TensorBoard(directory, histogram_freq=1)
            ),
            "sub-model of all outputs": lambda: fit(OwnScript(x, y)),
        }
        if keras.backend.backend() != "tensorflow" and not has_tensorflow():
            del ways["TensorBoard(histogram_freq=1)"]
        for way in ways.values():  # compiles, imports
            way()
        found = {name: [] for name in ways}
        firsts = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                first_probe[:] = []
                found[name].append(way())
                firsts[name].append(sum(first_probe))
    return list(rows_of(found, firsts))


def has_tensorflow():
    """Whether `keras.callbacks.TensorBoard` can work, which needs TensorFlow."""
    return "tensorflow" in machine.installed_backends()


def rows_of(found, firsts):
    """A row for each way."""
    alone = min(found["alone"])
    for name, seconds in found.items():
        later = min(whole - first for whole, first in zip(seconds, firsts[name], strict=True))
        yield {
            "backend": keras.backend.backend(),
            "fit": name,
            "s": f"{min(seconds):.2f}",
            "ratio": f"{min(seconds) / alone:.3f}",
            "first probe s": f"{min(firsts[name]):.2f}",
            "later": f"{later / alone:.3f}",
        }


def main():
    """Prints a row for each way to watch a training."""
    parser = machine.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    sizes = (1, 3, 1) if given.quick else (given.epochs, given.steps, given.rounds)
    machine.print_rows(measure(*sizes), given.json)


if __name__ == "__main__":
    main()
