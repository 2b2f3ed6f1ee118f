"""How often healthy networks raise a false alarm, and how often faulty ones are found: many draws,
all through `check(model, x)`.

    KERAS_BACKEND=torch python tests/benchmarks/false_alarms.py [--draws 1] [--seed 0]

Healthy: MLPs with ReLU, tanh, SELU and GELU, with the initializers that fit them, of width 16 to
256 and depth 5 to 50, and small CNNs, each on 16 and on 256 samples, white and correlated. Columns,
in per cent of the networks:

* layer: layer-ratio (IC104), which is information. tanh squashes its first signals by design: there
  it is right to speak.
* gain: forward-gain or backward-gain (IC102, IC103) as a warning or an error.
* measured: measured-forward-gain or measured-backward-gain (IC203, IC303) as a warning or an error.
* band: the measured forward gain of the whole chain leaves its 99% band by more than a factor of
  two, whatever the budget says.
* leaves: leaves-prediction (IC210), which is information.

Faulty: ReLU MLPs whose weights are wrong in one way each; in per cent those where layer-ratio names
a faulty layer, where a gain is a warning or an error, and where either speaks.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.random_draws import (
    CNNS,
    DEPTHS,
    FAULTS,
    MLPS,
    WIDTHS,
    cnn_alarms,
    fault_alarms,
    mlp_alarms,
)

HEALTHY_COLUMNS = ("layer", "gain", "measured", "band", "leaves")


def percent(alarms, name):
    """Share of the networks where that alarm came, in per cent."""
    return f"{100 * sum(name in each for each in alarms) / len(alarms):.0f}"


def print_row(title, alarms, columns):
    """One line of a table, as markdown."""
    print(
        f"| {title} | {len(alarms)} |"
        f" {' | '.join(percent(alarms, column) for column in columns)} |",
        flush=True,
    )


def print_head(title, columns):
    """The head of a table, as markdown."""
    print(
        f"\n| {title} | networks | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}",
        flush=True,
    )


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1, help="draws of each network's weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    seeds = range(arguments.seed, arguments.seed + arguments.draws)
    everything = []
    print_head("healthy", HEALTHY_COLUMNS)
    for kind in MLPS:
        sizes = [
            (width, depth, seed) for seed in seeds for width in WIDTHS for depth in MLPS[kind][2]
        ]
        alarms = [each for size in sizes for each in mlp_alarms(kind, *size)]
        print_row(kind, alarms, HEALTHY_COLUMNS)
        everything += alarms
    for kind in CNNS:
        alarms = [each for seed in seeds for each in cnn_alarms(kind, seed)]
        print_row(kind, alarms, HEALTHY_COLUMNS)
        everything += alarms
    print_row("all", everything, HEALTHY_COLUMNS)
    print_head(
        "faulty: ReLU MLP",
        [f"depth {depth}: {what}" for depth in DEPTHS for what in ("layer", "gain", "either")],
    )
    for fault in FAULTS:
        cells = []
        for depth in DEPTHS:
            alarms = [fault_alarms(fault, width, depth, seed) for seed in seeds for width in WIDTHS]
            cells += [
                percent(alarms, "layer"),
                percent(alarms, "gain"),
                percent([{"any"} if each else set() for each in alarms], "any"),
            ]
        print(f"| {fault} | {len(DEPTHS) * len(alarms)} | {' | '.join(cells)} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
