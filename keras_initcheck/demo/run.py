"""The story that `initcheck --demo` tells. Every number in it is measured while it runs."""

import shlex
import shutil
import sys
import time
from pathlib import Path

from keras_initcheck.demo import digits, explanation
from keras_initcheck.demo.photographs import photographs
from keras_initcheck.demo.schemes import GLOROT, HE, NORMAL, Bench, Scheme, spreads
from keras_initcheck.outputs.cell_text import wrap
from keras_initcheck.outputs.console import print_report
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.outputs.number_format import format_count
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.policy import Policy

WIDEST = 100
NUM_CROPS = 8
NUM_EPOCHS = 8
QUICK_WIDTH = 1 / 16
QUICK_CROPS = 4
POLICY = Policy(ignore=("IC104",))
"""Without the rule that repeats for each layer what the table and the verdict say."""


def run(
    quick: bool = False, log_dir: str | Path = "initcheck_demo_logs", width: int | None = None
) -> None:
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
        normal = self._explode(bench)
        self._compare(bench, normal)
        self._train()
        self._say(explanation.ANSWER)
        self._say(explanation.CURVES)
        print(f"  tensorboard --logdir {shlex.quote(str(self.log_dir))}")

    def _prepare(self) -> Bench:
        self._working("cutting crops out of two photographs")
        crops, _ = photographs(QUICK_CROPS if self.quick else NUM_CROPS)
        self._working("building AlexNet and drawing its weights")
        return Bench(take_batch(crops), QUICK_WIDTH if self.quick else 1.0)

    def _explode(self, bench: Bench) -> Profile:
        self._working("sending the photographs forward, and a random gradient back")
        profile = bench.measure(NORMAL)
        report = judge(profile, POLICY)
        self._log("alexnet_normal", report)
        size = (
            f"{format_count(bench.num_weights)}"
            f" weights{', a sixteenth of its width' if self.quick else ''}"
        )
        self._head(
            "1. AlexNet with weights from N(0,1)",
            f"{size}; {len(profile.weight_sites)} layers, crops of two photographs.",
        )
        print_report(report, width=self.width)
        self._say(f"\n{explanation.product(profile)}")
        return profile

    def _compare(self, bench: Bench, normal: Profile) -> None:
        glorot, he = self._measured(bench, GLOROT), self._measured(bench, HE)
        self._working("N(0,1) again, with the mean subtracted behind each ReLU")
        subtracted = bench.measure_with_mean_subtracted(NORMAL)
        titled = {"N(0,1)": normal, "mean subtracted": subtracted, "Glorot": glorot, "He": he}
        columns = {title: spreads(profile) for title, profile in titled.items()}
        self._head("2. What keeps the numbers in range?", explanation.COLUMNS)
        print("\n".join(explanation.table(columns)), end="\n\n")
        for title, text in explanation.verdicts(columns).items():
            self._point(title, text)

    def _measured(self, bench: Bench, scheme: Scheme) -> Profile:
        self._working(f"{scheme.title}'s weights")
        profile = bench.measure(scheme)
        self._log(f"alexnet_{scheme.title.lower()}", judge(profile, POLICY))
        return profile

    def _train(self) -> None:
        results = {}
        for title, name, initializer in (
            ("N(0,1)", "normal", digits.normal),
            ("He", "he", digits.he),
        ):
            self._working(f"training on digits with {title} weights, InitCheck watching")
            results[title] = digits.train(
                initializer, self.log_dir / f"digits_{name}", 1 if self.quick else NUM_EPOCHS
            )
        self._head("3. Does it matter?", explanation.TRAINING)
        for title, result in results.items():
            self._point(title, explanation.trained(result))

    def _log(self, name: str, report: Report) -> None:
        with EventLog(self.log_dir / name) as log:
            log.write(report, step=0)

    def _head(self, title: str, text: str) -> None:
        print(f"\n{title}\n{'─' * len(title)}")
        self._say(text)

    def _say(self, text: str) -> None:
        print("\n".join(wrap(text, self.width)), end="\n\n", flush=True)

    def _point(self, title: str, text: str) -> None:
        print("\n".join(wrap(text, self.width, " " * 17, f"{title:<15}  ")), end="\n\n", flush=True)

    def _working(self, text: str) -> None:
        seconds = time.perf_counter() - self._start
        print(f"[{seconds:3.0f} s] {text} ...", file=sys.stderr, flush=True)
