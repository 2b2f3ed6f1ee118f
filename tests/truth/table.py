"""Prints the truth table: for each network how often it was judged right, over several draws of its
weights.

KERAS_BACKEND=torch python tests/truth/table.py [--draws 5] [--only NAME]
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.truth.judging import judged, wrong
from tests.truth.nets import FAULTY, HEALTHY


def row(net, draws):
    """Draws that were judged right, and what was said of the last one."""
    right, said = 0, ""
    for seed in range(draws):
        report = judged(net, seed)
        complaint = wrong(net, report)
        right += not complaint
        said = (
            complaint
            or ", ".join(
                dict.fromkeys(
                    finding.code for finding in report.findings if finding.severity != "info"
                )
            )
            or "healthy"
        )
    return right, said


def main():
    """Prints a line for each network, and the two rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for title, nets in (("healthy: silent", HEALTHY), ("faulty: named", FAULTY)):
        total = 0
        chosen = [net for net in nets if arguments.only in net.name]
        for net in chosen:
            right, said = row(net, arguments.draws)
            total += right
            print(f"{right}/{arguments.draws}  {net.name:38} {net.why:58} {said[:120]}", flush=True)
        print(f"{title} in {total} of {len(chosen) * arguments.draws}\n", flush=True)


if __name__ == "__main__":
    main()
