"""Time and memory of probing 1,000 layers against 100.

    KERAS_BACKEND=torch python tests/benchmarks/layers_cost.py [--layers 100,1000] [--rounds 3]

Chains of dense layers of 16 units, each size in a process of its own, so that its peak memory is
its own. "check" is the default `check`, "first repeated" compiles the repeated
probe, and "repeated" is the least time of the later ones. "check MB" and "repeated MB" are what the
peak resident memory rose by. Ten times the layers shall take at most twelve times as much.
"""

import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import machine

COLUMNS = ("check s", "check MB", "first repeated s", "repeated ms", "repeated MB")


def run(num_layers, rounds):
    """Prints the five numbers of one size."""
    import keras_initcheck as ic
    from keras_initcheck.probe.data.batch import take_batch
    from keras_initcheck.probe.probe import Probe
    from keras_initcheck.probe.tap.pass_record import LOSS
    from tests.benchmarks.networks import chain

    sys.setrecursionlimit(20_000)  # Keras walks a graph by recursion, layer by layer
    # The framework's own libraries and threads, which any size loads.
    small = chain(2)
    small.model.compile("sgd", "sparse_categorical_crossentropy")
    ic.check(small.model, small.x, small.y)
    network = chain(num_layers)
    network.model.compile("sgd", "sparse_categorical_crossentropy")
    before = peak_megabytes()
    start = time.perf_counter()
    ic.check(network.model, network.x, network.y)
    checked, after_check = time.perf_counter() - start, peak_megabytes()
    probe, batch = Probe(network.model), take_batch(network.x, network.y)

    def repeat():
        start = time.perf_counter()
        probe.measure(batch, cotangents=(LOSS,), is_exact=False)
        return time.perf_counter() - start

    first = repeat()
    later = min(repeat() for _ in range(rounds))
    after = peak_megabytes()
    print(checked, after_check - before, first, 1e3 * later, after - before)


def peak_megabytes():
    """Largest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2 ** (20 if sys.platform == "darwin" else 10)


def measure(sizes, rounds):
    """A row for each size, and one of the last over the first."""
    found = [machine.fresh_process(__file__, "--run", size, "--rounds", rounds) for size in sizes]
    ratios = [
        last / first if first > 0 else float("nan")
        for first, last in zip(found[0], found[-1], strict=True)
    ]
    named = [*zip(map(str, sizes), found, strict=True), (f"{sizes[-1]} over {sizes[0]}", ratios)]
    for title, numbers in named:
        shown = (f"{number:.2f}" for number in numbers)
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        yield {"backend": backend, "layers": title, **dict(zip(COLUMNS, shown, strict=True))}


def main():
    """Prints the rows."""
    parser = machine.parser(__doc__)
    parser.add_argument("--layers", default="100,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", type=int, metavar="LAYERS")
    given = parser.parse_args()
    if given.run:
        run(given.run, given.rounds)
        return
    sizes = [2, 4] if given.quick else [int(size) for size in given.layers.split(",")]
    machine.print_rows(measure(sizes, given.rounds), given.json)


if __name__ == "__main__":
    main()
