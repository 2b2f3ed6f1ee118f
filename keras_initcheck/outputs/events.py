"""Probes as runs of TensorBoard, for the package's own tab and for the standard tabs.

A run is a series of probes at rising steps. TensorBoard silently replaces older points when a step
comes again, so a step that does not rise begins a new run: `<log_dir>/initcheck`, then
`<log_dir>/initcheck_2` and so on. Before and after a repair become two runs, whose curves the
dashboards lay over each other. A directory that exists is never written to.
"""

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.summary_pb2 import Summary

from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.outputs.event_writer import EventWriter, histogram, plugin_data, scalar, text
from keras_initcheck.outputs.json_values import encode
from keras_initcheck.outputs.logged import Description, Judgement
from keras_initcheck.outputs.markdown import render_verdict
from keras_initcheck.outputs.site_statistics import (
    STATISTICS,
    describe,
    hash_sites,
    measure,
    worst_log10_ratio,
)
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.structure import Structure
from keras_initcheck.tensorboard_plugin.log_format import (
    BY_DEPTH,
    EACH,
    FIRST,
    OK,
    PLUGIN,
    RUN,
    findings_tag,
    matrix_tag,
    pack_findings,
)

FINDINGS_CONTENT = json.dumps({"version": 2, "content": "findings", "encoding": "zlib"})

BY_DEPTH_STATISTICS: dict[str, tuple[str, ...]] = {
    "log10_activation_second_moment": ("log10_second_moment_h",),
    "log10_gradient_second_moment": (
        "log10_random_gradient_second_moment_h",
        "log10_loss_gradient_second_moment_h",
    ),
    "log10_predicted_activation_second_moment": ("log10_predicted_second_moment_h",),
    "log10_predicted_gradient_second_moment": ("log10_predicted_gradient_h",),
    "log10_forward_ratio": ("log10_forward_ratio",),
    "log10_predicted_forward_ratio": ("log10_predicted_forward_ratio",),
    "log10_backward_ratio": ("log10_backward_ratio",),
    "log10_predicted_backward_ratio": ("log10_predicted_backward_ratio",),
}
"""Curves over depth, each with the statistics it is taken from: the first one that was measured."""

PER_LAYER_STATISTICS = (
    "log10_second_moment_h",
    "standard_deviation_h",
    "share_zero_h",
    "batch_share_h",
    "log10_forward_ratio",
    "log10_backward_ratio",
    "weight_rms",
    "log10_gradient_to_weight",
)

DESCRIPTIONS = {
    "log10_forward_gain": (
        "log10 of the signal's mean square after the last hidden layer over that before the first."
        " 0 is ideal."
    ),
    "log10_backward_gain": (
        "log10 of the gradient's mean square at the first layer over that at the last hidden one. 0"
        " is ideal."
    ),
    "worst_ratio": (
        "The largest |log10| of a hidden layer's forward or backward ratio. 0 is ideal, 1 a factor"
        " of ten in one layer."
    ),
    "findings": "Number of warnings and errors.",
}

Matrix: TypeAlias = npt.NDArray[np.float64]


