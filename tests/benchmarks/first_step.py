"""Prints what a first step foretells: its figures beside the outcome of the training it begins.

    PYTHONPATH=. KERAS_BACKEND=torch python tests/benchmarks/first_step.py [--steps 300]
        [--only NAME] [--cost]

Networks of the truth table, healthy and faulty, learn their own data set or scikit-learn's digits,
with SGD with momentum and with Adam, at 1/100 to 1000 times a good rate. A training *trains* if
the mean loss of its last 20 batches is at most half of the best constant prediction's, is *slow*
if it is at most nine tenths, and *stalls* otherwise; *NaN* is a loss that is not finite. The first
two tables are over all of them; the last lists the runs, and `steps` is the number of steps that
the first per cent of the loss takes at the rate of the first one. These are the measurements behind
IC601, IC602 and IC603. `--cost` prints what a first step adds to `check` instead, on any backend.
"""

import argparse
import itertools
import math
import os
import statistics
import time
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_initcheck as ic
from keras_initcheck.rules.first_step import steps_to_first_per_cent
from tests.truth.judging import BATCH, is_regression
from tests.truth.nets import FAULTY, HEALTHY
from tests.truth.tasks import task, trivial_loss

NAMES = (
    "MLP 5x256, Keras defaults",
    "MLP 8x128 tanh Glorot",
    "MLP 2x64 sigmoid Glorot",
    "MLP with batch norm, N(0,1)",
    "CNN 4, Keras defaults",
    "residual MLP 24, pre-norm",
    "autoencoder",
    "digits",
    "iris as it comes",
    "zero head",
    "transformer, pre-norm",
    "MLP 12x128 Glorot",
    "MLP 6x128 N(0,1)",
    "sigmoid 8x100 Glorot",
    "pixels 0..255",
)
GOOD = {"sgd": 0.03, "adam": 0.001}
FACTORS = (1e-4, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
TRAINING_BATCH = 64
WINDOW = 20
OUTCOMES = ("trains", "slow", "stalls", "NaN")
RATIOS = (0.0, 0.3, 0.98, 0.999, 1.0005, 3.0, 10.0, 100.0, math.inf)
UPDATES = (0.0, 1e-8, 3e-4, 3e-3, 0.1, 1.0, math.inf)
STEPS = (0.0, 10.0, 100.0, 1e3, 1e4, 1e5, math.inf)


class Losses(keras.callbacks.Callback):
    """The loss of each batch; ends the training where one is not finite, or after enough."""

    def __init__(self, most):
        super().__init__()
        self.most, self.seen = most, []

    def on_train_batch_begin(self, batch, logs=None):
        """Keras' loss is a running mean: it begins anew with each batch."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(logs["loss"]))
        is_lost = not math.isfinite(self.seen[-1])
        self.model.stop_training = is_lost or len(self.seen) >= self.most


def build(net, family, rate):
    """The compiled model, its data, and the loss of the best constant prediction."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = net.build()
    loss = net.loss or ("mse" if is_regression(net, model) else "sparse_categorical_crossentropy")
    optimizer = (
        keras.optimizers.SGD(rate, momentum=0.9) if family == "sgd" else keras.optimizers.Adam(rate)
    )
    model.compile(optimizer, loss)
    x, y = task(net, model)
    return model, x, y, trivial_loss(net, model, y)


def outcome(losses, trivial):
    """The word for a training."""
    if not math.isfinite(losses[-1]):
        return "NaN"
    share = statistics.fmean(losses[-WINDOW:]) / trivial
    return "trains" if share <= 0.5 else "slow" if share <= 0.9 else "stalls"


def run(net, family, factor, steps):
    """The first step and the outcome of one training."""
    model, x, y, trivial = build(net, family, GOOD[family] * factor)
    found = ic.check(model, x[:BATCH], y[:BATCH]).profile.first_step
    watcher = Losses(steps)
    model.fit(x, y, batch_size=TRAINING_BATCH, epochs=steps, verbose=0, callbacks=[watcher])
    updates = [each for each in found.relative_updates if not math.isnan(each)]
    below = [each for each in found.shares_below_epsilon if not math.isnan(each)]
    return {
        "net": net.name,
        "family": family,
        "rate": GOOD[family] * factor,
        "before": found.loss_before / trivial,
        "after": found.loss_after / trivial,
        "ratio": found.loss_after / found.loss_before,
        "update": statistics.median(updates) if updates else math.nan,
        "below": statistics.median(below) if below else math.nan,
        "steps": steps_to_first_per_cent(found),
        "reached": min(map(float, watcher.seen)) / trivial,
        "outcome": outcome(watcher.seen, trivial),
    }


def histogram(runs, key, bounds, title):
    """Prints how trainings ended, by a figure of the first step."""
    print(f"\n{title:24} " + " ".join(f"{word:>7}" for word in OUTCOMES))
    for low, high in itertools.pairwise(bounds):
        chosen = [each for each in runs if low <= each[key] < high]
        row(f"{low:g} to {high:g}", chosen)
    row("not finite", [each for each in runs if not math.isfinite(each[key])])


def row(title, chosen):
    """Prints a line of a table."""
    counts = Counter(each["outcome"] for each in chosen)
    print(f"{title:24} " + " ".join(f"{counts[word]:>7}" for word in OUTCOMES))


def print_costs(rounds=5):
    """Prints the time of a check with and without its first step, in turn, each on a new probe."""
    nets = {net.name: net for net in HEALTHY}
    for name in ("MLP 5x256, Keras defaults", "CNN 4, Keras defaults"):
        for family in GOOD:
            model, x, y, _ = build(nets[name], family, GOOD[family])
            seconds = {True: [], False: []}
            for _ in range(rounds + 1):
                for with_step, taken in seconds.items():
                    start = time.perf_counter()
                    ic.check(model, x[:BATCH], y[:BATCH], first_step=with_step)
                    taken.append(time.perf_counter() - start)
            # The first round compiles what any later check of such shapes uses again.
            with_step, without = (statistics.median(seconds[each][1:]) for each in (True, False))
            print(
                f"{keras.backend.backend():10} {name:26} {family:4} check {1000 * without:6.0f} ms,"
                f" with the first step {1000 * with_step:6.0f} ms: x {with_step / without:.2f}",
                flush=True,
            )


def main():
    """Trains, prints a line for each training, and then the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", default="")
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    if arguments.cost:
        print_costs()
        return
    nets = {net.name: net for net in [*HEALTHY, *FAULTY]}
    runs = []
    for name in NAMES:
        if arguments.only not in name:
            continue
        for family in GOOD:
            for factor in FACTORS:
                found = run(nets[name], family, factor, arguments.steps)
                runs.append(found)
                numbers = {k: f"{v:.3g}" for k, v in found.items() if isinstance(v, float)}
                print(name, family, numbers, found["outcome"], flush=True)
    histogram(runs, "ratio", RATIOS, "loss after / before")
    histogram(runs, "after", RATIOS, "loss after / guessing")
    histogram(runs, "update", UPDATES, "median update / weight")
    histogram(runs, "steps", STEPS, "steps for 1%")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
