"""The files that the tab is made of, and nothing else."""

import gzip
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from keras_initcheck.tensorboard_plugin import static_files
from keras_initcheck.tensorboard_plugin.static_files import DIRECTORY, FILES


@pytest.fixture
def opened(tab, tmp_path):
    return tab(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_file_is_served_with_its_type(opened, name):
    answer = opened.get(f"/static/{name}")
    assert (answer.status_code, answer.data) == (200, (DIRECTORY / name).read_bytes())
    assert answer.content_type.startswith(FILES[name])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-cache" in answer.headers["Cache-Control"]


def test_list_names_every_file_there_is():
    assert sorted(FILES) == sorted(path.name for path in DIRECTORY.iterdir())


def test_plotly_is_the_installed_package_s_compressed_and_kept_by_the_browser(opened):
    import plotly

    expected = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    answer = opened.clients["/static"].get(
        "/data/plugin/initcheck/static/plotly.min.js", headers={"Accept-Encoding": "gzip"}
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == expected
    assert answer.headers["Cache-Control"] == "private, max-age=86400"
    assert opened.get("/static/plotly.min.js").data == expected


def test_missing_plotly_is_named(opened, monkeypatch):
    static_files._compressed_plotly.cache_clear()
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: distribution("no-" + name))
    answer = opened.get("/static/plotly.min.js")
    assert answer.status_code == 503
    assert "pip install no-plotly" in answer.json["error"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../plugin.py",
        "%2e%2e/plugin.py",
        "..%2fplugin.py",
        "..\\plugin.py",
        "/etc/passwd",
        "nothing.js",
        "index.js/",
        "INDEX.JS",
        "index.js%00",
    ],
)
def test_anything_else_is_not_found(opened, name):
    answer = opened.get(f"/static/{name}")
    assert answer.status_code == 404
    assert "The tab has no such file" in answer.json["error"]


@pytest.mark.parametrize("name", FILES)
def test_file_asks_nothing_of_another_origin(name):
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", (DIRECTORY / name).read_text()) == []


@pytest.mark.parametrize("name", FILES)
def test_file_stays_small(name):
    assert len((DIRECTORY / name).read_text().splitlines()) <= 400
