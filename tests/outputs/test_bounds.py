"""Pages of reports that are far too large: bounded, and they say what was left out."""

import re

import pytest

from keras_initcheck.outputs import console
from keras_initcheck.outputs.cell_text import wrap
from keras_initcheck.outputs.cleaning import LONGEST, one_line
from keras_initcheck.outputs.html_findings import MOST_FINDINGS
from keras_initcheck.outputs.html_report import render as render_html
from keras_initcheck.outputs.markdown import render_verdict

HUGE = "a" * 5_000_000


def test_long_word_is_wrapped_in_linear_time():
    assert wrap("a" * LONGEST, 10) == ["a" * 10] * (LONGEST // 10)


def test_text_beyond_the_bound_is_counted():
    assert " ".join(wrap(HUGE, 80)[-2:]).endswith("… (4996000 more characters)")
    assert one_line(HUGE) == f"{HUGE[:LONGEST]}… (4996000 more characters)"


@pytest.mark.parametrize(
    "show",
    [console.render, render_html, lambda report: render_verdict(report, 100)],
    ids=["console", "html", "markdown"],
)
def test_message_of_five_megabytes_is_bounded(make, show):
    page = show(make.report(findings=[make.finding("plain0", message=HUGE)]))
    assert max(map(len, re.findall("a+", page.replace("\n", "").replace(" ", "")))) <= LONGEST
    assert "more characters)" in " ".join(page.split())


def test_page_shows_two_thousand_findings_and_counts_the_others(make):
    text = render_html(
        make.report(findings=[make.finding(f"dense_{index}") for index in range(5_000)])
    )
    assert text.count("<article") == MOST_FINDINGS == 2_000
    assert "And 3000 more findings" in text


def test_terminal_shows_sixty_codes_and_counts_the_others(make):
    text = console.render(
        make.report(findings=[make.finding("plain0", code=f"IC{index:03}") for index in range(500)])
    )
    assert "and 440 more findings of 440 other codes" in text
    assert len(text.splitlines()) < 300


def test_many_findings_of_many_sites_are_looked_up_once_each(make):
    sites = [make.other(index, f"pass_{index}", "Dropout", "pass") for index in range(2_000)]
    report = make.report(sites, [make.finding(f"pass_{index % 2_000}") for index in range(20_000)])
    assert "IC102 and 19988 more like it" in console.render(report)
