"""One probe as figures and tables read it, from a live report or out of an event log.

Nothing is drawn or judged here.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.logged import Description, Judgement, LoggedSites
from keras_initcheck.outputs.severity_marks import Pointers, worst_severity
from keras_initcheck.outputs.site_statistics import SQUARES, describe, measure
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.report import Report
from keras_initcheck.records.statistics import Histogram

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FigureData:
    """One probe as a figure reads it.

    Attributes:
        run: Name of the run, `""` if there is only one.
        step: Number of training steps that had been taken.
        matrix: `(sites, statistics)` float64 numbers, `nan` where not measured.
        description: The rows and columns of the matrix.
        judgement: Verdict and findings. An event log may hold the first findings only.
        histograms: `(tag, histogram)` pairs if they were recorded.
        first: The first probe of the same run and sites, which has the prediction that repeated
            probes do not make; `None` for that probe itself, or if the log does not have it.
    """

    run: str
    step: int
    matrix: Column
    description: Description
    judgement: Judgement
    histograms: tuple[tuple[str, Histogram], ...] = ()
    first: "FigureData | None" = None

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.sites.names)

    @property
    def sites(self) -> LoggedSites:
        """Facts about the sites: columns with one entry for each site, in execution order."""
        return self.description.sites

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, worst first."""
        return self.judgement.findings

    def column(self, name: str) -> Column:
        """`(sites,)` numbers of that statistic; all `nan` if the log does not have it."""
        names = self.description.statistics
        return self.matrix[:, names.index(name)] if name in names else np.full(len(self), np.nan)

    def shown(self, name: str) -> Column:
        """`(sites,)` numbers of that statistic as they are shown: the roots of mean squares."""
        return self.column(name) * (0.5 if name in SQUARES else 1.0)

    def first_measured(self, *names: str) -> Column:
        """`(sites,)` numbers to show of the first statistic that was measured, else all `nan`."""
        columns = [self.shown(name) for name in names]
        return next((column for column in columns if not np.isnan(column).all()), columns[-1])

    def predicting(self, name: str) -> "FigureData":
        """The probe to take a prediction from: this one, or the first one if this predicts nothing.

        Args:
            name: The predicted statistic.
        """
        is_missing = np.isnan(self.column(name)).all()
        return self.first if is_missing and self.first is not None else self

    def where(self, kind: str) -> npt.NDArray[np.bool_]:
        """`(sites,)`, true for the sites of that kind."""
        return np.array([each == kind for each in self.sites.kinds], bool)

    def findings_at(self, index: int) -> tuple[Finding, ...]:
        """The findings that point at that site, worst first."""
        return self._pointers.at(self.sites.names[index], self.sites.layers[index])

    def severity_at(self, index: int) -> str | None:
        """The worst severity of the findings that point at that site, or `None`."""
        return worst_severity(self.findings_at(index))

    @functools.cached_property
    def _pointers(self) -> Pointers:
        return Pointers(self.findings)

    @classmethod
    def from_report(cls, report: Report, run: str = "") -> "FigureData":
        """The data of a live report."""
        profile, findings = report.profile, report.findings
        judgement = Judgement(report.ok, report.verdict, len(findings), findings)
        histograms = profile.histograms
        return cls(run, profile.step, measure(profile), describe(profile), judgement, histograms)

    @classmethod
    def from_log(
        cls,
        description: Description,
        matrix: npt.ArrayLike,
        judgement: Judgement,
        step: int = 0,
        run: str = "",
        first: "FigureData | None" = None,
    ) -> "FigureData":
        """The data of a probe in an event log.

        Args:
            description: What `log_reading.read_description` read.
            matrix: `(sites, statistics)` numbers, as `site_statistics.measure` made them.
            judgement: What `log_reading.read_judgement` read.
            step: The event's step.
            run: Name of the run.
            first: The data of the first probe with the same description.

        Raises:
            ValueError: The matrix does not fit its description.
        """
        numbers = np.asarray(matrix)
        expected = (len(description.sites.names), len(description.statistics))
        if numbers.shape != expected or numbers.dtype.kind != "f":
            raise ValueError(
                f"`matrix` must have the shape {expected} of its description, and floats. Received:"
                f" {numbers.shape} {numbers.dtype}. Probe again."
            )
        return cls(run, step, numbers.astype(np.float64), description, judgement, first=first)
