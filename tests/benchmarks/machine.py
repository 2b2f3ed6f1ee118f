"""The machine that a benchmark ran on, in one line, and the rows that it found, as a table.

    python tests/benchmarks/machine.py

No framework is imported here before it is asked for its device.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}


def processor() -> str:
    """The processor's name and the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{cores} cores of {names[0] if names else platform.processor() or platform.machine()}"


def installed_backends() -> list[str]:
    """The backends that are installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name)]


def versions(backends: list[str]) -> str:
    """The versions of Python, Keras and the given backends."""
    names = {"keras": "Keras", "numpy": "NumPy", **{name: PACKAGES[name] for name in backends}}
    found = [f"{title} {importlib.metadata.version(name)}" for name, title in names.items()]
    return ", ".join([f"Python {platform.python_version()}", *found])


def device(backend: str) -> str:
    """The accelerator that the backend uses, or `CPU`."""
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return str(details[0].get("device_name", gpus[0].name)) if gpus else "CPU"
    if backend == "jax":
        import jax

        first = jax.devices()[0]
        return "CPU" if first.platform == "cpu" else str(first.device_kind)
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


def describe(backends: list[str]) -> str:
    """The machine, the versions and the date, in one line."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{processor()}; {versions(backends)}; {time.strftime('%Y-%m-%d')}{load}"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that every benchmark has."""
    found = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    found.add_argument("--quick", action="store_true", help="small sizes, one round: does it run?")
    found.add_argument("--json", action="store_true", help="print each row as a line of JSON")
    return found


def fresh_process(script: str, *arguments: object) -> list[float]:
    """The numbers in the last line that a script prints in a process of its own.

    Raises:
        subprocess.CalledProcessError: The script failed; its errors are printed.
    """
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(each) for each in done.stdout.splitlines()[-1].split()]


def print_rows(rows, as_json: bool) -> None:
    """Prints rows as they are found: as a Markdown table, or as lines of JSON.

    Args:
        rows: Dicts with the same keys, which are the columns.
        as_json: Whether each row is a line of JSON.
    """
    is_first = True
    for row in rows:
        if as_json:
            print(json.dumps(row), flush=True)
            continue
        if is_first:
            print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
            is_first = False
        print(f"| {' | '.join(map(str, row.values()))} |", flush=True)


if __name__ == "__main__":
    print(describe(installed_backends()))
