"""Serves the tab's files from a fixed list; a path that is not on the list does not exist."""

import functools
import gzip
import importlib.metadata
from pathlib import Path
from types import MappingProxyType

from tensorboard import errors
from tensorboard.backend import http_util
from werkzeug import wrappers

DIRECTORY = Path(__file__).parent / "static"

JAVASCRIPT, STYLE = "text/javascript", "text/css"

FILES = MappingProxyType(
    {
        "api.js": JAVASCRIPT,
        "chart.js": JAVASCRIPT,
        "controls.js": JAVASCRIPT,
        "elements.js": JAVASCRIPT,
        "findings.js": JAVASCRIPT,
        "host.js": JAVASCRIPT,
        "index.js": JAVASCRIPT,
        "page.js": JAVASCRIPT,
        "plotly.js": JAVASCRIPT,
        "state.js": JAVASCRIPT,
        "table.js": JAVASCRIPT,
        "details.css": STYLE,
        "page.css": STYLE,
        "theme.css": STYLE,
    }
)
"""Names and content types. Python's own table of types depends on the machine."""

PLOTLY = "plotly.min.js"
SECONDS_TO_KEEP_PLOTLY = 24 * 60 * 60
COMPRESSION = 3


def static_file(request: wrappers.Request) -> wrappers.Response:
    """Serves the file at the end of the request's path.

    Raises:
        errors.NotFoundError: The list does not contain it.
        ImportError: plotly is not installed.
    """
    name = request.path.rpartition("/static/")[2]
    if name in FILES:
        return http_util.Respond(request, (DIRECTORY / name).read_bytes(), FILES[name])
    if name != PLOTLY:
        raise errors.NotFoundError(f"The tab has no such file. Received: {request.path!r}.")
    return http_util.Respond(
        request,
        _compressed_plotly(),
        JAVASCRIPT,
        expires=SECONDS_TO_KEEP_PLOTLY,
        content_encoding="gzip",
    )


@functools.cache
def _compressed_plotly() -> bytes:
    """The JavaScript of the installed plotly, found without the time that its import takes.

    Compressed once, because 5 MB take long enough to be noticed.
    """
    plotly = importlib.metadata.distribution("plotly")
    path = Path(str(plotly.locate_file(f"plotly/package_data/{PLOTLY}")))
    return gzip.compress(path.read_bytes(), COMPRESSION, mtime=0)
