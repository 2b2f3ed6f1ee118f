"""Records of what an event log holds of a probe beside its numbers.

They are written by `events` and read by `log_reading`.
"""

from dataclasses import dataclass

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.structure import SiteKind


@dataclass(frozen=True)
class LoggedSites:
    """Facts about the sites that do not change while a model is trained, each for all sites.

    Attributes:
        names: Paths of the sites.
        layers: Paths of their layers.
        layer_types: Class names.
        kinds: What `SiteStats.kind` says.
        inputs: Indices of the sites whose outputs each site received.
        inputs_known: What `SiteStats.inputs_known` says.
        output_shapes: Shape of one sample's output, or `None`.
        num_parameters: Number of weights; 0 at further calls of the same layer.
        activations: Name of the activation that follows, or `None`.
        are_heads: Whether no other weight layer comes after it.
        unpredicted: What `SiteStats.unpredicted` says at the first probe of the log.
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    layer_types: tuple[str, ...]
    kinds: tuple[SiteKind, ...]
    inputs: tuple[tuple[int, ...], ...]
    inputs_known: tuple[bool, ...]
    output_shapes: tuple[tuple[int, ...] | None, ...]
    num_parameters: tuple[int, ...]
    activations: tuple[str | None, ...]
    are_heads: tuple[bool, ...]
    unpredicted: tuple[str | None, ...]


@dataclass(frozen=True)
class Description:
    """The rows and columns of a probe's matrix.

    Attributes:
        version: Of this record.
        content: `"statistics"`.
        model: Name of the model.
        statistics: Names of the columns.
        sites: The rows.
    """

    version: int
    content: str
    model: str
    statistics: tuple[str, ...]
    sites: LoggedSites


@dataclass(frozen=True)
class Judgement:
    """The verdict of the rules.

    Attributes:
        ok: Whether there is neither a warning nor an error.
        verdict: One sentence.
        num_findings: Number of findings, those that were not logged included.
        findings: The findings, worst first, or the first of them.
    """

    ok: bool
    verdict: str
    num_findings: int
    findings: tuple[Finding, ...]
