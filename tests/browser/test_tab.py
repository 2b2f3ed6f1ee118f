"""The tab as a user has it: a training's log, TensorBoard, and a browser that looks, clicks and
reads.
"""

import math
import re
from urllib.parse import quote

import pytest

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments, Places

DARKEST_LIGHT, LIGHTEST_DARK = 200, 80

BROKEN = "import sys\nsys.modules[{!r}] = None\n"
ROUTES = "keras_initcheck.tensorboard_plugin.routes"

SLIDE_TWICE = """{
  const range = document.querySelector("input[type=range]");
  const slide = (step) => {
    range.value = step;
    range.dispatchEvent(new Event("input"));
  };
  const observer = new MutationObserver(() => {
    observer.disconnect();
    slide(14);
  });
  observer.observe(document.body, { attributes: true });
  slide(9);
}"""
"""To step 9, and once its picture is drawn to step 14."""

NOTE_PICTURES = """{
  window.pictures = [document.body.dataset.ready];
  new MutationObserver(() => window.pictures.push(document.body.dataset.ready)).observe(
    document.body, { attributes: true, attributeFilter: ["data-ready"] });
}"""
"""Keeps which pictures were drawn, in their order."""


def brightness(tab, selector):
    """Of an element's background, 0..255."""
    colour = tab.find(selector).evaluate("(e) => getComputedStyle(e).backgroundColor")
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3


def chosen(tab, key):
    """What the address says the user looks at."""
    return [
        part.partition("=")[2]
        for part in tab.page.url.partition("#")[2].split("&")
        if part.startswith(f"p.initcheck.{key}=")
    ]


def run(name):
    return f"&p.initcheck.run={quote(f'{name}/initcheck', safe='')}"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 800)], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_site_has_a_point(tab, board, num_sites, num_gradients, width, height, theme):
    tab.open(board, run("small"), width, height)
    if theme == "dark":
        tab.page.evaluate("() => document.body.classList.add('dark-mode')")
        tab.find("body[data-ready$=dark]").wait_for()
    assert len(tab.places()) == num_sites
    assert len(tab.places("xy2")) == num_gradients
    tab.keep_picture(f"tab_{theme}_{width}")


def test_page_fits_a_phone(tab, board):
    tab.open(board, width=400)
    assert tab.value("document.documentElement.scrollWidth") <= 400


def test_verdict_and_findings_are_readable(tab, board):
    tab.open(board, run("small"))
    assert tab.find(".verdict").get_attribute("data-severity") in ("warning", "error")
    card = tab.find(".card[data-code=IC102]")
    assert "forward gain" in card.locator("h3").inner_text()
    assert "times weaker from" in card.inner_text()
    assert card.locator(".why").inner_text().startswith("Why ")
    assert "he_normal" in card.locator(".fix").inner_text()


def test_healthy_run_is_said_to_be_healthy(tab, board):
    tab.open(board, run("well"))
    assert (
        tab.find(".verdict[data-severity=ok] h1").inner_text()
        == "Healthy. No layer loses or blows up the signal."
    )


def test_slider_changes_the_picture_and_the_address(tab, board):
    tab.open(board, run("small"))
    before = tab.places()
    tab.find("input[type=range]").press("End")
    tab.find("body[data-ready^='signal 4 ']").wait_for()
    assert tab.places() != before
    assert "step 4 probe 3 of 3" in tab.find(".step").inner_text()
    tab.find("body[data-details$=' 4']").wait_for()
    assert chosen(tab, "step") == ["4"]


def test_play_runs_through_the_steps(tab, board):
    tab.open(board, run("small"))
    tab.value(NOTE_PICTURES)
    tab.find("button[aria-label=Play]").click()
    tab.find("body[data-ready^='signal 4 ']").wait_for()
    tab.find("button[aria-label=Play]").wait_for()
    drawn = dict.fromkeys(picture.split()[1] for picture in tab.value("window.pictures"))
    assert list(drawn) == ["0", "2", "4"]
    assert "step 4 probe 3 of 3" in tab.find(".step").inner_text()


@pytest.mark.parametrize("name", ["signal", "ratios", "signal_map", "gradient_map", "updates"])
def test_every_figure_is_drawn(tab, board, name):
    tab.open(board, run("small"))
    tab.find(f"[data-figure={name}]").click()
    tab.find(f"body[data-ready^='{name} ']").wait_for()
    assert tab.find(".chart .message").is_hidden()
    assert tab.find(".canvas .subplot :is(path, image)").count() > 0
    assert chosen(tab, "figure") == [name]
    tab.keep_picture(f"figure_{name}")


