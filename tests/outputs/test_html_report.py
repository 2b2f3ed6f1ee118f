"""The HTML pages as text: what stands in them, and that nothing a user named is read as markup. A
browser opens them in tests/browser.
"""

import base64
import gzip
import html.parser
import json
import math
import re
from dataclasses import replace

import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.outputs.html_report import (
    compare_html,
    figure_fragment,
    render,
    render_comparison,
    save_html,
)
from keras_initcheck.records.report import MeanFieldSummary

NASTY = "<script>alert(1)</script>\u2028</title>'\"`&amp;"


class Reader(html.parser.HTMLParser):
    """The elements of a page and the text in them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def figures_in(page):
    packed = re.search(r'id="figures">([^<]*)<', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))["figures"]


def test_verdict_comes_first_then_the_figure_then_findings_then_the_table(make):
    report = make.report(
        findings=[make.finding("plain0")],
        not_probed=(("lambda", "was not called"),),
        versions=(("keras", "3.15.1"),),
    )
    page = render(report)
    order = [
        report.verdict[:20],
        'data-figure="signal"',
        "forward-gain",
        "<table",
        'data-figure="ratios"',
        "was not called",
        "keras 3.15.1",
    ]
    places = [page.index(each, page.index("<body>")) for each in order]
    assert places == sorted(places)


def test_finding_says_what_why_and_fix_and_leads_to_its_layer(make):
    page = render(
        make.report([make.site(0, "dense")], [make.finding("dense", message="`dense` grows.")])
    )
    for each in (
        "IC102",
        "<code>dense</code> grows.",
        "Activations overflow.",
        "Use he_normal.",
        '<a href="#site-0">',
        'id="site-0"',
    ):
        assert each in page


def test_many_findings_of_a_kind_are_folded(make):
    sites = [make.site(index, f"dense{index}") for index in range(9)]
    page = render(make.report(sites, [make.finding(site.name) for site in sites]))
    assert "3 more like it (IC102)" in page
    assert page.count("Activations overflow.") == 1


def test_notes_and_formulas_are_folded(make):
    sites = [make.site(index, f"dense{index}") for index in range(3)]
    notes = [make.finding(site.name, code="IC104", severity="info") for site in sites]
    loud = make.finding("dense0", details="½ n Var[w] = 3", span=("dense0", "dense2"))
    page = render(make.report(sites, [loud, *notes]))
    assert '<details class="notes"><summary>3 notes: IC104</summary>' in page
    assert "<details><summary>Details</summary><p>½ n Var[w] = 3</p></details>" in page
    assert '<a href="#site-0"><code>dense0 … dense2</code></a>' in page


def test_names_are_never_read_as_markup(make):
    found = [make.finding(NASTY, slug=NASTY, message=NASTY, why=NASTY, fix=NASTY)]
    report = make.report(
        [make.site(0, NASTY, layer_type=NASTY, activation=NASTY)],
        found,
        model=NASTY,
        source=NASTY,
        not_probed=((NASTY, NASTY),),
    )
    plain = make.report([make.site(0, "a")], [make.finding("a")], not_probed=(("a", "b"),))
    for page, expected in (
        (render(report), render(plain)),
        (render_comparison([(NASTY, report)] * 2), render_comparison([("a", plain)] * 2)),
    ):
        tags, expected_tags = (
            {tag for tag, _ in Reader(each).elements} for each in (page, expected)
        )
        assert tags == expected_tags
        assert len(Reader(page).all("script")) == len(Reader(expected).all("script")) == 3
        assert "alert(1)" not in Reader(page).text["script"]


def test_page_asks_nobody_for_anything(make):
    page = render(make.report())
    reader = Reader(page)
    assert not [
        each
        for tag, each in reader.elements
        if {"src", "srcset", "data"} & set(each) or (tag == "link")
    ]
    (policy,) = [each["content"] for each in reader.all("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"url\(|@import", reader.text["style"])


def test_page_fits_a_phone_and_both_color_schemes(make):
    reader = Reader(render(make.report()))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.all(
        "meta"
    )
    assert "prefers-color-scheme: dark" in reader.text["style"]
    assert not re.search(r"(LIGHT|DARK)\.", reader.text["style"])


def test_page_is_as_large_as_plotly_packed_and_little_more(make):
    size = len(render(make.report(num_sites=300)).encode())
    assert size < 2_600_000


def test_page_is_the_same_each_time(make):
    assert render(make.report()) == render(make.report())


def test_numbers_can_be_sorted(make):
    sites = [
        make.site(0, "a", 0.125),
        make.site(1, "b", math.inf),
        make.site(2, "c", math.nan),
        make.site(3, "d", forward_ratio=None),
    ]
    page = render(make.report(sites))
    rows = re.findall(r'<tr id="site-\d".*?</tr>', page, re.DOTALL)
    values = [re.findall(r'data-value="([^"]*)"', row)[3] for row in rows]
    assert values == [repr(math.log10(0.125) / 2), "Infinity", "", ""]


def test_figures_hold_a_point_for_each_site(make):
    figures = figures_in(render(make.report(num_sites=5)))
    assert sorted(figures) == ["ratios", "signal"]
    points = [
        trace
        for trace in figures["signal"]["data"]
        if trace["mode"] == "markers" and trace["yaxis"] == "y"
    ]
    assert sum(len(trace["x"]) for trace in points) == 5


def test_network_without_sites_has_a_page(make):
    report = make.report([make.site(0, "a")])
    empty = type(report)(type(report.profile).of("empty", ()))
    page = render(empty)
    assert "empty: healthy" in page
    assert "<table" not in page
    assert figures_in(page) == {}


def test_reports_are_compared_side_by_side(make, tmp_path):
    before, after = (
        make.report(findings=[make.finding("plain0")]),
        make.report(log10_forward_gain=0.0),
    )
    compare_html([("before", before), ("after", after)], tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    for each in (
        "Comparison of 2 probes",
        "<td>before</td>",
        "<td>1 error</td>",
        "<td>healthy</td>",
        "1 finding</summary>",
    ):
        assert each in page
    names = {trace.get("name") for trace in figures_in(page)["signal"]["data"]}
    assert {"before", "after"} <= names


def test_one_report_cannot_be_compared(make):
    with pytest.raises(
        ValueError, match=r"`reports` must hold two reports or more to compare. Received: 1."
    ):
        render_comparison([("alone", make.report())])


def test_page_is_written_in_utf_8(make, tmp_path):
    report = make.report(num_sites=9)
    save_html(report, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_bytes().decode("utf-8") == render(report)


def test_place_that_cannot_be_written_is_an_error(make, tmp_path):
    with pytest.raises(OSError, match="No such file or directory"):
        save_html(make.report(), tmp_path / "nowhere" / "r.html")


def test_fragment_for_a_notebook_has_an_element_of_its_own(make):
    figure = draw("signal", [FigureData.from_report(make.report([make.site(0, NASTY)]))])
    first, second = figure_fragment(figure), figure_fragment(figure)
    assert re.search(r'<div id="([^"]*)"', first)[1] != re.search(r'<div id="([^"]*)"', second)[1]
    assert len(Reader(first).all("script")) == 1
    assert "alert(1)" not in first


def test_what_is_known_of_the_whole_network_has_a_section(make):
    page = render(replace(make.report(spectrum=make.spectrum), mean_field=make.mean_field))
    assert "<h2>Depth and singular values</h2>" in page
    assert "Singular values from inputs to outputs: mean square 0.250" in page
    assert "<code>&lt;b&gt;a</code> to <code>z</code> are 19 like layers." in page
    assert "<td>ξ_c</td><td>7.80</td>" in page


@pytest.mark.parametrize(
    "mean_field", [None, MeanFieldSummary(reason="no run")], ids=["not asked", "no run"]
)
def test_section_is_left_out_where_nothing_is_known(make, mean_field):
    assert "Depth and singular values" not in render(replace(make.report(), mean_field=mean_field))


def test_first_step_has_a_section(full_report):
    assert "<h2>The first step</h2>" in render(full_report)
    profile = replace(full_report.profile, first_step=None)
    assert "<h2>The first step</h2>" not in render(replace(full_report, profile=profile))


def test_weights_stand_beside_their_initializers(full_report):
    page = render(full_report)
    assert "what was promised, what was found" in page
    assert "<td>truncated N(0, 0.125²)</td><td>N(0, 0.5²)</td><td>another draw</td>" in page


def test_section_of_weights_is_left_out_where_they_were_not_compared(make):
    assert "what was promised, what was found" not in render(make.report(num_sites=0))
