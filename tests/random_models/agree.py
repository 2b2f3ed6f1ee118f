"""Whether the backends agree:
`python tests/random_models/agree.py --cases 30 --backends torch tensorflow jax`.

The first backend builds each case and writes description and weights to a file; every backend
builds the description, takes the weights from the file, and probes the same data. What they measure
is held against the first, site by site.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

TOLERANCE = {"float32": 2e-3, "float64": 2e-3, "mixed_bfloat16": 0.1, "mixed_float16": 0.03}
"""Relative, of second moments. A gradient sums what the backends add up in another order."""

LEFT_OUT = (
    "gradient_accumulation_steps",
    "trained",
    "image",
    "to_image",
    "conv_lstm",
    "lstm",
    "gru",
    "simple_rnn",
    "rnn_cells",
    "raising",
)
"""What says nothing about agreement, or takes JAX long to compile."""


def measure(path):
    """Builds the case in a file, gives it the weights that lie there (or writes its own), and
    prints what a probe measures as JSON.
    """
    import numpy as np

    import keras_initcheck as ic
    from tests.random_models import description
    from tests.random_models.data import check_data
    from tests.random_models.properties import fresh

    case = eval(path.with_suffix(".txt").read_text(), dict(vars(description)))
    model = fresh(case)
    if path.exists():
        with np.load(path) as file:
            model.set_weights([file[str(number)] for number in range(len(file))])
    else:
        np.savez(path, **{str(number): value for number, value in enumerate(model.get_weights())})
    sites = ic.check(model, **check_data(case)).profile.sites
    return [
        (
            site.layer_type,
            second_moment(site.activations),
            second_moment(site.loss_gradients),
            site.forward_ratio,
        )
        for site in sites
    ]


def second_moment(places):
    return None if places is None or places.h is None else places.h.second_moment


def measure_all(folder):
    for path in sorted(Path(folder).glob("*.txt")):
        try:
            found = measure(path.with_suffix(".npz"))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        print(json.dumps([path.stem, found]), flush=True)


def run(backend, folder):
    """What a backend measures in each case of a folder."""
    command = [sys.executable, __file__, "--measure", folder]
    done = subprocess.run(
        command,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def differences(first, other, tolerance):
    if isinstance(first, str) or isinstance(other, str):
        return (
            []
            if isinstance(first, str) and isinstance(other, str)
            else [f"{first} / {other}"[:500]]
        )
    if [row[0] for row in first] != [row[0] for row in other]:
        return [f"sites {[row[0] for row in first]} / {[row[0] for row in other]}"]
    pairs = [
        (f"{a[0]} {index}", *pair)
        for index, (a, b) in enumerate(zip(first, other, strict=True))
        for pair in zip(a[1:], b[1:], strict=True)
    ]
    return [f"{name}: {a} / {b}" for name, a, b in pairs if not is_close(a, b, tolerance)]


def is_close(a, b, tolerance):
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


def write_cases(folder, number, seed):
    from tests.random_models.drawing import draw_case

    cases = {}
    for index in range(number):
        case = draw_case(
            random.Random(f"{seed}-{index}").choice, without=LEFT_OUT, most_nodes=4, is_exact=True
        )
        (Path(folder) / f"{index:05}.txt").write_text(repr(case))
        cases[f"{index:05}"] = case
    return cases


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backends", nargs="+", default=["torch", "tensorflow", "jax"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure_all(options.measure)
    with tempfile.TemporaryDirectory() as folder:
        cases = write_cases(folder, options.cases, options.seed)
        found = {backend: run(backend, folder) for backend in options.backends}
    first, *others = options.backends
    bad = 0
    for backend in others:
        for name, case in cases.items():
            wrong = differences(found[first][name], found[backend][name], TOLERANCE[case.dtype])
            bad += bool(wrong)
            print(
                *([f"{first} / {backend}, case {name}: {wrong[:4]}\n  {case}"] if wrong else []),
                sep="",
                end="\n" if wrong else "",
            )
    measured = sum(not isinstance(value, str) for value in found[first].values())
    print(f"{measured} of {len(cases)} cases run on {first}; {bad} differ on {', '.join(others)}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