def test_figure_over_steps_marks_the_step_in_view(tab, board):
    tab.open(board, f"{run('small')}&p.initcheck.step=2&p.initcheck.figure=signal_map")
    assert tab.find(".shapelayer path").count() == 1
    before = tab.find(".shapelayer path").get_attribute("d")
    tab.find("input[type=range]").press("End")
    tab.find("body[data-ready^='signal_map 4 ']").wait_for()
    assert tab.find(".shapelayer path").get_attribute("d") != before


def test_worst_run_is_told_first(tab, board):
    tab.open(board)
    assert tab.find(".findings select").input_value().endswith("/small/initcheck")


def test_link_leads_to_run_step_and_figure(tab, board):
    tab.open(board, f"{run('well')}&p.initcheck.step=2&p.initcheck.figure=ratios")
    assert tab.find("body").get_attribute("data-ready") == "ratios 2 light"
    assert tab.find(".verdict .faint").inner_text() == "well · step 2"
    assert tab.find("[aria-selected=true]").inner_text() == "Ratios"


def test_runs_are_laid_over_one_another(tab, board, num_sites):
    tab.open(board)
    assert tab.find(".run input:checked").count() == 2
    both = tab.places()
    assert len(both) > num_sites
    tab.find(".run", has_text="well").click()
    tab.find("body[data-runs='1']").wait_for()
    assert len(tab.places()) == num_sites


def test_finding_leads_to_its_layer_in_the_table(tab, board, num_sites):
    tab.open(board, run("small"))
    place = tab.find(".card button.place").first
    first, _, last = place.inner_text().partition(" … ")
    assert (first, last) == ("hidden_1", f"hidden_{num_sites - 2}")
    place.click()
    assert first in tab.find("tr.revealed").inner_text()


def test_notes_and_formulas_are_folded(tab, board):
    tab.open(board, run("small"))
    note = tab.find(".card[data-code=IC104]")
    assert not note.is_visible()
    tab.find("details.notes > summary").click()
    assert note.is_visible()
    card = tab.find(".card[data-code=IC102]")
    assert "Var[w]" not in card.inner_text()
    card.locator("details > summary").click()
    assert "½ n Var[w]" in card.inner_text()


def test_table_is_sorted_by_a_click(tab, board, num_sites):
    tab.open(board, run("small"))
    numbers = tab.find("tbody td:nth-child(2)")
    assert numbers.all_inner_texts() == [str(number) for number in range(num_sites)]
    tab.find("th[data-title='#'] button").click()
    assert numbers.all_inner_texts() == [str(number) for number in reversed(range(num_sites))]
    tab.find("th[data-title=layer] button").click()
    assert numbers.all_inner_texts()[0] == str(num_sites - 1)  # "head" comes before "hidden"


def test_what_is_not_defined_comes_last_whichever_way_a_column_is_sorted(
    tab, start_tensorboard, tmp_path
):
    zero = Moments(0.0, 0.0, 0.0, 0.0, 1.0, 0.0, math.nan, 64)
    dead = {"activations": Places(x=zero, z=zero, h=zero), "forward_ratio": math.nan}
    facts = [dead, {"forward_ratio": 2.0}, dead, {"forward_ratio": 0.5}, {"forward_ratio": 8.0}]
    sites = tuple(
        SiteStats(index, f"dense_{index}", f"dense_{index}", "Dense", "weight", **each)
        for index, each in enumerate(facts)
    )
    with EventLog(tmp_path) as log:
        log.write(Report(Profile.of("net", sites)), 0)
    with start_tensorboard(tmp_path) as board:
        tab.open_alone(board)
        column = tab.find("th[data-title=forward] button")
        numbers = tab.find("tbody td:nth-child(2)")
        column.click()
        first = numbers.all_inner_texts()
        column.click()
        second = numbers.all_inner_texts()
    assert {*first[:3]} == {*second[:3]} == {"1", "3", "4"}
    assert first[:3] == second[:3][::-1]


def test_theme_follows_tensorboard_s(tab, board):
    tab.open(board)
    assert brightness(tab, ".top") > DARKEST_LIGHT
    tab.page.evaluate("() => document.body.classList.add('dark-mode')")
    tab.find("body[data-ready$=dark]").wait_for()
    assert brightness(tab, ".top") < LIGHTEST_DARK


