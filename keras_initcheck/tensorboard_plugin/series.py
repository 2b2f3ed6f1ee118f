"""The series of probes that a run holds: their records, and how they are found among its tags."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorboard.data import provider

from keras_initcheck.tensorboard_plugin.documents import NoDocumentError, parse
from keras_initcheck.tensorboard_plugin.log_format import (
    FINDINGS_TAGS,
    FIRST,
    RUN,
    matrix_tag,
    parse_matrix_tag,
)

Tags = Mapping[str, provider.TensorTimeSeries]


@dataclass(frozen=True)
class Series:
    """The probes of one run that have the same sites.

    Attributes:
        context: TensorBoard's request context.
        experiment: TensorBoard's experiment.
        run: Name of the run.
        sites: Hash of the list of sites.
        content: The description that `outputs.events` wrote, as JSON.
        model: Name of the model.
        num_sites: Number of sites.
        first_step: Step of the run's first probe, or `None` if that probe has other sites.
        last_step: Step of the newest probe.
        stamp: A text that changes with every new probe.
        tags: Names of the tags that hold the probes.
    """

    context: Any = field(repr=False, compare=False)
    experiment: str
    run: str
    sites: str
    content: bytes = field(repr=False, compare=False)
    model: str
    num_sites: int
    first_step: int | None
    last_step: int
    stamp: str
    tags: tuple[str, ...]

    @property
    def label(self) -> str:
        """The run's name without the directory that ends every name."""
        return self.run.removesuffix(f"/{RUN}")

    def summary(self) -> dict[str, object]:
        """The series as `/series` describes it."""
        return {
            "run": self.run,
            "label": self.label,
            "sites": self.sites,
            "model": self.model,
            "num_sites": self.num_sites,
            "first_step": self.first_step,
            "last_step": self.last_step,
            "stamp": self.stamp,
        }


@dataclass(frozen=True, eq=False)
class LoggedProbe:
    """One probe as it was logged.

    Attributes:
        step: Number of training steps that had been taken.
        wall_time: Seconds since 1970.
        matrix: Numbers, `(sites, statistics)`.
        findings: JSON compressed with zlib, or `None` if TensorBoard's sample contains the matrix
            of the step but not its findings.
        severity: The worst severity of the findings, `"ok"` if there are none, or `None` if they
            are unknown.
        first: The first probe of the series, which alone predicts signal and gradient; `None` for
            that probe itself.
    """

    step: int
    wall_time: float
    matrix: Any
    findings: bytes | None
    severity: str | None
    first: "LoggedProbe | None" = field(default=None, repr=False)


def series_of_run(context: Any, experiment: str, run: str, tags: Tags) -> Iterator[Series]:
    """Yields the series of a run, beginning with the one that contains the run's first probe.

    Series whose description is not one of this package are left out: they must not hide others.

    Args:
        context: TensorBoard's request context.
        experiment: TensorBoard's experiment.
        run: Name of the run.
        tags: The run's tags that belong to this plugin.
    """
    by_sites: dict[str, dict[str, provider.TensorTimeSeries]] = {}
    for tag, matrix in tags.items():
        if parsed := parse_matrix_tag(tag):
            kind, sites = parsed
            by_sites.setdefault(sites, {})[kind] = matrix
    findings = [tags[tag] for tag in FINDINGS_TAGS if tag in tags]
    for sites, by_kind in sorted(
        by_sites.items(), key=lambda item: (FIRST not in item[1], _last_step(item[1].values()))
    ):
        content = next(iter(by_kind.values())).plugin_content
        model_and_size = _model_and_size(content)
        if model_and_size is not None:
            yield Series(
                context,
                experiment,
                run,
                sites,
                content,
                *model_and_size,
                first_step=by_kind[FIRST].max_step if FIRST in by_kind else None,
                last_step=_last_step(by_kind.values()),
                stamp=_stamp([*by_kind.values(), *findings]),
                tags=tuple(matrix_tag(kind, sites) for kind in by_kind),
            )


def _last_step(matrices: Iterable[provider.TensorTimeSeries]) -> int:
    return max(int(each.max_step) for each in matrices)


def _stamp(data: Iterable[provider.TensorTimeSeries]) -> str:
    return json.dumps([[each.max_step, each.max_wall_time] for each in data])


def _model_and_size(content: bytes) -> tuple[str, int] | None:
    """The model's name and the number of sites, or `None` if the content has another form.

    Errors in the rest of a description are reported where it is used.
    """
    try:
        description = parse(content)
    except NoDocumentError:
        return None
    sites, model = description.get("sites"), description.get("model")
    names = sites.get("names") if isinstance(sites, dict) else None
    if not isinstance(names, list):
        return None
    return model if isinstance(model, str) else "", len(names)
