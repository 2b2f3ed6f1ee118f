"""Cost of a repeated probe to the host beside the pass itself: building, judging and logging.

    KERAS_BACKEND=jax python tests/benchmarks/host_cost.py [--models mlp,resnet50] [--rounds 50]

The compiled pass runs once; then its rows are handed back at once, so that the host's work alone is
timed. "build" makes a profile of the rows; "keep" keeps the objects behind the model as they are
during the pass; "other" is the rest of `Probe.measure`. Calls of Python functions are counted as
well, since no load disturbs them.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import CompiledPass, Probe
from keras_initcheck.probe.tap.pass_record import LOSS
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.rules.judgement import judge

DEPTH, WIDTH, CLASSES = 30, 64, 10


def mlp():
    layers = [
        keras.layers.Dense(WIDTH, "relu", kernel_initializer="he_normal") for _ in range(DEPTH)
    ]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(CLASSES)])
    return model, np.random.default_rng(0).standard_normal((32, WIDTH), "float32")


def resnet50():
    model = keras.applications.ResNet50(
        weights=None, input_shape=(32, 32, 3), classes=CLASSES, classifier_activation=None
    )
    return model, np.random.default_rng(0).standard_normal((4, 32, 32, 3), "float32")


MODELS = {"mlp": mlp, "resnet50": resnet50}


def prepared(name):
    """A probe of the model whose fast pass is compiled and hands back its rows at once."""
    model, x = MODELS[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    batch = take_batch(x, np.arange(len(x)) % CLASSES)
    probe = Probe(model)
    probe.measure(batch, cotangents=(LOSS,), is_exact=False)
    ((circumstances, compiled),) = probe._passes._kept
    vector = compiled.run(batch.parts)
    replayed = CompiledPass(compiled.forward, lambda parts: vector, compiled.profiles)
    probe._passes._kept = [(circumstances, replayed)]
    return probe, replayed, batch


def steps_of(probe, compiled, batch, log):
    """The parts of a repeated probe, each as a function of the part before."""
    numbers = iter(range(10**9))
    record, vector = compiled.forward.record, compiled.run(None)

    def build(_):
        table = RowTable(vector, record, record.options)
        facts = {"seed": probe.seed, "step": next(numbers)}
        return compiled.profiles.build(record, table, batch, probe._factors, **facts)

    def write(report):
        log.write(report, report.profile.step)

    def keep(_):
        with preserved(probe.model):
            pass

    def measure(_):
        probe.measure(batch, cotangents=(LOSS,), is_exact=False, step=0)

    return {"build": build, "judge": judge, "log": write, "keep": keep, "measure": measure}


def median_milliseconds(steps, rounds):
    """Median time of each step."""
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        value = None
        for name, step in steps.items():
            start = time.perf_counter()
            value = step(value)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(each) for name, each in seconds.items()}


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


def with_sums(parts):
    """The parts with the sum of what follows the pass, and the rest of `Probe.measure`."""
    found = {name: parts[name] for name in ("build", "judge", "log")}
    together = sum(found.values())
    other = parts["measure"] - parts["build"] - parts["keep"]
    return {**found, "together": together, "keep": parts["keep"], "other": other}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mlp,resnet50")
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    print(f"{keras.backend.backend()}, Keras {keras.__version__}")
    for name in arguments.models.split(","):
        probe, compiled, batch = prepared(name)
        with tempfile.TemporaryDirectory() as directory:
            steps = steps_of(probe, compiled, batch, EventLog(directory))
            median_milliseconds(steps, 3)
            milliseconds = with_sums(median_milliseconds(steps, arguments.rounds))
            calls = with_sums(count_calls(steps))
        sites = len(compiled.forward.record.sites)
        print(f"\n{name}, {sites} sites{'':8}ms  Python calls")
        for part in calls:
            print(f"  {part:10}{milliseconds[part]:16.2f}{calls[part]:14,}")


if __name__ == "__main__":
    main()
