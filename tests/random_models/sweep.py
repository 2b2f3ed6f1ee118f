"""Random models by the thousand, on one backend:
`python tests/random_models/sweep.py --cases 2000 --seed 1`.

Prints each failure with the description that builds its model again, and a table of what was tried.
`KERAS_BACKEND` chooses the backend.
"""

import argparse
import collections
import os
import random
import sys
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras

from tests.random_models import (
    description,
    properties,
)
from tests.random_models.drawing import draw_case

HELD, SKIPPED, BROKEN, CRASHED = "held", "not run by Keras", "broken", "crashed"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="starts no case after so long"
    )
    parser.add_argument(
        "--properties", default=",".join(properties.PROPERTIES), help="the only properties to try"
    )
    parser.add_argument(
        "--without", default="", help="kinds of layers, styles, policies and options to leave out"
    )
    parser.add_argument(
        "--trace", action="store_true", help="compiles half of TensorFlow's models to graphs"
    )
    parser.add_argument("--case", help="a description, as a failure prints it")
    return parser.parse_args()


def draw(options, number):
    """A case for most properties, and under `True` one for the numbers, without rematerialization:
    its plain pass fails in TensorFlow.
    """
    without = {*options.without.split(",")} - {""}
    left_out = {False: without, True: {*without, "remat"}}
    choose = random.Random(f"{options.seed}-{number}").choice
    return {
        is_exact: draw_case(choose, without=each, is_exact=is_exact, may_trace=options.trace)
        for is_exact, each in left_out.items()
    }


def attempt(name, case):
    """The outcome, and what to print of it."""
    try:
        properties.PROPERTIES[name](case)
    except properties.NotRunError:
        return SKIPPED, ""
    except AssertionError as error:
        return BROKEN, f"{error}"
    except Exception as error:
        return (
            CRASHED,
            (
                f"{type(error).__name__}:"
                f" {error}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"
            ),
        )
    return HELD, ""


def run(options):
    """Counts of outcomes for each property; failures are printed as they come."""
    counts, start = collections.defaultdict(collections.Counter), time.monotonic()
    for number in range(options.first, options.first + options.cases):
        if time.monotonic() - start > 60 * options.minutes:
            break
        drawn = draw(options, number)
        for name in options.properties.split(","):
            case = drawn[name == "numbers"]
            outcome, message = attempt(name, case)
            counts[name][outcome] += 1
            if message:
                print(f"case {number}, {name}: {outcome}: {message[:1500]}\n  {case}", flush=True)
    return counts


def table(counts):
    columns = (HELD, BROKEN, CRASHED, SKIPPED)
    rows = [
        f"| {name} | " + " | ".join(str(counts[name][column]) for column in columns) + " |"
        for name in counts
    ]
    return "\n".join(
        [
            f"| {keras.backend.backend()} | {' | '.join(columns)} |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def main():
    options = arguments()
    if options.case:
        case = eval(options.case, dict(vars(description)))
        for name in options.properties.split(","):
            print(name, *attempt(name, case))
        return 0
    counts = run(options)
    print(table(counts))
    return int(any(counts[name][outcome] for name in counts for outcome in (BROKEN, CRASHED)))


if __name__ == "__main__":
    sys.exit(main())
