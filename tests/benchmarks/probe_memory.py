"""Peak memory of a process that probes repeatedly, against one that only runs a bare forward and
backward pass of the same model.

    KERAS_BACKEND=tensorflow python tests/benchmarks/probe_memory.py [--models mlp,gpt,resnet50]

Each of the two runs in three processes of its own, ten passes long, and the median counts: the
framework schedules each run another way. The peak is that of the process's resident memory; what
importing the framework and building the model took is subtracted, and with "whole" it is not. What
tracing took is not subtracted either, and is about 60 MB more for the probe of a network with 60
sites. On a GPU, `gpu.py` asks the framework for its own peak instead.
"""

import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import machine

NUM_PASSES = 10
NUM_PROCESSES = 3


def run(name: str, what: str) -> None:
    """Prints the size before the first pass and the peak after the last."""
    from tests.benchmarks import probe_cost
    from tests.benchmarks.layers_cost import peak_megabytes

    small = {"tiny": lambda: probe_cost.mlp(depth=2, width=8, batch=4)}
    bare, repeated = probe_cost.passes({**probe_cost.MAKERS, **small}[name]())
    before = peak_megabytes()
    for _ in range(NUM_PASSES):
        (bare if what == "bare" else repeated)()
    print(before, peak_megabytes())


def measured(name: str, what: str, num_processes: int) -> tuple[float, float]:
    """Megabytes that the passes took at their peak, and the whole process."""
    peaks = [machine.fresh_process(__file__, "--run", name, what) for _ in range(num_processes)]
    return (
        statistics.median(peak - before for before, peak in peaks),
        statistics.median(peak for _, peak in peaks),
    )


def measure(name: str, num_processes: int) -> dict[str, object]:
    """A row: the peaks of both, and their ratios."""
    bare, probe = (measured(name, what, num_processes) for what in ("bare", "probe"))
    return {
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "model": name,
        "bare MB": f"{bare[0]:.0f}",
        "probe MB": f"{probe[0]:.0f}",
        "ratio": f"{probe[0] / bare[0]:.2f}" if bare[0] else "",
        "whole ratio": f"{probe[1] / bare[1]:.2f}",
    }


def main() -> None:
    """Prints a row for each model."""
    parser = machine.parser(__doc__)
    parser.add_argument("--models", default="mlp,gpt,resnet50")
    parser.add_argument("--run", nargs=2, metavar=("MODEL", "WHAT"))
    given = parser.parse_args()
    if given.run:
        run(*given.run)
        return
    names, count = (["tiny"], 1) if given.quick else (given.models.split(","), NUM_PROCESSES)
    machine.print_rows((measure(name, count) for name in names), given.json)


if __name__ == "__main__":
    main()
