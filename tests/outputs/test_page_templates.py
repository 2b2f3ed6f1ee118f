"""Templates clean and escape whatever they print, unless it is markup of their own."""

from importlib import resources

import pytest
from markupsafe import Markup

from keras_initcheck.outputs import page_templates
from keras_initcheck.outputs.page_templates import prose


@pytest.fixture
def printed():
    """`printed(value)`: what a template makes of a value."""
    environment = page_templates._environment()
    return lambda value: environment.from_string("{{ value }}").render(value=value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<script>\n'x'", "&lt;script&gt; &#39;x&#39;"),
        ('" onclick="x', "&#34; onclick=&#34;x"),
        ("\x1b[31m\u202e", "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"),
        (7, "7"),
        (Markup("<b>"), "<b>"),
    ],
    ids=["markup", "attribute", "control", "number", "own markup"],
)
def test_what_a_template_prints_is_cleaned_and_escaped(printed, value, expected):
    assert printed(value) == expected


def test_prose_marks_code_and_nothing_else(printed):
    assert printed(prose("`<b>` & <i>`")) == "<code>&lt;b&gt;</code> &amp; &lt;i&gt;`"


def test_no_template_switches_escaping_off():
    pages = resources.files("keras_initcheck.outputs").joinpath("page").iterdir()
    texts = [page.read_text("utf-8") for page in pages if page.name.endswith((".html", ".css"))]
    assert len(texts) == 6
    assert not [text for text in texts if "autoescape" in text or "| safe" in text]
