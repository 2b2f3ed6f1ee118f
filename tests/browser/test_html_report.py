"""The HTML pages as a user has them: a file that a browser opens, without a network."""

import os
from pathlib import Path

import pytest

from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw
from keras_initcheck.outputs.html_report import compare_html, figure_fragment, save_html

SIZES = {"desktop": (1280, 800), "phone": (400, 800)}


class Opened:
    """A page in the browser that must neither complain nor ask for anything but itself."""

    def __init__(self, page):
        self.page = page
        self.complaints, self.requests = [], []
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path, size="desktop", scheme="light"):
        width, height = SIZES[size]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)
        self.page.goto(path.as_uri())
        self.page.locator("html[data-ready]").wait_for(state="attached")
        return self

    def points(self, panel):
        """Number of points that are drawn in a panel of the first figure."""
        return self.page.locator(f".plot >> nth=0 >> .subplot.{panel} .points path").count()

    def cells(self, column):
        return self.page.locator(
            f"table.sortable tbody tr td:nth-child({column})"
        ).all_inner_texts()

    def head(self, title):
        return self.page.locator("table.sortable th button", has_text=title).first

    def background(self, selector):
        return self.page.locator(selector).first.evaluate(
            "(element) => getComputedStyle(element).backgroundColor"
        )


@pytest.fixture
def opened(browser):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    found = Opened(page)
    yield found
    page.close()
    assert found.complaints == []
    assert {url.partition(":")[0] for url in found.requests} <= {"file", "data", "blob"}


@pytest.fixture(scope="package")
def probed():
    """A network of eight hidden layers that explodes, probed."""
    import keras

    import keras_initcheck

    layers = [
        keras.layers.Dense(
            32, "relu", kernel_initializer=keras.initializers.RandomNormal(0.0, 0.6, seed=seed)
        )
        for seed in range(8)
    ]
    model = keras.Sequential([keras.Input((32,)), *layers, keras.layers.Dense(4)], name="exploding")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return keras_initcheck.check(model)


