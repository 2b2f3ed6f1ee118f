"""The report: a profile and the findings in it.

The report's methods that render it import their renderer themselves. This is the only place where
a record knows an output: users ask the report for its text, figures and files, and a record that
imported its renderers with itself would load rich and plotly wherever a number is kept.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_initcheck.records.finding import SEVERITIES, Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.record import Record
from keras_initcheck.records.trial import Trial

MAX_MEBIBYTES = 64
"""Length of the longest JSON text that is read unless the caller allows more: a site with its
weights takes about 6 KB, the largest models that Keras brings along 10 MB.
"""


@dataclass(frozen=True, eq=False)
class MeanFieldSummary(Record):
    """Depth scales of the longest run of similar layers, by mean field theory from their weights.

    Attributes:
        reason: The reason why there are none, in words; `None` if there are. All other attributes
            have their defaults then.
        first: Name of the run's first site.
        last: Name of its last site.
        num_layers: Number of its layers.
        activation: The activation after each layer.
        weight_variance: `σ_w² = n E[w²]`, geometric mean over the layers.
        bias_variance: `σ_b²`, mean over the layers.
        second_moment: `q` of the pre-activations for which the rest is computed: the fixed point
            `q*` if it is reached within the run, else the measured value.
        chi1: `χ1`, the factor by which each layer multiplies the gradient's second moment there.
        correlation: `c*`, the limit of the correlation of two inputs; 1 if they become alike.
        correlation_scale: `ξ_c`, number of layers over which the distance from `c*` falls by a
            factor of e; `inf` if it does not fall exponentially.
        gradient_scale: `ξ_∇ = 1 / |ln χ1|`, number of layers over which the gradient's second
            moment changes by a factor of e.
        sentence: The same in words, beside the number of layers.
    """

    reason: str | None = None
    first: str = ""
    last: str = ""
    num_layers: int = 0
    activation: str = ""
    weight_variance: float = math.nan
    bias_variance: float = math.nan
    second_moment: float = math.nan
    chi1: float = math.nan
    correlation: float = math.nan
    correlation_scale: float = math.nan
    gradient_scale: float = math.nan
    sentence: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Report(Record):
    """A profile and the findings that the rules made in it.

    `print(report)` shows a table as wide as the terminal, warnings and errors, a line for each
    note, and the verdict; a notebook shows a figure as well. `report.details()` has all of it.

    Attributes:
        profile: The measured numbers.
        findings: The findings, worst first.
        num_exempted: Number of findings that were left out because the user exempted their layers.
        mean_field: Depth scales by mean field theory; `None` where they were not computed.
    """

    profile: Profile
    findings: tuple[Finding, ...] = ()
    num_exempted: int = 0
    mean_field: MeanFieldSummary | None = None

    @property
    def trial(self) -> Trial | None:
        """The training steps that were made and taken back, where they were asked for."""
        return self.profile.trial

    @property
    def ok(self) -> bool:
        """Whether there is neither a warning nor an error."""
        return all(finding.severity == "info" for finding in self.findings)

    @property
    def worst(self) -> str | None:
        """The worst severity among the findings, `None` if there are none."""
        present = [finding.rank for finding in self.findings]
        return SEVERITIES[max(present)] if present else None

    def count(self, severity: str) -> int:
        """Number of findings of that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def new_findings(self, baseline: "Report") -> tuple[Finding, ...]:
        """Warnings and errors that an earlier report lacks, or has with a lower severity.

        Args:
            baseline: An earlier report on the same model.

        Raises:
            ValueError: `baseline` is a report on another model.
        """
        pairs, _ = self._compared(baseline)
        return tuple(
            finding
            for finding, before in pairs
            if finding.rank > (0 if before is None else before.rank)
        )

    def resolved_findings(self, baseline: "Report") -> tuple[Finding, ...]:
        """Warnings and errors of an earlier report that this one lacks, even as information.

        Args:
            baseline: An earlier report on the same model.

        Raises:
            ValueError: `baseline` is a report on another model.
        """
        _, left = self._compared(baseline)
        return tuple(finding for finding in left if finding.severity != "info")

    def _compared(
        self, baseline: "Report"
    ) -> tuple[list[tuple[Finding, Finding | None]], list[Finding]]:
        """Pairs each finding with its counterpart in the baseline, worst with worst.

        Returns:
            The pairs, and the findings of the baseline without a counterpart.
        """
        self._check_model(baseline)
        left, pairs = list(baseline.findings), []
        for finding in self.findings:
            before = next((each for each in left if finding.is_like(each)), None)
            if before is not None:
                left.remove(before)
            pairs.append((finding, before))
        return pairs, left

    def _check_model(self, baseline: "Report") -> None:
        """Refuses a baseline of another model.

        Keras numbers models, so that names may differ from run to run; the same sites prove that
        the model is the same.
        """
        sites = [[site.name for site in report.profile.sites] for report in (self, baseline)]
        if self.profile.model != baseline.profile.model and sites[0] != sites[1]:
            raise ValueError(
                f"`baseline` must be a report on the model {self.profile.model!r}. Received: one on"
                f" {baseline.profile.model!r}. Save one of this model as JSON."
            )

    @property
    def verdict(self) -> str:
        """The model is healthy, or the headline of the worst finding and the number of others.

        Where layers with weights were not probed, the verdict names them, and the share of the
        parameters that it is about.
        """
        if self.ok:
            from keras_initcheck.outputs.coverage_words import healthy

            return f"{self.profile.model}: {healthy(self.profile)}"
        worst = self.findings[0]
        others = self.count("error") + self.count("warning") - 1
        more = f" {others} more finding{'s' * (others > 1)}." if others else ""
        return f"{self.profile.model}: {worst.severity}: {worst.headline}{more}"

    def __repr__(self) -> str:
        return f"<Report {' '.join(self.verdict.split())}>"

    def __str__(self) -> str:
        from keras_initcheck.outputs import console

        return console.render(self)

    def details(self) -> str:
        """The report as text, with every note in full and the formulas of all findings."""
        from keras_initcheck.outputs import console

        return console.render(self, is_verbose=True)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Styled lines for `rich.print(report)`, as wide as rich's console."""
        from keras_initcheck.outputs.console import styled_lines

        yield from styled_lines(self, options.max_width)

    def _repr_html_(self) -> str:
        """The table and the figure of the signal, as a notebook displays them."""
        from keras_initcheck.outputs import notebook

        return notebook.render(self)

    def figure(self, kind: str = "signal", *, dark: bool = False, **options: Any) -> Any:
        """Returns a plotly figure of the report; `.show()` opens it, a notebook displays it.

        Args:
            kind: `"signal"` (signal and gradient over depth), `"ratios"` (the ratios of each
                layer), or another key of `keras_initcheck.outputs.figures.FIGURES`.
            dark: Whether to use colors for a dark background.
            **options: Further arguments of this kind of figure, such as `statistic` of
                `"heat_map"`.

        Raises:
            ValueError: The kind is unknown, or the report lacks the numbers that it shows.
        """
        from keras_initcheck.outputs.figure_data import FigureData
        from keras_initcheck.outputs.figures import draw

        return draw(kind, [FigureData.from_report(self)], dark=dark, **options)

    def save_html(self, path: str | Path) -> None:
        """Writes the report as one HTML file of about 2 MB that works offline.

        The page holds the verdict, the figures, the findings and a sortable table of sites.

        Raises:
            OSError: The file cannot be written.
        """
        from keras_initcheck.outputs.html_report import save_html

        save_html(self, path)

    def to_json(self, indent: int | None = None) -> str:
        """Returns the report as strict JSON.

        NaN and the infinities are written as the strings "NaN", "Infinity" and "-Infinity".

        Args:
            indent: Blanks for each level; one long line by default.
        """
        from keras_initcheck.outputs import json_format

        return json_format.to_json(self, indent=indent)

    def save_json(self, path: str | Path) -> None:
        """Writes `to_json()` to a file.

        Raises:
            OSError: The file cannot be written.
        """
        from keras_initcheck.outputs.files import write_text

        write_text(path, self.to_json(indent=1) + "\n")

    @classmethod
    def from_json(cls, text: str, max_mebibytes: int = MAX_MEBIBYTES) -> "Report":
        """Reads a report that `to_json` wrote.

        Args:
            text: JSON text of any origin.
            max_mebibytes: Length of the longest text to read; reading takes ten times its memory.

        Raises:
            ValueError: `text` is not such a report, comes from a newer version of this package, or
                is too long.
        """
        from keras_initcheck.outputs import json_format

        return json_format.from_json(text, max_mebibytes)