class EventLog:
    """Writes reports for TensorBoard, each visible as soon as `write` returns.

    TensorFlow is not needed and never imported.
    A probe of 100 sites takes about 12 KB, its first one, with the descriptions and the curves over
    depth, about 90 KB, and each stored finding about a tenth of a KB more, or half a KB where it
    was not found by the probe before.

    Args:
        log_dir: TensorBoard's log directory, on a local file system. Nothing is created before the
            first `write`.
        per_layer_scalars: Whether to write a curve for each layer and statistic, too, which takes
            about 60 KB per probe and 100 layers.
        max_findings: Number of findings of each probe to store, worst first.

    Raises:
        ValueError: `log_dir` is an address such as `gs://bucket`, or `max_findings` is negative.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        per_layer_scalars: bool = False,
        max_findings: int = 100,
    ) -> None:
        if "://" in os.fspath(log_dir):
            raise ValueError(
                f"`log_dir` must be a local directory. Received: log_dir={log_dir!r}. Write locally"
                " and copy, or mount it."
            )
        if max_findings < 0:
            raise ValueError(
                f"`max_findings` must be 0 or more. Received: max_findings={max_findings}."
            )
        self.log_dir: Path = Path(log_dir)
        self.per_layer_scalars = per_layer_scalars
        self.max_findings = max_findings
        self.directory: Path | None = None
        """The current run's directory; `None` before the first `write` and after `close`."""
        self._writer: EventWriter | None = None
        self._last_step = 0
        self._last_found: object = None
        self._structure: Structure | None = None
        self._description = ("", "")

    def write(self, report: Report, step: int) -> None:
        """Adds a probe to the run, or begins a new run if `step` is not above the last one.

        Raises:
            OSError: A file or directory could not be written (no permission, disk full). The next
                call begins a new run.
        """
        if self._writer is not None and (step <= self._last_step or self.is_lost):
            self.close()
        with self._naming_the_place():
            self._write(report, step)

    def add_histograms(self, report: Report) -> None:
        """Adds the histograms of another probe at the run's latest step, and nothing else.

        The numbers of that step are there already.

        Raises:
            RuntimeError: No run has begun.
            OSError: As from `write`.
        """
        if self._writer is None:
            raise RuntimeError(
                "Histograms need a run to belong to. Received: none yet. Call `write` first."
            )
        with self._naming_the_place():
            self._writer.write(list(_histograms(report.profile)), self._last_step)

    def write_text(self, tag: str, markdown: str) -> None:
        """Adds a text to the running run, at its latest step, such as what a repair did.

        Args:
            tag: Name of the text, below `initcheck/`.
            markdown: The text, as TensorBoard's text tab shows it.

        Raises:
            RuntimeError: No run has begun.
            OSError: The file could not be written.
        """
        if self._writer is None:
            raise RuntimeError(
                "A text needs a run to belong to. Received: none yet. Call `write` first."
            )
        self._writer.write([text(f"initcheck/{tag}", markdown)], self._last_step)

    @property
    def is_lost(self) -> bool:
        """Whether somebody removed the running run's file. The next `write` begins a new run."""
        return self._writer is not None and self._writer.is_lost

    def close(self) -> None:
        """Ends the run. May be called again; a later `write` begins a new run."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self.directory = self._last_found = None

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _naming_the_place(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = os.fspath(error.filename or self.directory or self.log_dir)
            self.close()
            hint = (
                f"Cannot write TensorBoard events: {error.strerror}. Make room, allow writing, or"
                " choose another `log_dir`"
            )
            raise OSError(error.errno, hint, place) from error

    def _write(self, report: Report, step: int) -> None:
        matrix = measure(report.profile)
        is_first = self._writer is None
        if self._writer is None:
            self.directory = _new_directory(self.log_dir)
            self._writer = EventWriter(self.directory)
        values = [*self._plugin_values(report, matrix, is_first), *_summary(report)]
        found = [
            (finding.code, finding.severity, finding.site, finding.layer)
            for finding in report.findings
        ]
        if (
            found != self._last_found
        ):  # the text is longer than all numbers, and says the same until something else is found
            values.append(text("initcheck/verdict", render_verdict(report, self.max_findings)))
        self._last_found = found
        if self.per_layer_scalars:
            values.extend(_per_layer_scalars(report.profile, matrix))
        values.extend(_histograms(report.profile))
        self._writer.write(values, step)
        self._last_step = step
        if is_first:
            _write_by_depth(self._writer.directory / BY_DEPTH, matrix)

    def _described(self, profile: Profile) -> tuple[str, str]:
        """Hash of the sites and description of the matrix, made once for each structure."""
        if self._structure is not profile.structure:
            self._structure = profile.structure
            self._description = (
                hash_sites(profile.structure),
                _strict(describe(profile)),
            )
        return self._description

    def _plugin_values(
        self, report: Report, matrix: Matrix, is_first: bool
    ) -> Iterator[Summary.Value]:
        """Yields what the package's own tab reads. The first probe has tags of its own, too."""
        sites, content = self._described(report.profile)
        findings = _findings(report, self.max_findings)
        with np.errstate(over="ignore"):
            numbers = matrix.astype(np.float32)
        for kind in (FIRST, EACH) if is_first else (EACH,):
            yield plugin_data(matrix_tag(kind, sites), numbers, PLUGIN, content)
            yield plugin_data(findings_tag(kind), findings, PLUGIN, FINDINGS_CONTENT)


def _new_directory(log_dir: Path) -> Path:
    """Makes the first of `initcheck`, `initcheck_2` and so on that does not exist.

    Another process may do the same at the same time.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        directory = log_dir / (RUN if number == 1 else f"{RUN}_{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError("Counting has no end.")


def _findings(report: Report, max_findings: int) -> list[bytes]:
    """The worst severity, and verdict and findings as compressed JSON: sentences that repeat."""
    judgement = Judgement(
        report.ok, report.verdict, len(report.findings), report.findings[:max_findings]
    )
    return pack_findings(report.worst or OK, _strict(judgement))


def _strict(record: Description | Judgement) -> str:
    return json.dumps(encode(record), allow_nan=False, separators=(",", ":"))


def _summary(report: Report) -> Iterator[Summary.Value]:
    """Yields the few curves about the network as a whole."""
    numbers = {
        "log10_forward_gain": report.profile.log10_forward_gain,
        "log10_backward_gain": report.profile.log10_backward_gain,
        "worst_ratio": worst_log10_ratio(report.profile),
        "findings": report.count("warning") + report.count("error"),
    }
    for name, number in numbers.items():
        if number is not None:
            yield scalar(f"initcheck/{name}", number, DESCRIPTIONS[name])


def _histograms(profile: Profile) -> Iterator[Summary.Value]:
    return (
        histogram(clean(f"initcheck {tag}"), counts)
        for tag, counts in profile.histograms
        if counts.counts
    )


def _per_layer_scalars(profile: Profile, matrix: Matrix) -> Iterator[Summary.Value]:
    """Yields a curve for each site and statistic that was measured.

    The statistic in front of the slash groups them in the dashboards.
    """
    names = list(STATISTICS)
    for statistic in PER_LAYER_STATISTICS:
        for site, number in zip(profile.sites, matrix[:, names.index(statistic)], strict=True):
            if not math.isnan(number):
                yield scalar(clean(f"initcheck {statistic}/{site.index:03d}_{site.name}"), number)


def _write_by_depth(directory: Path, matrix: Matrix) -> None:
    """Writes a run whose step is the depth: the scalar dashboard draws signal propagation then."""
    directory.mkdir()
    writer = EventWriter(directory)
    try:
        for depth, row in enumerate(matrix):
            values = list(_curves_over_depth(dict(zip(STATISTICS, row.tolist(), strict=True))))
            if values:
                writer.write(values, depth)
    finally:
        writer.close()


def _curves_over_depth(statistics: dict[str, float]) -> Iterator[Summary.Value]:
    for name, sources in BY_DEPTH_STATISTICS.items():
        measured = [statistics[source] for source in sources if not math.isnan(statistics[source])]
        if measured:
            yield scalar(f"initcheck_{BY_DEPTH}/{name}", measured[0])
