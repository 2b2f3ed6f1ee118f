"""The verdict as markdown, turned into HTML by TensorBoard's own renderer."""

from html.parser import HTMLParser

import pytest
from tensorboard.plugin_util import markdown_to_safe_html

from keras_initcheck.outputs.markdown import escape, render_verdict
from keras_initcheck.records.report import Report

TABLE_TAGS = {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """Text of each table cell, and the tags that were met."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.cells, self.text = set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.text = ""

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag == "td":
            self.cells.append(self.text)


def shown(text):
    """`text` as a reader sees it."""
    page = Page(markdown_to_safe_html(f"|a|b|\n|---|---|\n|{escape(text)}|end|"))
    assert page.tags == TABLE_TAGS - {"p", "strong"}
    assert page.cells[1:] == ["end"]
    return page.cells[0]


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "<script>alert(1)</script>",
        "`code`",
        "*a* **b** _c_ ~~d~~",
        "[link](javascript:alert(1))",
        "![image](x.png)",
        "&lt; &#124; &",
        "# heading",
        "a\\|b\\",
        "https://example.org",
        "größe/層/🙂",
    ],
)
def test_text_is_shown_literally_in_a_table(text):
    assert shown(text) == text


def test_line_breaks_do_not_end_a_row():
    assert shown("a\n\nb\r\nc\td") == "a b c d"


def test_control_characters_are_replaced():
    assert escape("a\x1b\u202eb\ud800") == "a��b�"


def test_verdict_and_findings_are_a_table(make):
    finding = make.finding(
        "a|b", severity="warning", message="It *grows*.", fix="Use `he_normal`.", expected="< 2"
    )
    page = Page(markdown_to_safe_html(render_verdict(make.report(findings=[finding]), 10)))
    assert page.tags == TABLE_TAGS
    assert page.cells == [
        "!",
        "IC102 forward-gain",
        "a|b",
        "It *grows*.",
        "9.10",
        "< 2",
        "Use `he_normal`.",
    ]


def test_nasty_names_stay_in_their_cells(make):
    report = make.report(findings=[make.finding(name) for name in make.nasty_names])
    page = Page(markdown_to_safe_html(render_verdict(report, 10)))
    assert page.tags == TABLE_TAGS
    assert len(page.cells) == 7 * len(make.nasty_names)
    assert page.cells[9] == "[red]markup[/red]"


def test_findings_beyond_the_limit_are_counted(make):
    text = render_verdict(
        make.report(findings=[make.finding(f"site{number}") for number in range(5)]), 2
    )
    assert "site1" in text
    assert "site2" not in text
    assert text.endswith("\n\nAnd 3 more.")


def test_finding_about_the_network_or_a_layer_says_so(make):
    findings = [make.finding(None), make.finding(None, layer="dense")]
    page = Page(markdown_to_safe_html(render_verdict(make.report(findings=findings), 10)))
    assert [page.cells[2], page.cells[9]] == ["whole network", "dense"]


def test_healthy_report_is_its_verdict(make):
    report = make.report(model="my_net")
    assert isinstance(report, Report)
    assert (
        render_verdict(report, 10)
        == "**my&#95;net&#58; healthy. No layer loses or blows up the signal.**"
    )
