"""Runs the demonstration of `initcheck --demo`; every number in it is measured while it runs."""

import shlex
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from keras_initcheck.demo import digits, explanation
from keras_initcheck.demo.photographs import photographs
from keras_initcheck.demo.schemes import GLOROT, HE, NORMAL, Bench, Scheme, spreads
from keras_initcheck.outputs.cell_text import wrap
from keras_initcheck.outputs.console import print_report
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.records.number_format import format_count
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
"""Without the rule that would repeat for each layer what the table and the verdict show."""


def run(
    quick: bool = False, log_dir: str | Path = "initcheck_demo_logs", width: int | None = None
) -> None:
    """Prints the demonstration to standard output, and its progress to standard error.

    Args:
        quick: Whether to use a narrow AlexNet and to train for one epoch.
        log_dir: Directory for TensorBoard. Its contents are kept; the events of this run are added.
        width: Columns in a line; by default the terminal's width, up to 100.

    Raises:
        InitCheckError: scikit-learn is not installed.
        OSError: `log_dir` cannot be written.

    Cost: about a minute on two cores and 2 GB of memory; a quarter of that if `quick`.
    """
    columns = width or min(shutil.get_terminal_size().columns, WIDEST)
    Demonstration(Path(log_dir), columns, quick).run()


class Demonstration:
    """The demonstration, part by part.

    Args:
        log_dir: Directory for TensorBoard.
        width: Columns in a line.
        quick: Whether to use a narrow AlexNet and to train for one epoch.
    """

    def __init__(self, log_dir: Path, width: int, quick: bool) -> None:
        self.log_dir = log_dir
        self.width = width
        self.quick = quick
        self._start = time.perf_counter()

    def run(self) -> None:
        """Runs all parts."""
        self._print(explanation.QUESTION)
        bench = self._prepare()
        normal = self._show_explosion(bench)
        self._compare_schemes(bench, normal)
        self._compare_trainings()
        self._print(explanation.ANSWER)
        self._print(explanation.CURVES)
        print(f"  tensorboard --logdir {shlex.quote(str(self.log_dir))}")

    def _prepare(self) -> Bench:
        self._report_progress("cutting crops out of two photographs")
        crops, _ = photographs(QUICK_CROPS if self.quick else NUM_CROPS)
        self._report_progress("building AlexNet and drawing its weights")
        return Bench(
            replace(take_batch(crops), source="crops of two photographs"),
            QUICK_WIDTH if self.quick else 1.0,
        )

    def _show_explosion(self, bench: Bench) -> Profile:
        self._report_progress("measuring the signal of the photographs, and a random gradient")
        profile = bench.measure(NORMAL)
        report = judge(profile, POLICY)
        self._log("alexnet_normal", report)
        share = " (a sixteenth of the full width)" if self.quick else ""
        size = f"{format_count(bench.num_weights)} weights{share}"
        self._print_heading(
            "1. AlexNet with weights from N(0,1)",
            f"{size} in {len(profile.weight_sites)} layers; the inputs are crops of two"
            " photographs.",
        )
        print_report(report, width=self.width)
        self._print(f"\n{explanation.variance_factors(profile)}")
        return profile

    def _compare_schemes(self, bench: Bench, normal: Profile) -> None:
        glorot, he = self._measure(bench, GLOROT), self._measure(bench, HE)
        self._report_progress("N(0,1) again, with the mean subtracted after each ReLU")
        subtracted = bench.measure_with_mean_subtracted(NORMAL)
        titled = {"N(0,1)": normal, "mean subtracted": subtracted, "Glorot": glorot, "He": he}
        columns = {title: spreads(profile) for title, profile in titled.items()}
        self._print_heading("2. What keeps the activations in range?", explanation.COLUMNS)
        print("\n".join(explanation.table(columns)), end="\n\n")
        for title, text in explanation.verdicts(columns).items():
            self._print_item(title, text)

    def _measure(self, bench: Bench, scheme: Scheme) -> Profile:
        self._report_progress(f"measuring with weights by {scheme.title}")
        profile = bench.measure(scheme)
        self._log(f"alexnet_{scheme.title.lower()}", judge(profile, POLICY))
        return profile

    def _compare_trainings(self) -> None:
        results = {}
        for title, name, initializer in (
            ("N(0,1)", "normal", digits.normal),
            ("He", "he", digits.he),
        ):
            self._report_progress(f"training on digits with {title} weights, with InitCheck")
            results[title] = digits.train(
                initializer, self.log_dir / f"digits_{name}", 1 if self.quick else NUM_EPOCHS
            )
        self._print_heading("3. Does it matter?", explanation.TRAINING)
        for title, result in results.items():
            self._print_item(title, explanation.training_result(result))

    def _log(self, name: str, report: Report) -> None:
        with EventLog(self.log_dir / name) as log:
            log.write(report, step=0)

    def _print_heading(self, title: str, text: str) -> None:
        print(f"\n{title}\n{'─' * len(title)}")
        self._print(text)

    def _print(self, text: str) -> None:
        print("\n".join(wrap(text, self.width)), end="\n\n", flush=True)

    def _print_item(self, title: str, text: str) -> None:
        print("\n".join(wrap(text, self.width, " " * 17, f"{title:<15}  ")), end="\n\n", flush=True)

    def _report_progress(self, text: str) -> None:
        seconds = time.perf_counter() - self._start
        print(f"[{seconds:3.0f} s] {text} ...", file=sys.stderr, flush=True)
