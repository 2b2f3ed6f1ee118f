"""What a figure draws of one probe, whether it comes from a live report or out of an event log. Nothing is drawn or judged here."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.json_format import decode
from keras_initcheck.outputs.marks import Pointers, worst_severity
from keras_initcheck.outputs.site_statistics import VERSION, describe, measure
from keras_initcheck.profile import Histogram
from keras_initcheck.report import Finding, Report

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """One probe as a figure sees it. Each tuple but `findings` and `statistics` has one entry per site, in execution order.

    Attributes:
        run: Name of the run, `""` where there is only one.
        model: Name of the model.
        step: Number of training steps that had been taken.
        verdict: One sentence: healthy, or what is wrong.
        ok: Whether there is neither a warning nor an error.
        findings: The findings, worst first. An event log may hold the first of them only.
        names: Paths of the sites.
        layers: Paths of their layers.
        layer_types: Class names.
        kinds: What `SiteStats.kind` says.
        inputs: Indices of the sites whose outputs each site received.
        inputs_known: Whether every input was recognised; where it was not, execution order serves instead.
        output_shapes: Shape of one sample's output, or `None`.
        num_parameters: Number of weights; 0 at further calls of the same layer.
        activations: Name of the activation that follows, or `None`.
        stretches: Number of the stretch that a hidden weight layer belongs to, or `None`.
        are_heads: Whether no other weight layer comes after it.
        statistics: Names of the matrix's columns.
        matrix: `(sites, statistics)` float64 numbers, `nan` where not measured.
        histograms: `(tag, histogram)` pairs where they were recorded.
    """

    run: str
    model: str
    step: int
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
    stretches: tuple[int | None, ...]
    are_heads: tuple[bool, ...]
    statistics: tuple[str, ...]
    matrix: Column
    histograms: tuple[tuple[str, Histogram], ...] = ()

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.names)

    def column(self, name: str) -> Column:
        """`(sites,)` numbers of that statistic; all `nan` where the log that the frame was read from does not have it."""
        if name not in self.statistics:
            return np.full(len(self), np.nan)
        return self.matrix[:, self.statistics.index(name)]

    def first_measured(self, *names: str) -> Column:
        """`(sites,)` numbers of the first of those statistics that was measured anywhere; all `nan` if none was."""
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
    def from_report(cls, report: Report, run: str = "") -> "Frame":
        """The frame of a live report."""
        profile = report.profile
        judged: dict[str, Any] = {"verdict": report.verdict, "ok": report.ok, "findings": report.findings}
        facts = _facts(json.loads(describe(profile)))
        return cls(run=run, step=profile.step, **judged, **facts, matrix=measure(profile), histograms=profile.histograms)

    @classmethod
    def from_log(
        cls, description: Mapping[str, Any], matrix: npt.ArrayLike, findings: Mapping[str, Any], step: int = 0, run: str = ""
    ) -> "Frame":
        """The frame of a probe in an event log.

        Args:
            description: What `site_statistics.describe` wrote, as `json.loads` gives it.
            matrix: `(sites, statistics)` numbers, as `site_statistics.measure` made them.
            findings: The document with the verdict and the findings that the event log holds beside them.
            step: The event's step.
            run: Name of the run.

        Raises:
            ValueError: The log was written by another version of this package, or the matrix does not fit its description.
        """
        if description.get("version") != VERSION:
            raise ValueError(
                f"The event log must be of version {VERSION}. Received: version {description.get('version')!r}. "
                "Upgrade keras_initcheck, or probe again."
            )
        facts, numbers = _facts(description), np.asarray(matrix, np.float64)
        expected = (len(facts["names"]), len(facts["statistics"]))
        if numbers.shape != expected:
            raise ValueError(f"`matrix` must have the shape {expected} of its description. Received: {numbers.shape}.")
        read = tuple(decode(Finding, each, f"findings[{index}]") for index, each in enumerate(findings["findings"]))
        judged: dict[str, Any] = {"verdict": str(findings["verdict"]), "ok": bool(findings["ok"]), "findings": read}
        return cls(run=run, step=step, **judged, **facts, matrix=numbers)


def _facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the description fills."""
    sites = description["sites"]
    facts = {name: tuple(sites[name]) for name in ("names", "layers", "layer_types", "kinds", "num_parameters", "activations")}
    facts.update({name: tuple(sites[name]) for name in ("inputs_known", "stretches", "are_heads")})
    facts["inputs"] = _tuples(sites["inputs"])
    facts["output_shapes"] = _tuples(sites["output_shapes"])
    return {"model": description["model"], "statistics": tuple(description["statistics"]), **facts}


def _tuples(lists: Sequence[Sequence[int] | None]) -> tuple[tuple[int, ...] | None, ...]:
    return tuple(None if each is None else tuple(each) for each in lists)
