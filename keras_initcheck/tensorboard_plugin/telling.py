"""What the tab says of a logged probe: verdict, findings and the table of sites as plain values. Needs no plotly.

Imported by the first request for it and not before, as `drawing` is.
"""

import json

from tensorboard import errors

from keras_initcheck.outputs.frame import Frame
from keras_initcheck.outputs.json_format import encode
from keras_initcheck.outputs.site_columns import site_columns
from keras_initcheck.tensorboard_plugin.log import Probe, Series

UNKNOWN = {
    "ok": False,
    "verdict": "TensorBoard's sample of the log does not hold the findings of this step.",
    "num_findings": 0,
    "findings": (),
}


def tell(series: Series, probe: Probe) -> object:
    """The verdict, the findings and the table of sites of one probe."""
    frame = frame_of(series, probe)
    columns = [encode(column) for column in site_columns(frame)]
    severities = [frame.severity_at(index) for index in range(len(frame))]
    return {**_judged(probe), "severity": probe.severity, "table": {"columns": columns, "severities": severities}}


def frame_of(series: Series, probe: Probe) -> Frame:
    """The probe as figures and tables see it.

    Raises:
        errors.InvalidArgumentError: Another version of this package wrote it.
    """
    try:
        return Frame.from_log(series.description, probe.matrix, _judged(probe), probe.step, series.label)
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from error


def _judged(probe: Probe) -> dict[str, object]:
    return dict(UNKNOWN) if probe.findings is None else dict(json.loads(probe.findings))
