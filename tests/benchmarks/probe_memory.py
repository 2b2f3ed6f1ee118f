"""Peak memory of a process that probes repeatedly, against one that only runs a bare forward and
backward pass of the same model.

    KERAS_BACKEND=tensorflow python tests/benchmarks/probe_memory.py [--models mlp,gpt,resnet50]

Each of the two runs in three processes of its own, ten passes long, and the median counts: the
framework schedules each run another way. What importing the framework and building the model took
is subtracted from both peaks; what tracing took is not, and is about 60 MB more for the probe of a
network with 60 sites.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
NUM_PASSES = 10
NUM_PROCESSES = 3


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, what: str) -> None:
    """Prints the size before the first pass and the peak after the last."""
    from tests.benchmarks import probe_cost

    bare, repeated = probe_cost.passes(probe_cost.MAKERS[name]())
    before = peak_megabytes()
    for _ in range(NUM_PASSES):
        (bare if what == "bare" else repeated)()
    print(before, peak_megabytes())


def measured(name: str, what: str) -> float:
    """Megabytes that the passes took at their peak."""
    command = [sys.executable, __file__, "--models", name, "--what", what]
    outputs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for _ in range(NUM_PROCESSES)
    ]
    peaks = [tuple(map(float, output.split()[-2:])) for output in outputs]
    return statistics.median(peak - before for before, peak in peaks)


def main() -> None:
    """Prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mlp,gpt,resnet50")
    parser.add_argument("--what", choices=("bare", "probe"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what:
        run(arguments.models, arguments.what)
        return
    for name in arguments.models.split(","):
        bare, probe = measured(name, "bare"), measured(name, "probe")
        print(f"{name:9} bare {bare:6.0f} MB  probe {probe:6.0f} MB  ratio {probe / bare:.2f}")


if __name__ == "__main__":
    main()