@pytest.fixture(scope="package")
def page_of(probed, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    probed.save_html(path)
    return path


def unfold_notes(page):
    """Opens what is folded: information."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_page_shows_every_layer_and_every_finding(opened, probed, page_of, size, scheme):
    opened.open(page_of, size, scheme)
    sites = probed.profile.sites
    num_marks = len(opened.page.locator(".plot >> nth=0 >> .subplot.xy .points path").all()) - len(
        sites
    )
    assert 0 <= num_marks <= len(probed.findings)
    assert opened.page.locator("h1").inner_text() == probed.verdict.replace("`", "")
    for finding in probed.findings:
        shown = opened.page.locator(".finding", has_text=finding.code).first
        assert shown.is_visible() == (finding.severity != "info")
    unfold_notes(opened.page)
    for finding in probed.findings:
        assert opened.page.locator(".finding", has_text=finding.code).first.is_visible()
    assert len(opened.cells(1)) == len(sites)
    keep_picture(opened.page, f"report_{scheme}_{size}")


@pytest.mark.parametrize("size", list(SIZES))
def test_page_never_scrolls_sideways(opened, page_of, size):
    opened.open(page_of, size)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    if size == "phone":
        box = opened.page.locator(".scroll:has(table.sortable)")
        assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")


def test_dark_scheme_turns_page_and_figures_dark(opened, page_of):
    opened.open(page_of)
    paper = "document.querySelector('.plot').layout.paper_bgcolor"
    assert (opened.page.evaluate(paper), opened.background("body")) == (
        "#ffffff",
        "rgb(255, 255, 255)",
    )
    opened.page.emulate_media(color_scheme="dark")
    opened.page.locator("html[data-ready=dark]").wait_for(state="attached")
    assert (opened.page.evaluate(paper), opened.background("body")) == (
        "#15181c",
        "rgb(21, 24, 28)",
    )


def test_heads_sort_the_table_numbers_by_size(opened, probed, page_of):
    opened.open(page_of)
    titles = [
        text.split()[0]
        for text in opened.page.locator("table.sortable th button").all_inner_texts()
    ]
    column = titles.index("gain") + 1
    ordered = [
        site.index
        for site in sorted(
            probed.profile.sites, key=lambda site: -(site.log10_forward_gain or -1e9)
        )
    ]
    opened.head("gain").click()
    assert opened.cells(1) == [str(index) for index in ordered]
    assert opened.cells(column)[-1] == ""
    opened.head("gain").click()
    assert opened.cells(1) == [str(index) for index in [*ordered[:-1][::-1], ordered[-1]]]
    opened.head("#").click()
    assert opened.cells(1) == [str(site.index) for site in probed.profile.sites]


def test_pointer_on_a_layer_tells_its_name_and_finding(opened, probed, page_of):
    opened.open(page_of)
    opened.page.locator(".plot >> nth=0 >> .subplot.xy .points path").last.hover(force=True)
    text = opened.page.locator(".plot >> nth=0 >> .hoverlayer").text_content()
    assert "Dense" in text
    assert "forward ratio" in text


def test_nasty_names_are_shown_and_not_run(opened, make_report, tmp_path):
    name = "<img src=x onerror=alert(1)>"
    save_html(make_report(name), tmp_path / "r.html")
    opened.page.on("dialog", lambda dialog: opened.complaints.append("a dialog"))
    opened.open(tmp_path / "r.html")
    assert name in opened.page.locator("table.sortable td.name").first.inner_text()
    assert opened.page.locator("img").count() == 0
    assert name[:6] in opened.page.locator(".plot >> nth=0 >> .xtick >> nth=1").text_content()


@pytest.mark.parametrize("num_layers", [3, 300])
def test_small_and_large_networks_are_drawn(opened, make_report, tmp_path, num_layers):
    save_html(make_report("dense", num_layers), tmp_path / "r.html")
    opened.open(tmp_path / "r.html", "phone")
    assert opened.points("xy") == num_layers
    keep_picture(opened.page, f"report_{num_layers}_layers")


def test_comparison_is_a_page(opened, probed, make_report, tmp_path):
    compare_html([("before", probed), ("after", make_report("dense", 9))], tmp_path / "c.html")
    opened.open(tmp_path / "c.html", "phone")
    assert opened.page.locator("h2").all_inner_texts()[1:] == ["before", "after"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 400
    keep_picture(opened.page, "comparison")


def test_figure_in_a_notebook_is_drawn(opened, make_report, tmp_path):
    figure = draw("signal", [FigureData.from_report(make_report("dense", 3))])
    both = figure_fragment(figure) + figure_fragment(figure)
    (tmp_path / "n.html").write_text(f"<!doctype html><meta charset=utf-8>{both}", encoding="utf-8")
    opened.page.goto((tmp_path / "n.html").as_uri())
    points = opened.page.locator("svg.main-svg .subplot.xy .points path")
    points.nth(5).wait_for()
    assert points.count() == 2 * 3
    assert opened.page.locator(".plotly").count() == 2


def test_old_browser_is_told_that_it_cannot_show_the_figures(browser, page_of):
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(page_of.as_uri())
    page.locator("html[data-ready]").wait_for(state="attached")
    assert (
        "This browser is too old to show the figures." in page.locator(".plot").first.inner_text()
    )
    assert page.locator(".finding").first.is_visible()
    page.close()


@pytest.fixture(scope="package")
def make_report():
    """`make_report(name, num_layers=3)`: a healthy report of so many layers of that name."""
    from keras_initcheck.records.profile import Profile
    from keras_initcheck.records.report import Report
    from keras_initcheck.records.sites import SiteStats
    from keras_initcheck.records.statistics import Moments, Places

    one = Moments(0.0, 1.0, 1.0, 3.0, 0.5, 0.0, 0.25, 1024)

    def build(name, num_layers=3):
        facts = {
            "activations": Places(one, one, one),
            "random_gradients": Places(x=one, h=one),
            "forward_ratio": 1.0,
            "backward_ratio": 1.0,
        }
        facts |= {
            "predicted_forward_ratio": 1.0,
            "predicted_backward_ratio": 1.0,
            "chain": 0,
            "log_ratio_variance": 0.01,
        }
        sites = [
            SiteStats(
                k, f"{name}{k}", f"{name}{k}", "Dense", "weight", (k - 1,) if k else (), **facts
            )
            for k in range(num_layers)
        ]
        return Report(Profile.of("net", tuple(sites), batch_size=8))

    return build


def keep_picture(page, name):
    """Saves a screenshot where the environment asks for it."""
    if directory := os.environ.get("KERAS_INITCHECK_SCREENSHOTS"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)
