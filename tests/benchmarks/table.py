"""Everything that watching costs, on every backend that is installed, as tables of Markdown.

    python tests/benchmarks/table.py [--quick] [--backends jax,torch] [--only probe_cost,fit_cost]

Each benchmark runs by itself and on each backend in turn, so that nothing disturbs the times; all
of it takes half an hour on two cores.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import machine

SCRIPTS = {
    "probe_cost": "A repeated probe against a bare forward and backward pass",
    "probe_memory": "Peak memory of a repeated probe against the bare pass",
    "first_check": "The first check against the first training step, in fresh processes",
    "layers_cost": "1,000 layers against 100",
    "host_cost": "What the host does beside a repeated probe",
    "fit_cost": "A whole fit",
}


def rows(script, backend, is_quick):
    """The rows that a benchmark finds on one backend."""
    command = [sys.executable, str(Path(__file__).with_name(f"{script}.py")), "--json"]
    process = subprocess.Popen(
        [*command, *["--quick"] * is_quick],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    with process:
        yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
    if process.returncode:
        raise SystemExit(f"{script} failed on {backend}, with the message above.")


def main():
    """Prints all tables."""
    parser = machine.parser(__doc__)
    parser.add_argument("--backends", default=",".join(machine.installed_backends()))
    parser.add_argument("--only", default=",".join(SCRIPTS))
    given = parser.parse_args()
    backends = given.backends.split(",")
    print(machine.describe(backends), flush=True)
    for script in given.only.split(","):
        print(f"\n**{SCRIPTS[script]}** (`tests/benchmarks/{script}.py`)\n", flush=True)
        found = (row for backend in backends for row in rows(script, backend, given.quick))
        machine.print_rows(found, given.json)


if __name__ == "__main__":
    main()
