"""What a figure draws of one probe, whether it comes from a live report or out of an event log.
Nothing is drawn or judged here.
"""

import functools
import reprlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.json_format import decode
from keras_initcheck.outputs.logged import Description, Judgement
from keras_initcheck.outputs.severity_marks import Pointers, worst_severity
from keras_initcheck.outputs.site_statistics import VERSION, describe, measure
from keras_initcheck.records.profile import Histogram
from keras_initcheck.records.report import Finding, Report

Column = npt.NDArray[np.float64]
Logged = TypeVar("Logged", Description, Judgement)


@dataclass(frozen=True, eq=False)
class FigureData:
    """One probe as a figure sees it. Each tuple but `findings` and `statistics` has one entry per
    site, in execution order.

    Attributes:
        run: Name of the run, `""` where there is only one.
        step: Number of training steps that had been taken.
        matrix: `(sites, statistics)` float64 numbers, `nan` where not measured.
        model: Name of the model.
        verdict: One sentence: healthy, or what is wrong.
        ok: Whether there is neither a warning nor an error.
        findings: The findings, worst first. An event log may hold the first of them only.
        names: Paths of the sites.
        layers: Paths of their layers.
        layer_types: Class names.
        kinds: What `SiteStats.kind` says.
        inputs: Indices of the sites whose outputs each site received.
        inputs_known: Whether every input was recognised; where it was not, execution order serves
            instead.
        output_shapes: Shape of one sample's output, or `None`.
        num_parameters: Number of weights; 0 at further calls of the same layer.
        activations: Name of the activation that follows, or `None`.
        chains: Number of the chain that a hidden weight layer belongs to, or `None`.
        are_heads: Whether no other weight layer comes after it.
        statistics: Names of the matrix's columns.
        histograms: `(tag, histogram)` pairs where they were recorded.
    """

    run: str
    step: int
    matrix: Column
    model: str
    verdict: str
    ok: bool
    findings: tuple[Finding, ...]
    names: tuple[str, ...]
    layers: tuple[str, ...]
    layer_types: tuple[str, ...]
    kinds: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    inputs_known: tuple[bool, ...]
    output_shapes: tuple[tuple[int, ...] | None, ...]
    num_parameters: tuple[int, ...]
    activations: tuple[str | None, ...]
    chains: tuple[int | None, ...]
    are_heads: tuple[bool, ...]
    statistics: tuple[str, ...]
    histograms: tuple[tuple[str, Histogram], ...] = ()

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.names)

    def column(self, name: str) -> Column:
        """`(sites,)` numbers of that statistic; all `nan` where the log that the frame was read
        from does not have it.
        """
        if name not in self.statistics:
            return np.full(len(self), np.nan)
        return self.matrix[:, self.statistics.index(name)]

    def first_measured(self, *names: str) -> Column:
        """`(sites,)` numbers of the first of those statistics that was measured anywhere; all `nan`
        if none was.
        """
        columns = [self.column(name) for name in names]
        return next((column for column in columns if not np.isnan(column).all()), columns[-1])

    def where(self, kind: str) -> npt.NDArray[np.bool_]:
        """`(sites,)`, true for the sites of that kind."""
        return np.array([each == kind for each in self.kinds], bool)

    def findings_at(self, index: int) -> tuple[Finding, ...]:
        """The findings that point at that site, worst first."""
        return self._pointers.at(self.names[index], self.layers[index])

    def severity_at(self, index: int) -> str | None:
        """The worst severity of the findings that point at that site, or `None`."""
        return worst_severity(self.findings_at(index))

    @functools.cached_property
    def _pointers(self) -> Pointers:
        return Pointers(self.findings)

    @classmethod
    def from_report(cls, report: Report, run: str = "") -> "FigureData":
        """The frame of a live report."""
        profile, verdict = report.profile, report.verdict
        judgement = Judgement(report.ok, verdict, len(report.findings), report.findings)
        return cls(
            run,
            profile.step,
            measure(profile),
            **_facts(describe(profile), judgement),
            histograms=profile.histograms,
        )

    @classmethod
    def from_log(
        cls,
        description: Description,
        matrix: npt.ArrayLike,
        judgement: Judgement,
        step: int = 0,
        run: str = "",
    ) -> "FigureData":
        """The frame of a probe in an event log.

        Args:
            description: What `read_description` read.
            matrix: `(sites, statistics)` numbers, as `site_statistics.measure` made them.
            judgement: What `read_judgement` read.
            step: The event's step.
            run: Name of the run.

        Raises:
            ValueError: The matrix does not fit its description.
        """
        numbers, expected = (
            np.asarray(matrix),
            (
                len(description.sites.names),
                len(description.statistics),
            ),
        )
        if numbers.shape != expected or numbers.dtype.kind != "f":
            raise ValueError(
                f"`matrix` must have the shape {expected} of its description, and floats. Received:"
                f" {numbers.shape} {numbers.dtype}."
            )
        return cls(run, step, numbers.astype(np.float64), **_facts(description, judgement))


def read_description(document: object) -> Description:
    """The description in an event log.

    Args:
        document: What `json.loads` gives of it.

    Raises:
        ValueError: Another version of this package wrote it, or something else.
    """
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION or isinstance(version, bool):
        received = reprlib.repr(version)
        raise ValueError(
            f"The event log must be of version {VERSION}. Received: version {received}. Upgrade"
            " keras_initcheck, or probe again."
        )
    return _read(Description, document, "description")


def read_judgement(document: object) -> Judgement:
    """The verdict and the findings beside a probe in an event log.

    Args:
        document: What `json.loads` gives of it.

    Raises:
        ValueError: Another version of this package wrote it, or something else.
    """
    return _read(Judgement, document, "judgement")


def _read(record: type[Logged], document: object, name: str) -> Logged:
    try:
        read: Logged = decode(record, document, name)
    except ValueError as error:
        raise ValueError(
            f"Another version of keras_initcheck wrote this log, or something else. {error}"
        ) from error
    return read


def _facts(description: Description, judgement: Judgement) -> dict[str, Any]:
    """The fields that the two fill."""
    rows = {name: column for name, column in vars(description.sites).items() if name != "depths"}
    judged = {"verdict": judgement.verdict, "ok": judgement.ok, "findings": judgement.findings}
    return {"model": description.model, "statistics": description.statistics, **rows, **judged}
