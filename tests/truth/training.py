"""Trains the networks of the truth table: whether "healthy" and "faulty" are what training finds,
and not only what the rules say.

    KERAS_BACKEND=jax python tests/truth/training.py [--only NAME]

Each network learns its own data set, or else scikit-learn's digits in its input's shape: as it was
drawn, and where `repair` changes anything, as it was repaired; where it leaves the cure to the
user, as its row cures it. Printed are the steps until the mean loss of 20 batches is at most half
of the best constant prediction's, at the best of the learning rates, with the optimizer that the
network is compiled with; "never" is not within 600 steps at any of them. A faulty network is told
by its training where it never gets there, or needs twice the steps of the repaired one.
"""

import argparse
import math
import os
import statistics
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

import keras_initcheck as ic
from tests.truth.judging import BATCH, is_regression
from tests.truth.nets import FAULTY, HEALTHY
from tests.truth.tasks import task, trivial_loss

NUM_STEPS = 600
WINDOW = 20
TRAINING_BATCH = 64
RATES = {"sgd": (0.01, 0.1, 0.001, 0.03, 0.003, 1.0), "adam": (0.001, 0.01, 0.003)}
OPTIMIZERS = {"sgd": lambda: keras.optimizers.SGD(momentum=0.9), "adam": keras.optimizers.Adam}
GOAL = 0.5
"""Of the loss of the best constant prediction."""
SLOWER = 2.0
MOST_PARAMETERS = 5_000_000


class StepsTo(keras.callbacks.Callback):
    """Counts steps until the mean of the last losses of a batch is at or below a bound, and stops
    there, or after the most that count.
    """

    def __init__(self, bound, most):
        super().__init__()
        self.bound, self.most, self.losses, self.count = bound, most, [], math.inf

    def on_train_batch_begin(self, batch, logs=None):
        """Keras' loss is a running mean: it begins anew with each batch."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        if len(self.losses) >= WINDOW and statistics.fmean(self.losses[-WINDOW:]) <= self.bound:
            self.count = len(self.losses)
        is_lost = not math.isfinite(self.losses[-1]) or len(self.losses) >= self.most
        self.model.stop_training = is_lost or self.count < math.inf


def steps_to_learn(model, x, y, bound, rates):
    """Steps at the best rate, each from the same first weights. Leaves the model trained."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    initial = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    best = math.inf
    for rate in rates:
        for variable, value in zip(variables, initial, strict=True):
            variable.assign(value)
        model.optimizer.learning_rate.assign(rate)
        counter = StepsTo(bound, min(best, NUM_STEPS))
        fit = {"batch_size": TRAINING_BATCH, "epochs": NUM_STEPS, "verbose": 0}
        try:
            model.fit(x, y, **fit, callbacks=[counter])
        except Exception as error:  # what a framework refuses is never learned
            print(f"    {type(error).__name__}: {str(error).splitlines()[0][:80]}")
        best = min(best, counter.count)
    for variable, value in zip(variables, initial, strict=True):
        variable.assign(value)
    return best


def _rates(net):
    return RATES[net.optimizer] if net.rate is None else (net.rate,)


def _compiled(net, build):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = build()
    model.compile(
        OPTIMIZERS.get(net.optimizer, net.optimizer)(),
        net.loss or ("mse" if is_regression(net, model) else "sparse_categorical_crossentropy"),
    )
    return model


def _mended(net, model, x, y):
    """The network after `repair`, or as its row says where a repair changes nothing; or None."""
    if not net.codes:
        return None
    first = [each[:BATCH] for each in x] if isinstance(x, list) else x[:BATCH]
    repair = ic.repair(model, first, y[:BATCH])
    if repair.applied and repair.steps:
        return model
    return _compiled(net, net.cured) if net.cured else None


def trained(net):
    """Steps as drawn, and as mended or None; None alone for a large network."""
    model = _compiled(net, net.build)
    if model.count_params() > MOST_PARAMETERS:
        return None
    x, y = task(net, model)
    bound = GOAL * trivial_loss(net, model, y)
    as_drawn = steps_to_learn(model, x, y, bound, _rates(net))
    mended = _mended(net, model, x, y)
    return as_drawn, (None if mended is None else steps_to_learn(mended, x, y, bound, _rates(net)))


def shown(steps):
    """A count, or why there is none."""
    return "" if steps is None else "never" if steps == math.inf else f"{steps}"


def table(title, nets, is_told):
    """Prints a row for each network, and how many its training tells."""
    told, tried = 0, 0
    print(f"{title:38} as drawn repaired")
    for net in nets:
        found = trained(net)
        if found is None:
            print(f"{net.name:38} too large to train here", flush=True)
            continue
        tried, is_right = tried + 1, is_told(*found)
        told += is_right
        note = "" if is_right else "learns" if net.codes else "does not learn"
        print(
            f"{net.name:38} {shown(found[0]):>8} {shown(found[1]):>8}  {note}".rstrip(), flush=True
        )
    print(f"{title}: {told} of {tried}\n", flush=True)


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print(f"{keras.backend.backend()}: steps to {GOAL} of the loss of the best constant prediction")
    for title, nets, is_told in (
        ("healthy: learns", HEALTHY, lambda drawn, _: drawn < math.inf),
        (
            "faulty: learns not, or slowly",
            FAULTY,
            lambda drawn, repaired: drawn == math.inf or drawn >= SLOWER * (repaired or math.inf),
        ),
    ):
        table(title, [net for net in nets if arguments.only in net.name], is_told)


if __name__ == "__main__":
    main()
