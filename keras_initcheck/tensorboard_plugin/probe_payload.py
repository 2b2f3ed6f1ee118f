"""Builds the JSON payload of the `/probe` route: verdict, findings and the table of sites.

Imported by the first request for it and not before, as `figures` is.
"""

import functools

from tensorboard import errors

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.json_values import encode
from keras_initcheck.outputs.log_reading import read_description, read_judgement
from keras_initcheck.outputs.logged import Description, Judgement
from keras_initcheck.outputs.site_columns import site_columns
from keras_initcheck.tensorboard_plugin.documents import inflate, parse
from keras_initcheck.tensorboard_plugin.event_reader import NUM_KEPT
from keras_initcheck.tensorboard_plugin.series import LoggedProbe, Series

UNKNOWN = Judgement(
    False, "TensorBoard's sample of the log does not contain the findings of this step.", 0, ()
)


def probe_payload(series: Series, probe: LoggedProbe) -> object:
    """Builds the payload of one probe.

    Raises:
        errors.InvalidArgumentError: Another version of this package or another program wrote it.
    """
    data = figure_data_of(series, probe)
    columns = [encode(column) for column in site_columns(data)]
    severities = [data.severity_at(index) for index in range(len(data))]
    judgement = encode(_judgement(probe))
    return {
        **judgement,
        "severity": probe.severity,
        "table": {"columns": columns, "severities": severities},
    }


def figure_data_of(series: Series, probe: LoggedProbe) -> FigureData:
    """Reads a probe into the form that figures and tables use.

    Raises:
        errors.InvalidArgumentError: Another version of this package or another program wrote it.
    """
    first = None
    try:
        judgement = _judgement(probe)
        description = _description(series.content)
        if probe.first is not None:
            before = probe.first
            first = FigureData.from_log(description, before.matrix, UNKNOWN, before.step)
        return FigureData.from_log(
            description, probe.matrix, judgement, probe.step, series.label, first
        )
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from error


@functools.lru_cache(NUM_KEPT)
def _description(content: bytes) -> Description:
    """Cached, because all probes of a figure over steps have the same description."""
    return read_description(parse(content))


def _judgement(probe: LoggedProbe) -> Judgement:
    return UNKNOWN if probe.findings is None else read_judgement(parse(inflate(probe.findings)))
