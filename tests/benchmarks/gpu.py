"""Cost of a repeated probe on a GPU, in under ten minutes: time, first call and memory.

    python tests/benchmarks/gpu.py [--backends jax,torch] [--models resnet50,mlp,gpt2] [--quick]

ResNet50 in bfloat16 at 224x224, batch 128; an MLP of 30 layers of 512, batch 256; and GPT-2 small,
batch 8 of 512 tokens. Each model runs on each backend in a process of its own, so that the peak of
the device's memory is its own: the bare pass first, and then the probe. The two are timed in turn.
On a machine without a GPU the same runs on the CPU, for which `--quick` takes small sizes and
leaves out ResNet50, whose many layers take JAX minutes to compile there.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import machine

MODELS = ("resnet50", "mlp", "gpt2")
MOST_SECONDS = 15.0
"""Seconds that the rounds of one model may take."""
MOST_MINUTES = 3
"""Minutes after which a process is given up."""


def network(name, is_quick):
    """A network by its name, in small sizes if `is_quick`."""
    import keras

    from tests.benchmarks import networks

    if name == "resnet50":
        keras.config.set_dtype_policy("mixed_bfloat16")
        return networks.resnet50(
            **({"size": 32, "batch": 2} if is_quick else {"size": 224, "batch": 128})
        )
    if name == "mlp":
        return networks.mlp(**({"depth": 3, "width": 16, "batch": 8} if is_quick else {}))
    sizes = {"blocks": 12, "width": 768, "heads": 12, "length": 512, "vocabulary": 50257}
    if is_quick:
        sizes = {"blocks": 1, "width": 16, "heads": 2, "length": 8, "vocabulary": 50, "batch": 2}
    return networks.gpt(**sizes)


def run(name, is_quick):
    """Prints times in ms, the ratio, first calls in s, and peak memory of both in MB."""
    from tests.benchmarks.probe_cost import passes

    bare, repeated = (waiting(each) for each in passes(network(name, is_quick)))
    first_bare = timed(bare)
    timed(bare)
    bare_peak = peak_megabytes()
    first_probe = timed(repeated)
    timed(repeated)
    probe_peak = peak_megabytes()
    pairs, end = [], time.perf_counter() + MOST_SECONDS
    while len(pairs) < (1 if is_quick else 50) and (len(pairs) < 5 or time.perf_counter() < end):
        pairs.append((timed(bare), timed(repeated)))
    times = [1e3 * statistics.median(column) for column in zip(*pairs, strict=True)]
    ratio = statistics.median(probe / bare for bare, probe in pairs)
    print(*times, ratio, first_bare, first_probe, bare_peak, probe_peak)


def waiting(function):
    """The function, followed by the wait for the device."""
    import keras

    if keras.backend.backend() != "torch":
        return function
    import torch

    def call():
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return call


def timed(function):
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_megabytes():
    """Peak of the device's memory since the process began; of the process's own without a GPU."""
    import keras

    from tests.benchmarks.layers_cost import peak_megabytes

    if keras.backend.backend() == "jax":
        import jax

        found = jax.devices()[0].memory_stats() or {}
        return found.get("peak_bytes_in_use", 0) / 2**20 or peak_megabytes()
    import torch

    is_there = torch.cuda.is_available()
    return torch.cuda.max_memory_allocated() / 2**20 if is_there else peak_megabytes()


def row(backend, name, is_quick):
    """A row, or the reason why there is none."""
    command = [sys.executable, __file__, "--run", backend, name, *["--quick"] * is_quick]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60 * MOST_MINUTES,
            env={**os.environ, "KERAS_BACKEND": backend},
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} on {backend}: {error}", file=sys.stderr)
        return None
    bare, probe, ratio, first_bare, first_probe, *peaks = map(float, done.stdout.split()[-7:])
    return {
        "backend": backend,
        "model": name,
        "bare ms": f"{bare:.2f}",
        "probe ms": f"{probe:.2f}",
        "ratio": f"{ratio:.2f}",
        "first bare s": f"{first_bare:.1f}",
        "first probe s": f"{first_probe:.1f}",
        "first ratio": f"{first_probe / first_bare:.2f}",
        "bare MB": f"{peaks[0]:.0f}",
        "probe MB": f"{peaks[1]:.0f}",
        "memory": f"{peaks[1] / peaks[0]:.3f}",
    }


def card():
    """The names of the NVIDIA cards, or `CPU`."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "CPU"
    return found.strip().replace("\n", "; ")


def main():
    """Prints the card, the versions and a row for each model and backend."""
    parser = machine.parser(__doc__)
    parser.add_argument("--backends", default="jax,torch")
    parser.add_argument("--models")
    parser.add_argument("--run", nargs=2, metavar=("BACKEND", "MODEL"))
    given = parser.parse_args()
    if given.run:
        run(given.run[1], given.quick)
        return
    known = machine.installed_backends()
    backends = [each for each in given.backends.split(",") if each in known]
    if not given.json:
        print(f"{card()}; {machine.describe(backends)}\n", flush=True)
    names = given.models.split(",") if given.models else MODELS[1:] if given.quick else MODELS
    pairs = ((backend, name) for backend in backends for name in names)
    rows = (row(*pair, given.quick) for pair in pairs)
    machine.print_rows(filter(None, rows), given.json)


if __name__ == "__main__":
    main()
