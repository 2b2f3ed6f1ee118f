"""Templates of the HTML pages: where texts from elsewhere are cleaned and escaped, always.

Whatever a template prints goes through `one_line` and then through autoescape. Markup comes from
the files in `page/` alone, and from `prose`, which adds `<code>` to text that is escaped already.
"""

import base64
import functools
import gzip
import math
import re
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from keras_initcheck.outputs import summary
from keras_initcheck.outputs.cleaning import one_line
from keras_initcheck.outputs.figures.palette import DARK, LIGHT

PACKAGE, FOLDER = "keras_initcheck.outputs", "page"

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
"""Content security policy of a page: it asks nobody for anything."""


def fill(template: str, **values: Any) -> str:
    """The text of a template of `page/`, filled with those values."""
    return _environment().get_template(template).render(values)


def prose(text: str) -> Markup:
    """A sentence of a rule: escaped, with what stands between backticks as code.

    >>> prose("`<b>` grows")
    Markup('<code>&lt;b&gt;</code> grows')
    """
    escaped = str(escape(one_line(text)))  # a `Markup` would escape what is put into it
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", escaped))


def javascript(value: float | str | None) -> str:
    """A number as JavaScript reads it, `""` for none.

    >>> javascript(-math.inf), javascript(0.5), javascript(None), javascript("relu")
    ('-Infinity', '0.5', '', '')
    """
    if value is None or isinstance(value, str) or math.isnan(value):
        return ""
    return repr(value).replace("inf", "Infinity")


def pack(text: str) -> Markup:
    """`text` as gzip in base64, the same each time. It holds no tag, whatever the text holds."""
    return Markup(base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode())


@functools.cache
def _environment() -> Environment:
    """Kept for the process, because compiling the templates takes longer than filling them."""
    environment = Environment(
        loader=PackageLoader(PACKAGE, FOLDER),
        autoescape=True,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(prose=prose, javascript=javascript, packed=pack)
    environment.globals.update(
        asset=_asset, dark=DARK, light=LIGHT, plotly=get_plotlyjs(), policy=POLICY, summary=summary
    )
    return environment


def _clean(value: object) -> object:
    """Texts on one line, without what a terminal or a browser acts on; markup and numbers as is."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> Markup:
    return Markup(resources.files(PACKAGE).joinpath(FOLDER, name).read_text(encoding="utf-8"))
