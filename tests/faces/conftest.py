"""A directory of its own for each test of the command, and the one line of one that fails."""

import sys

import pytest

from keras_initcheck.cli import main


@pytest.fixture
def make_workplace(tmp_path, monkeypatch):
    """`make_workplace(code)`: the working directory is a fresh one with `code` as `models.py`;
    `sys.path` is as before afterwards.
    """

    def make(code):
        (tmp_path / "models.py").write_text(code)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))

    return make


@pytest.fixture
def error_of(capsys):
    """Runs the command, which must fail with one line on stderr and nothing else; gives the
    line.
    """

    def run(*arguments):
        capsys.readouterr()
        code = main(list(arguments))
        output = capsys.readouterr()
        assert (code, output.out) == (2, ""), output
        assert output.err.startswith("initcheck: error: ")
        assert output.err.count("\n") == 1, output.err
        return output.err

    return run
