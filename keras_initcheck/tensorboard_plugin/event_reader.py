"""The probes in TensorBoard's log directory, through TensorBoard's own data provider. Nothing is
drawn or judged here.

A run holds, for each list of sites, a tag with the first probe and a tag with all of them;
TensorBoard samples the steps of the second. Here they are one series again: sorted by step, the
newest of each step, the first probe always among them.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorboard import errors
from tensorboard.data import provider

from keras_initcheck.tensorboard_plugin.documents import MOST_BYTES, NoDocumentError, inflate, parse
from keras_initcheck.tensorboard_plugin.log_format import (
    FINDINGS_TAGS,
    matrix_tag,
    parse_matrix_tag,
    severity_of,
    split_findings,
)

ALL = 1_000_000
"""More than any series holds: the provider's own limit is the one that counts."""

NUM_KEPT = 8
"""Series that are kept in memory; 1000 probes of 100 sites take 9 MB."""

MOST_UNPACKED = 16 * MOST_BYTES
"""Bytes of findings that are unpacked for their severities, of a series whose log does not hold
them; a thousand probes with a hundred findings each have 70 MB.
"""

LONGEST_RUN = 4096
"""Characters of a run's name: no file system has longer paths."""

SITES = re.compile(r"[0-9a-f]{12}")
STEP = re.compile(r"-?[0-9]{1,18}")


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
        first_step: Step of the run's first probe, or `None` where it has other sites.
        last_step: Step of the newest probe.
        stamp: Changes when there is something new.
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
        """The run's name without the directory that every name ends in."""
        return self.run.removesuffix("/initcheck")

    def summary(self) -> dict[str, object]:
        """What the page is told about it."""
        described = {"model": self.model, "num_sites": self.num_sites}
        steps = {"first_step": self.first_step, "last_step": self.last_step}
        return {
            "run": self.run,
            "label": self.label,
            "sites": self.sites,
            **described,
            **steps,
            "stamp": self.stamp,
        }


@dataclass(frozen=True, eq=False)
class LoggedProbe:
    """One probe as it was logged.

    Attributes:
        step: Number of training steps that had been taken.
        wall_time: Seconds since 1970.
        matrix: `(sites, statistics)` numbers.
        findings: JSON packed with zlib, or `None` where TensorBoard's sample has the matrix but not
            the findings of a step.
        severity: The worst severity among the findings, `"ok"` if there are none, `None` where they
            are not known.
    """

    step: int
    wall_time: float
    matrix: Any
    findings: bytes | None
    severity: str | None


class EventReader:
    """What a data provider holds for the plugin of that name. The newest series that were asked for
    are kept in memory.
    """

    def __init__(self, data_provider: provider.DataProvider, plugin: str) -> None:
        self._provider = data_provider
        self._plugin = plugin
        self._kept: OrderedDict[tuple[str, str, str], tuple[str, tuple[LoggedProbe, ...]]] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    def series(self, context: Any, experiment: str, run: str | None = None) -> list[Series]:
        """Every series, or those of that run, by run and age."""
        runs = provider.RunTagFilter(runs=None if run is None else [run])
        found = self._provider.list_tensors(
            context, experiment_id=experiment, plugin_name=self._plugin, run_tag_filter=runs
        )
        return [
            series
            for name in sorted(found, key=_by_number)
            for series in _series_of_run(context, experiment, name, found[name])
        ]

    def probes(self, series: Series) -> tuple[LoggedProbe, ...]:
        """The probes of a series, by step; read again only if there is something new."""
        key = (series.experiment, series.run, series.sites)
        with self._lock:
            stamp, probes = self._kept.get(key, ("", ()))
            if stamp != series.stamp:
                probes = self._read(series)
            self._kept[key] = (series.stamp, probes)
            self._kept.move_to_end(key)
            while len(self._kept) > NUM_KEPT:
                self._kept.popitem(last=False)
        return probes

    def probe(self, series: Series, step: int) -> LoggedProbe:
        """The probe at that step.

        Raises:
            errors.NotFoundError: There is none.
        """
        for probe in self.probes(series):
            if probe.step == step:
                return probe
        raise errors.NotFoundError(
            f"No probe at step {step} of run {series.run!r}. `/steps` lists what there is."
        )

    def _read(self, series: Series) -> tuple[LoggedProbe, ...]:
        wanted = provider.RunTagFilter(runs=[series.run], tags=[*series.tags, *FINDINGS_TAGS])
        try:
            tensors = self._provider.read_tensors(
                series.context,
                experiment_id=series.experiment,
                plugin_name=self._plugin,
                downsample=ALL,
                run_tag_filter=wanted,
            )
        except (
            ValueError,
            TypeError,
        ) as error:  # TensorBoard's own reader, of a tensor that is none
            raise errors.InvalidArgumentError(
                f"The run {series.run!r} cannot be read: something else wrote it. {error}"
            ) from error
        tags = tensors.get(series.run, {})
        matrices = _newest_by_step(tags.get(tag, ()) for tag in series.tags)
        findings = _newest_by_step(tags.get(tag, ()) for tag in FINDINGS_TAGS)
        found = {
            step: split_findings(_strings(each))
            for step, each in findings.items()
            if step in matrices
        }
        severities = _severities(found)
        return tuple(
            LoggedProbe(
                step,
                each.wall_time,
                each.numpy,
                found[step][1] if step in found else None,
                severities.get(step),
            )
            for step, each in sorted(matrices.items())
        )


