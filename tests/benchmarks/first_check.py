"""Time of the first `check` of a fresh process against that of the first `train_on_batch`.

    KERAS_BACKEND=jax python tests/benchmarks/first_check.py [--models cnn,mlp,resnet50]

Each is made in a process of its own, behind the imports; `check` is the default one, with the first
step. "second" is the same for a second model of other sizes in the same process, as a ratio too.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import machine

SIZES = {
    "tiny": ({"size": 12, "batch": 4}, {"size": 14, "batch": 6}),
    "cnn": ({}, {"size": 24, "batch": 48}),
    "mlp": ({}, {"width": 384, "batch": 192}),
    "resnet50": ({}, {"size": 80, "batch": 12}),
}
"""Arguments of the maker of each model: of the first, and of the second in the process."""


def run(name, what):
    """Prints the seconds that it takes for the first model, and then for the second."""
    import keras

    from keras_initcheck.api import check
    from tests.benchmarks.networks import MAKERS

    def check_batch(network):
        check(network.model, network.x, network.y, batch_size=len(network.x))

    def train(network):
        float(network.model.train_on_batch(network.x, network.y))

    maker, found = MAKERS["cnn" if name == "tiny" else name], []
    for sizes in SIZES[name]:
        keras.utils.set_random_seed(0)
        network = maker(**sizes)
        network.model.compile("adam", "sparse_categorical_crossentropy")
        use = {"check": check_batch, "train": train}[what]
        start = time.perf_counter()
        use(network)
        found.append(time.perf_counter() - start)
    print(*found)


def measure(name, rounds):
    """A row: the least times of some processes."""
    trained, checked = (
        [machine.fresh_process(__file__, "--run", name, what) for _ in range(rounds)]
        for what in ("train", "check")
    )
    (step, next_step), (first, second) = (
        map(min, zip(*each, strict=True)) for each in (trained, checked)
    )
    return {
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "model": name,
        "first train_on_batch s": f"{step:.2f}",
        "first check s": f"{first:.2f}",
        "ratio": f"{first / step:.2f}",
        "second check s": f"{second:.2f}",
        "second ratio": f"{second / next_step:.2f}",
    }


def main():
    """Prints a row for each model."""
    parser = machine.parser(__doc__)
    parser.add_argument("--models", default="cnn,mlp,resnet50")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--run", nargs=2, metavar=("MODEL", "WHAT"))
    given = parser.parse_args()
    if given.run:
        run(*given.run)
        return
    names = ["tiny"] if given.quick else given.models.split(",")
    machine.print_rows((measure(name, given.rounds) for name in names), given.json)


if __name__ == "__main__":
    main()
