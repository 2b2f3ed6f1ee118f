"""Reads logged probes through TensorBoard's data provider. Nothing is drawn or judged here.

A run holds, for each list of sites, a tag with the first probe and a tag with all probes;
TensorBoard keeps a sample of the steps of the second. Here both become one series again, sorted by
step: only the newest probe of each step counts, and the first probe is always included.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard import errors
from tensorboard.data import provider

from keras_initcheck.tensorboard_plugin.documents import MOST_BYTES, NoDocumentError, inflate, parse
from keras_initcheck.tensorboard_plugin.log_format import (
    FINDINGS_TAGS,
    severity_of,
    split_findings,
)
from keras_initcheck.tensorboard_plugin.series import LoggedProbe, Series, series_of_run

ALL = 1_000_000
"""More than any series holds: the provider's own limit is the one that counts."""

NUM_KEPT = 8
"""Series that are kept in memory; 1000 probes of 100 sites take 9 MB."""

MOST_UNPACKED = 16 * MOST_BYTES
"""Bytes of findings that are unpacked for one series to find their severities.

Only logs of version 1 need this. A thousand probes with a hundred findings each have 70 MB.
"""


class EventReader:
    """Reads a plugin's series; those that were read last are kept in memory.

    Args:
        data_provider: TensorBoard's access to the log directory.
        plugin: Name of the plugin.
    """

    def __init__(self, data_provider: provider.DataProvider, plugin: str) -> None:
        self._provider = data_provider
        self._plugin = plugin
        self._kept: OrderedDict[tuple[str, str, str], tuple[str, tuple[LoggedProbe, ...]]] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    def series(self, context: Any, experiment: str, run: str | None = None) -> list[Series]:
        """Returns the series of one run, or of all, sorted by run and age."""
        runs = provider.RunTagFilter(runs=None if run is None else [run])
        found = self._provider.list_tensors(
            context, experiment_id=experiment, plugin_name=self._plugin, run_tag_filter=runs
        )
        return [
            series
            for name in sorted(found, key=_natural_order)
            for series in series_of_run(context, experiment, name, found[name])
        ]

    def probes(self, series: Series) -> tuple[LoggedProbe, ...]:
        """Returns the probes of a series by step; the log is read only if there are new ones."""
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
        """Returns the probe at a step.

        Raises:
            errors.NotFoundError: There is none.
        """
        for probe in self.probes(series):
            if probe.step == step:
                return probe
        raise errors.NotFoundError(
            f"No probe at step {step} of run {series.run!r}. `/steps` lists the steps that exist."
        )

    def _read(self, series: Series) -> tuple[LoggedProbe, ...]:
        tags = self._tensors(series)
        matrices = _newest_by_step(tags.get(tag, ()) for tag in series.tags)
        findings = {
            step: split_findings(_strings(datum))
            for step, datum in _newest_by_step(tags.get(tag, ()) for tag in FINDINGS_TAGS).items()
            if step in matrices
        }
        severities = _severities(findings)
        probes: list[LoggedProbe] = []
        for step, datum in sorted(matrices.items()):
            packed = findings[step][1] if step in findings else None
            first = probes[0] if probes else None
            probes.append(
                LoggedProbe(step, datum.wall_time, datum.numpy, packed, severities.get(step), first)
            )
        return tuple(probes)

    def _tensors(self, series: Series) -> Mapping[str, Iterable[provider.TensorDatum]]:
        """The tensors of a series, and the findings of its run, by tag."""
        wanted = provider.RunTagFilter(runs=[series.run], tags=[*series.tags, *FINDINGS_TAGS])
        try:
            found = self._provider.read_tensors(
                series.context,
                experiment_id=series.experiment,
                plugin_name=self._plugin,
                downsample=ALL,
                run_tag_filter=wanted,
            )
        except (ValueError, TypeError) as error:  # how TensorBoard's reader meets a broken tensor
            raise errors.InvalidArgumentError(
                f"The run {series.run!r} cannot be read: another program wrote it. {error}"
            ) from error
        tensors: Mapping[str, Iterable[provider.TensorDatum]] = found.get(series.run, {})
        return tensors


def _newest_by_step(
    series: Iterable[Iterable[provider.TensorDatum]],
) -> dict[int, provider.TensorDatum]:
    """The newest datum of each step.

    TensorBoard's two readers differ in how they treat a step that occurs twice.
    """
    data = sorted(
        (datum for each in series for datum in each), key=lambda datum: float(datum.wall_time)
    )
    return {datum.step: datum for datum in data}


def _strings(datum: provider.TensorDatum) -> list[object]:
    """The strings in a tensor; empty if it holds something else."""
    is_text = datum.numpy.size <= 2 and datum.numpy.dtype.kind in "SO"
    return list(datum.numpy.reshape(-1).tolist()) if is_text else []


def _severities(findings: Mapping[int, tuple[str | None, bytes]]) -> dict[int, str]:
    """The severities by step, as far as they are known.

    Logs of version 1 do not contain them: their findings are unpacked, up to a limit.
    """
    severities: dict[int, str] = {}
    left = MOST_UNPACKED
    for step, (severity, packed) in findings.items():
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


def _natural_order(run: str) -> list[tuple[bool, int, str]]:
    """A key that sorts `initcheck_10` after `initcheck_9`."""
    parts = enumerate(re.split(r"([0-9]+)", run))  # every second part is a number
    return [(not place % 2, int(part) if place % 2 else 0, part) for place, part in parts]