def test_theme_is_the_reader_s_where_there_is_no_tensorboard_around(tab, board):
    tab.page.emulate_media(color_scheme="dark")
    tab.open_alone(board)
    assert brightness(tab, ".top") < LIGHTEST_DARK


def test_empty_log_says_how_to_log_and_shows_what_comes(tab, start_tensorboard, tmp_path):
    with start_tensorboard(tmp_path) as board:
        tab.open_alone(board)
        assert "No probes in this log directory yet" in tab.find(".notice").inner_text()
        assert 'callbacks=[keras_initcheck.InitCheck("logs")]' in tab.find(".notice").inner_text()
        tab.keep_picture("empty")
        report = Report(
            Profile.of(
                "net", (SiteStats(0, "dense", "dense", "Dense", "weight", forward_ratio=1.0),)
            )
        )
        with EventLog(tmp_path) as log:
            log.write(report, 0)
            tab.find(".verdict[data-severity=ok]").wait_for()
            log.write(report, 1)
            tab.find(".step", has_text="of 2").wait_for()
            assert tab.find(".verdict h1").inner_text().startswith("Healthy.")


def test_without_plotly_tensorboard_starts_and_the_tab_tells_the_findings(
    tab, start_tensorboard, log_dir, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format("plotly"))
    with start_tensorboard(log_dir, environment={"PYTHONPATH": str(tmp_path)}) as board:
        tab.open(board, run("small"))
        assert "pip install plotly" in tab.find(".chart .message").inner_text()
        tab.find(
            ".card[data-code=IC102]"
        ).wait_for()  # findings and table come after the picture, or after its failure
        tab.find("tbody tr").first.wait_for()
        tab.keep_picture("without_plotly")
    assert all(
        re.match("404 .*plotly.min.js|503 .*figure|Refused to execute script", complaint)
        for complaint in tab.complaints
    )
    tab.complaints.clear()


def test_broken_package_is_named_in_place_of_the_probes(tab, start_tensorboard, log_dir, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(ROUTES))
    with start_tensorboard(log_dir, environment={"PYTHONPATH": str(tmp_path)}) as board:
        tab.open_alone(board)
        assert "The probes cannot be read" in tab.find(".notice").inner_text()
        assert ROUTES in tab.find(".notice").inner_text()
    assert all(re.match("503 .*(series|figures)", complaint) for complaint in tab.complaints)
    tab.complaints.clear()


def test_reload_button_of_tensorboard_asks_for_new_probes(tab, board):
    tab.open(board)
    with tab.page.expect_response("**/plugin/initcheck/series") as answered:
        tab.page.locator("button.reload-button").click()
    series = answered.value.json()["series"]
    assert sorted(each["run"] for each in series) == ["small/initcheck", "well/initcheck"]


def test_sliding_asks_for_pictures_alone_and_for_the_rest_when_it_ends(
    tab, start_tensorboard, tmp_path
):
    report = Report(
        Profile.of("net", (SiteStats(0, "dense", "dense", "Dense", "weight", forward_ratio=1.0),))
    )
    with EventLog(tmp_path) as log:
        for step in range(20):
            log.write(report, step)
    asked = []
    with start_tensorboard(tmp_path) as board:
        with tab.page.expect_response(
            re.compile("/figure.*%2F3%2F")
        ):  # the last of what is asked for beforehand
            tab.open(board)
        tab.page.on(
            "request",
            lambda request: asked.extend(
                re.findall(r"/(figure|probe)\?.*probe=[0-9a-f]+%2F(\d+)%2F", request.url)
            ),
        )
        with tab.page.expect_response(re.compile("/figure.*%2F17%2F")):
            tab.value(SLIDE_TWICE)
    nearby = [("figure", "15"), ("figure", "16"), ("figure", "13"), ("figure", "17")]
    assert asked == [("figure", "9"), ("figure", "14"), ("probe", "14"), *nearby]


def test_looking_for_new_probes_leaves_what_the_reader_has_unfolded(tab, board):
    tab.open(board, run("small"))
    tab.find("details.notes > summary").first.click()
    assert tab.find("details.notes[open]").count() == 1
    tab.find("body").evaluate("(body) => delete body.dataset.details")
    with tab.page.expect_response("**/plugin/initcheck/series"):
        tab.page.locator("button.reload-button").click()
    tab.drawn()
    assert tab.find("details.notes[open]").count() == 1