def parse_series(text: str) -> tuple[str, str]:
    """Sites and run of a series that is addressed as `<sites>/<run>`.

    Raises:
        errors.InvalidArgumentError: It is not addressed like that.
    """
    sites, slash, run = text.partition("/")
    if not slash or not SITES.fullmatch(sites) or len(run) > LONGEST_RUN:
        raise errors.InvalidArgumentError(
            "`series` must be `<sites>/<run>`, with twelve hexadecimal digits of sites. Received:"
            f" {text[:200]!r}."
        )
    return sites, run


def parse_probe(text: str) -> tuple[str, int, str]:
    """Sites, step and run of a probe that is addressed as `<sites>/<step>/<run>`.

    Raises:
        errors.InvalidArgumentError: It is not addressed like that.
    """
    sites, _, rest = text.partition("/")
    step, slash, run = rest.partition("/")
    if (
        not slash
        or not SITES.fullmatch(sites)
        or not STEP.fullmatch(step)
        or len(run) > LONGEST_RUN
    ):
        raise errors.InvalidArgumentError(
            "`probe` must be `<sites>/<step>/<run>`, with a whole number of steps. Received:"
            f" {text[:200]!r}."
        )
    return sites, int(step), run


def _series_of_run(
    context: Any, experiment: str, run: str, tags: Mapping[str, provider.TensorTimeSeries]
) -> Iterator[Series]:
    """The series among the tags of a run, the one with the first probe first."""
    kinds: dict[str, dict[str, provider.TensorTimeSeries]] = {}
    for tag, matrix in tags.items():
        if parsed := parse_matrix_tag(tag):
            kind, sites = parsed
            kinds.setdefault(sites, {})[kind] = matrix
    judged = [tags[tag] for tag in FINDINGS_TAGS if tag in tags]
    for sites, held in sorted(
        kinds.items(), key=lambda item: ("init" not in item[1], _last_step(item[1]))
    ):
        content = next(iter(held.values())).plugin_content
        model_and_size = _model_and_size(content)
        if model_and_size is not None:
            first_step = held["init"].max_step if "init" in held else None
            stamp = json.dumps(
                [[each.max_step, each.max_wall_time] for each in (*held.values(), *judged)]
            )
            names = tuple(matrix_tag(kind, sites) for kind in held)
            yield Series(
                context,
                experiment,
                run,
                sites,
                content,
                *model_and_size,
                first_step,
                _last_step(held),
                stamp,
                names,
            )


def _last_step(held: Mapping[str, provider.TensorTimeSeries]) -> int:
    return max(int(each.max_step) for each in held.values())


def _model_and_size(content: bytes) -> tuple[str, int] | None:
    """Name of the model and number of sites, or `None` if something else was logged under this
    plugin's name.

    One run with something else must not hide the others. What is wrong with the rest of a
    description is told where it is used.
    """
    try:
        description = parse(content)
    except NoDocumentError:
        return None
    sites, model = description.get("sites"), description.get("model")
    names = sites.get("names") if isinstance(sites, dict) else None
    return (
        (model if isinstance(model, str) else "", len(names)) if isinstance(names, list) else None
    )


def _newest_by_step(
    series: Iterable[Iterable[provider.TensorDatum]],
) -> dict[int, provider.TensorDatum]:
    """The newest of the data at each step. TensorBoard's two readers differ in what they do with a
    step that comes twice.
    """
    data = sorted(
        (datum for each in series for datum in each), key=lambda datum: float(datum.wall_time)
    )
    return {datum.step: datum for datum in data}


def _strings(datum: provider.TensorDatum) -> list[object]:
    """The strings in a tensor; empty where there is something else."""
    is_text = datum.numpy.size <= 2 and datum.numpy.dtype.kind in "SO"
    return list(datum.numpy.reshape(-1).tolist()) if is_text else []


def _severities(found: Mapping[int, tuple[str | None, bytes]]) -> dict[int, str | None]:
    """The severity of each step. Logs of version 1 have none beside the findings, which are then
    unpacked as far as the bound allows.
    """
    severities: dict[int, str | None] = {}
    left = MOST_UNPACKED
    for step, (severity, packed) in found.items():
        if severity is None and left > 0:
            try:
                document = inflate(packed)
                severity = severity_of(parse(document))
                left -= len(document)
            except NoDocumentError:
                left -= MOST_BYTES
        if severity is not None:
            severities[step] = severity
    return severities


def _by_number(run: str) -> list[tuple[bool, int, str]]:
    """A key that sorts `initcheck_10` behind `initcheck_9`."""
    parts = enumerate(re.split(r"([0-9]+)", run))  # every second one is a number
    return [(not place % 2, int(part) if place % 2 else 0, part) for place, part in parts]
