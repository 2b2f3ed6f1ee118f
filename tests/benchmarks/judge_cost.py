"""Cost of judging: of deep networks, and of a repeated probe of one network.

    python tests/benchmarks/judge_cost.py [--rounds 5]

Prints the processor time and the number of Python function calls, which no load disturbs, for
chains of 100 and of 1,000 layers, healthy and faulty, and their quotient: 10 is linear. "First" is
the first profile of a structure, "again" every later one. No framework is needed.
"""

import argparse
import dataclasses
import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from keras_initcheck.records.profile import Profile
from keras_initcheck.rules.judgement import judge
from tests.support.profiles import chain, head, kernel, moments, places, weight_layer

SIZES = (100, 1000)
VARIANCES = {"healthy": 2 / 64, "a tenth lost in each": 1.8 / 64, "half lost in each": 1 / 64}
"""`E[w²]` of every kernel of 64 units behind ReLU."""
MLP = 30
"""Layers of the network whose repeated probe is judged."""


def network(num_layers, variance):
    """The profile of that many ReLU layers and a head."""
    layers = []
    for number in range(num_layers):
        name = f"dense_{number}"
        bias = kernel(name, 0.0, role="bias", name=f"{name}/bias", shape=(64,))
        kernels = [kernel(name, variance, fingerprint=float(number + 1)), bias]
        facts = {
            "activations": places(),
            "log_ratio_variance": 1e-4,
            "forward_ratio": variance * 32,
        }
        layers.append(weight_layer(name, variance, kernels=kernels, **facts))
    return chain(*layers, head(), inputs=(("x", moments()),), loss=2.3, optimizer="SGD")


def repeated(profile: Profile) -> Profile:
    """A new profile of the same structure, whose records nobody has asked for."""
    return dataclasses.replace(profile)


def num_calls(function):
    """Number of Python function calls that a function makes."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def milliseconds(function, rounds):
    """Least processor time of some rounds, without garbage collection."""
    found = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            start = time.process_time()
            function()
            found.append(1000.0 * (time.process_time() - start))
    finally:
        gc.enable()
    return min(found)


def first_and_again(num_layers, variance, rounds):
    """`(calls, milliseconds)` of the first judgement of a structure, and of a later one."""
    profiles = [network(num_layers, variance) for _ in range(rounds + 1)]
    fresh, waiting = profiles[0], iter(profiles[1:])
    first = num_calls(lambda: judge(fresh)), milliseconds(lambda: judge(next(waiting)), rounds)
    again = (
        num_calls(lambda: judge(repeated(fresh))),
        milliseconds(lambda: judge(repeated(fresh)), rounds),
    )
    return first, again


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'network':24}{'':8}{'calls':>18}{'x':>6}{'ms':>18}{'x':>6}")
    for title, variance in VARIANCES.items():
        found = [first_and_again(size, variance, rounds) for size in SIZES]
        for position, name in enumerate(("first", "again")):
            (few_calls, few_ms), (many_calls, many_ms) = (each[position] for each in found)
            print(
                f"{title:24}{name:8}{few_calls:>8} {many_calls:>9}{many_calls / few_calls:>6.1f}"
                f"{few_ms:>8.2f} {many_ms:>9.2f}{many_ms / few_ms:>6.1f}"
            )
    _, (calls, ms) = first_and_again(MLP, VARIANCES["healthy"], rounds)
    print(
        f"\nA repeated probe of an MLP of {MLP + 1} sites is judged in {calls} calls, {ms:.2f} ms."
    )


if __name__ == "__main__":
    main()
