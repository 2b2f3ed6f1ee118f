"""Cost of a repeated probe against a bare forward and backward pass of the same model, compiled the
same way, in one run.

    KERAS_BACKEND=tensorflow python tests/benchmarks/probe_cost.py [--models mlp,gpt,resnet50,lstm]
    [--rounds 15]

Prints for each model the median time of both and the median of their ratios. The two are run in
turn, so that a busy machine slows both.
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import LOSS
from tests.benchmarks import machine
from tests.benchmarks.bare_pass import bare_pass
from tests.benchmarks.networks import MAKERS, PROBED, mlp

BACKEND = keras.backend.backend()


def timed(function):
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def passes(network):
    """The bare pass and the repeated probe of a network, as two functions without arguments."""
    keras.utils.set_random_seed(0)
    network.model.compile("sgd", "sparse_categorical_crossentropy")
    batch = take_batch(network.x, network.y, batch_size=len(network.x))
    probe = Probe(network.model)
    return bare_pass(network.model, batch), lambda: probe.measure(
        batch, cotangents=(LOSS,), is_exact=False
    )


def measure(title, network, rounds):
    """A row: times and ratio of both, and the time of their first calls."""
    bare, repeated = passes(network)
    first = timed(bare), timed(repeated)
    pairs = [(timed(bare), timed(repeated)) for _ in range(rounds)]
    times = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return {
        "backend": BACKEND,
        "model": title,
        "sites": len(repeated().sites),
        "bare ms": f"{1e3 * times[0]:.1f}",
        "probe ms": f"{1e3 * times[1]:.1f}",
        "ratio": f"{statistics.median(b / a for a, b in pairs):.2f}",
        "first bare s": f"{first[0]:.1f}",
        "first probe s": f"{first[1]:.1f}",
        "first ratio": f"{first[1] / first[0]:.2f}",
    }


def main():
    """Prints a row for each model."""
    parser = machine.parser(__doc__)
    parser.add_argument("--models", default=",".join(PROBED))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{machine.describe([BACKEND])}, on {machine.device(BACKEND)}\n")
    if arguments.quick:
        rows = [measure("mlp", mlp(depth=3, width=16, batch=8), 1)]
    else:
        names = arguments.models.split(",")
        rows = (measure(name, MAKERS[name](), arguments.rounds) for name in names)
    machine.print_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
