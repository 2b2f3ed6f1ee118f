"""What the tab says of a logged probe: verdict, findings and the table of sites as plain values.
Needs no plotly.

Imported by the first request for it and not before, as `drawing` is.
"""

import functools

from tensorboard import errors

from keras_initcheck.outputs.figure_data import FigureData, read_description, read_judgement
from keras_initcheck.outputs.json_format import encode
from keras_initcheck.outputs.logged import Description, Judgement
from keras_initcheck.outputs.site_columns import site_columns
from keras_initcheck.tensorboard_plugin.documents import inflate, parse
from keras_initcheck.tensorboard_plugin.event_reader import NUM_KEPT, LoggedProbe, Series

UNKNOWN = Judgement(
    False, "TensorBoard's sample of the log does not hold the findings of this step.", 0, ()
)


def probe_payload(series: Series, probe: LoggedProbe) -> object:
    """The verdict, the findings and the table of sites of one probe.

    Raises:
        errors.InvalidArgumentError: Another version of this package wrote it, or something else.
    """
    frame = frame_of(series, probe)
    columns = [encode(column) for column in site_columns(frame)]
    severities = [frame.severity_at(index) for index in range(len(frame))]
    judgement = encode(_judgement(probe))
    return {
        **judgement,
        "severity": probe.severity,
        "table": {"columns": columns, "severities": severities},
    }


def frame_of(series: Series, probe: LoggedProbe) -> FigureData:
    """The probe as figures and tables see it.

    Raises:
        errors.InvalidArgumentError: Another version of this package wrote it, or something else.
    """
    try:
        return FigureData.from_log(
            _description(series.content), probe.matrix, _judgement(probe), probe.step, series.label
        )
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from error


@functools.lru_cache(NUM_KEPT)
def _description(content: bytes) -> Description:
    """A figure over steps needs the same one for each of its probes."""
    return read_description(parse(content))


def _judgement(probe: LoggedProbe) -> Judgement:
    return UNKNOWN if probe.findings is None else read_judgement(parse(inflate(probe.findings)))
