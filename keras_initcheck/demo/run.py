"""The story that `initcheck --demo` tells. Every number in it is measured while it runs."""

import shlex
import shutil
import sys
import time
from pathlib import Path

from keras_initcheck.api import Report, judged
from keras_initcheck.demo import digits, explanation
from keras_initcheck.demo.photographs import photographs
from keras_initcheck.demo.schemes import GLOROT, HE, NORMAL, Bench, Scheme, spreads
from keras_initcheck.outputs.console import print_report
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.outputs.numbers import format_count
from keras_initcheck.outputs.text import wrap
from keras_initcheck.probe.batch import take_batch
from keras_initcheck.profile import Profile

WIDEST = 100
QUICK_WIDTH = 1 / 16
QUICK_CROPS = 4
REPEATED = ("IC104",)
"""Repeats for each layer what the table and the verdict say."""


def run(quick: bool = False, log_dir: str | Path = "initcheck_demo_logs", width: int | None = None) -> None:
    """Tells the story on standard output, and what it is doing on standard error.

    Args:
        quick: Whether to take a narrow AlexNet and one epoch.
        log_dir: Directory for TensorBoard. What is there stays: the events of this run are added.
        width: Cells in a line; by default the terminal's, up to 100.

    Raises:
        InitCheckError: scikit-learn is not installed.
        OSError: `log_dir` cannot be written.

    Cost: about a minute on two cores and 2 GB of memory; a quarter of that if `quick`.
    """
    Story(Path(log_dir), width or min(shutil.get_terminal_size().columns, WIDEST), quick).tell()


class Story:
    """The demonstration, chapter by chapter.

    Args:
        log_dir: Directory for TensorBoard.
        width: Cells in a line.
        quick: Whether to take a narrow AlexNet and one epoch.
    """

    def __init__(self, log_dir: Path, width: int, quick: bool) -> None:
        self.log_dir = log_dir
        self.width = width
        self.quick = quick
        self._start = time.perf_counter()

    def tell(self) -> None:
        """All chapters."""
        self._say(explanation.QUESTION)
        bench = self._prepare()
        normal = self._explosion(bench)
        self._comparison(bench, normal)
        self._training()
        self._say(f"The curves, layer by layer:  tensorboard --logdir {shlex.quote(str(self.log_dir))}")

    def _prepare(self) -> Bench:
        self._working("cutting crops out of two photographs")
        crops, _ = photographs(QUICK_CROPS if self.quick else 8)
        self._working("building AlexNet and drawing its weights, once: each way below multiplies this draw by its own standard deviation")
        return Bench(take_batch(crops), QUICK_WIDTH if self.quick else 1.0)

    def _explosion(self, bench: Bench) -> Profile:
        size = f"{format_count(bench.num_weights)} weights" + (", a sixteenth of its width" if self.quick else "")
        self._head(f"1. AlexNet ({size}) with weights from N(0,1), on photographs")
        self._working("sending the photographs forward, and a random gradient back")
        profile = bench.measure(NORMAL)
        report = judged(profile, ignore=REPEATED)
        print_report(report, width=self.width)
        self._log("alexnet_normal", report)
        self._say(explanation.product(profile))
        return profile

    def _comparison(self, bench: Bench, normal: Profile) -> None:
        self._head("2. What keeps the numbers in range? Standard deviation before each activation")
        columns = {"N(0,1)": spreads(normal)}
        for scheme in (GLOROT, HE):
            columns[scheme.title] = self._measured(bench, scheme)
        self._working("N(0,1) again, with the mean subtracted behind each ReLU")
        subtracted = spreads(bench.measure_with_mean_subtracted(NORMAL))
        columns = {"N(0,1)": columns["N(0,1)"], "mean subtracted": subtracted, "Glorot": columns["Glorot"], "He": columns["He"]}
        print("\n".join(explanation.table(columns)))
        for line in explanation.verdicts(columns):
            self._say(line, indent="  ")

    def _measured(self, bench: Bench, scheme: Scheme) -> dict[str, float]:
        self._working(f"{scheme.title}'s weights")
        profile = bench.measure(scheme)
        self._log(f"alexnet_{scheme.title.lower()}", judged(profile))
        return spreads(profile)

    def _training(self) -> None:
        self._head("3. Does it matter? A small network learns 1797 handwritten digits")
        for title, name, initializer in (("N(0,1)", "normal", digits.normal), ("He", "he", digits.he)):
            self._working(f"training with {title} weights, InitCheck watching")
            result = digits.train(initializer, self.log_dir / f"digits_{name}", num_epochs=1 if self.quick else 8)
            self._say(explanation.trained(title, result), indent="  ")

    def _log(self, name: str, report: Report) -> None:
        with EventLog(self.log_dir / name) as log:
            log.write(report, step=0)

    def _head(self, text: str) -> None:
        print(f"\n{text}\n{'─' * min(len(text), self.width)}\n", flush=True)

    def _say(self, text: str, indent: str = "") -> None:
        print("\n".join(["", *wrap(text, self.width, indent)]), flush=True)

    def _working(self, text: str) -> None:
        print("\n".join(wrap(f"{text} ...", self.width, "       ", f"[{time.perf_counter() - self._start:3.0f} s] ")), file=sys.stderr, flush=True)
