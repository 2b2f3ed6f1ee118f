"""A directory of its own for each test of the command."""

import sys

import pytest


@pytest.fixture
def make_workplace(tmp_path, monkeypatch):
    """`make_workplace(code)`: the working directory is a fresh one with `code` as `models.py`; `sys.path` is as before afterwards."""

    def make(code):
        (tmp_path / "models.py").write_text(code)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))

    return make
