"""The files that the tab is made of, from a fixed list: whatever is not on it is not there."""

import functools
import gzip
import importlib.util
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
    """The file that the request's path ends in.

    Raises:
        errors.NotFoundError: It is none of them.
    """
    name = request.path.rpartition("/static/")[2]
    if name in FILES:
        return http_util.Respond(request, (DIRECTORY / name).read_bytes(), FILES[name])
    if name != PLOTLY:
        raise errors.NotFoundError(f"The tab has no such file. Received: {request.path!r}.")
    if plotly_path() is None:
        raise errors.NotFoundError(
            "plotly is not installed where TensorBoard runs, or is too old: pip install --upgrade"
            " plotly"
        )
    return http_util.Respond(
        request,
        _compressed_plotly(),
        JAVASCRIPT,
        expires=SECONDS_TO_KEEP_PLOTLY,
        content_encoding="gzip",
    )


@functools.cache
def plotly_path() -> Path | None:
    """Where the installed plotly keeps its JavaScript, without importing plotly; `None` where there
    is none.
    """
    try:
        package = importlib.util.find_spec("plotly")
    except (ImportError, ValueError):
        return None
    places = (package.submodule_search_locations if package else None) or ()
    paths = [Path(place) / "package_data" / PLOTLY for place in places]
    return next((path for path in paths if path.is_file()), None)


@functools.cache
def _compressed_plotly() -> bytes:
    """Compressed once: it is large enough for that to be noticed."""
    path = plotly_path()
    assert path is not None, "the caller has looked"
    return gzip.compress(path.read_bytes(), COMPRESSION, mtime=0)
