"""Cost of a repeated probe to the host beside the pass itself: building, judging and logging.

    KERAS_BACKEND=jax python tests/benchmarks/host_cost.py [--models mlp,resnet50] [--rounds 50]

The compiled pass runs once; then its rows are handed back at once, so that the host's work alone is
timed: the least processor time of all rounds. "build" makes a profile of the rows; "keep" keeps the
objects behind the model as they are during the pass; "other" is the rest of `Probe.measure`;
"together" is all of it. Calls of Python functions are counted as well, since no load disturbs them.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import LOSS
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.rules.judgement import judge
from tests.benchmarks import machine, networks

MAKERS = {
    "mlp": lambda: networks.mlp(width=64, batch=32),
    "resnet50": lambda: networks.resnet50(size=32, batch=4),
}


def prepared(network):
    """A probe of the model whose fast pass is compiled and hands back its rows at once."""
    network.model.compile("adam", "sparse_categorical_crossentropy")
    batch = take_batch(network.x, network.y)
    probe = Probe(network.model)
    probe.measure(batch, cotangents=(LOSS,), is_exact=False)
    ((circumstances, compiled),) = probe._passes._kept
    vector = compiled.engine_pass.run(batch.parts)
    engine_pass = replace(compiled.engine_pass, run=lambda parts: vector)
    replayed = replace(compiled, engine_pass=engine_pass)
    probe._passes._kept = [(circumstances, replayed)]
    return probe, replayed, batch


def steps_of(probe, compiled, batch, log):
    """The parts of a repeated probe, each as a function of the part before."""
    numbers = iter(range(10**9))
    record, vector = compiled.forward.record, compiled.engine_pass.run(None)

    def build(_):
        table = RowTable(vector, record, record.options)
        facts = {"seed": probe.seed, "step": next(numbers)}
        return compiled.profiles.build(record, table, batch, probe._factors, **facts)

    def write(report):
        log.write(report, report.profile.step)

    def keep(_):
        with compiled.forward.preserving():
            pass

    def measure(_):
        probe.measure(batch, cotangents=(LOSS,), is_exact=False, step=0)

    return {"build": build, "judge": judge, "log": write, "keep": keep, "measure": measure}


def least_milliseconds(steps, rounds):
    """Least processor time of each step."""
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        value = None
        for name, step in steps.items():
            start = time.process_time()
            value = step(value)
            seconds[name].append(time.process_time() - start)
    return {name: 1e3 * min(each) for name, each in seconds.items()}


def count_calls(steps):
    """Calls of Python functions in each step."""
    counts, value = {}, None
    for name, step in steps.items():
        count = 0

        def profiler(frame, event, argument):
            nonlocal count
            count += event == "call"

        sys.setprofile(profiler)
        value = step(value)
        sys.setprofile(None)
        counts[name] = count
    return counts


def rows_of(title, network, rounds):
    """A row for each part of a repeated probe, with the time and the calls that it takes."""
    probe, compiled, batch = prepared(network)
    with tempfile.TemporaryDirectory() as directory:
        steps = steps_of(probe, compiled, batch, EventLog(directory))
        least_milliseconds(steps, 3)
        found = with_sums(least_milliseconds(steps, rounds)), with_sums(count_calls(steps))
    for part in found[0]:
        yield {
            "backend": keras.backend.backend(),
            "model": title,
            "sites": len(compiled.forward.record.sites),
            "part": part,
            "ms": f"{found[0][part]:.2f}",
            "Python calls": found[1][part],
        }


def with_sums(parts):
    """The parts, with the rest of `Probe.measure` and with the whole."""
    other = parts["measure"] - parts["build"] - parts["keep"]
    named = {name: value for name, value in parts.items() if name != "measure"}
    return {**named, "other": other, "together": sum(named.values()) + other}


def main():
    """Prints the rows of each model."""
    parser = machine.parser(__doc__)
    parser.add_argument("--models", default=",".join(MAKERS))
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    if arguments.quick:
        rows = rows_of("mlp", networks.mlp(depth=3, width=16, batch=8), 1)
    else:
        names = arguments.models.split(",")
        rows = chain.from_iterable(
            rows_of(name, MAKERS[name](), arguments.rounds) for name in names
        )
    machine.print_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
