"""Tries the networks of the truth table for 50 steps: of those that their long training finds
faulty, how many does a trial say do not learn; of the healthy ones, how many learn?

    KERAS_BACKEND=torch python tests/benchmarks/trial.py [--only NAME] [--steps 50]

Each network is tried at the learning rates that `tests/truth/training.py` begins with, until it
learns, and the best verdict counts, as the best rate counts there. Networks of more than a million
parameters are left out.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras

import keras_initcheck as ic
from keras_initcheck.analysis.trial_verdict import BEST_FIRST
from tests.truth.judging import is_regression
from tests.truth.nets import FAULTY, HEALTHY
from tests.truth.tasks import task
from tests.truth.training import RATES

MOST_PARAMETERS = 1_000_000
NUM_RATES = 3


def compiled(net):
    """The network as its long training begins."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = net.build()
    optimizer = (
        keras.optimizers.SGD(momentum=0.9) if net.optimizer == "sgd" else keras.optimizers.Adam()
    )
    loss = "mse" if is_regression(net, model) else "sparse_categorical_crossentropy"
    model.compile(optimizer, net.loss or loss)
    return model


def tried(net, steps):
    """The best trial, and its rate; `None` for a large network."""
    model = compiled(net)
    if model.count_params() > MOST_PARAMETERS:
        return None
    x, y = task(net, model)
    best = None
    for rate in RATES[net.optimizer][:NUM_RATES] if net.rate is None else (net.rate,):
        model.optimizer.learning_rate.assign(rate)
        trial = ic.trial(model, x, y, steps=steps)
        if best is None or BEST_FIRST.index(trial.verdict) < BEST_FIRST.index(best[0].verdict):
            best = trial, rate
        if trial.verdict == "learns":
            break
    return best


def table(title, nets, steps):
    """Prints a row for each network, and how often each verdict came."""
    counts = Counter()
    print(title)
    for net in nets:
        try:
            found = tried(net, steps)
        except ic.ProbeError as error:  # what a framework refuses is no training
            print(f"  {net.name:38} fails: {error}", flush=True)
            continue
        if found is not None:
            trial, rate = found
            counts[trial.verdict] += 1
            print(f"  {net.name:38} {rate:<6g} {trial.verdict:14} {trial.reason}", flush=True)
    shown = ", ".join(f"{verdict} {counts[verdict]}" for verdict in BEST_FIRST)
    print(f"{title}: {sum(counts.values())} networks: {shown}\n", flush=True)


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    for title, nets in (("healthy", HEALTHY), ("faulty", FAULTY)):
        table(title, [net for net in nets if arguments.only in net.name], arguments.steps)


if __name__ == "__main__":
    main()
