"""Progress appears on a terminal after two seconds, leaves a clean line, and is nowhere else."""

import io
import os
import re
import select
import threading

import pytest

from keras_initcheck.outputs.progress_line import DELAY, ProgressLine

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
MOST_SECONDS = 30


@pytest.fixture
def terminal(monkeypatch):
    """A pseudo-terminal: its stream, and a function that reads until something is there."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    stream = os.fdopen(theirs, "w")

    def read_until(wanted):
        text = ""
        while wanted not in text and select.select([ours], [], [], MOST_SECONDS)[0]:
            text += os.read(ours, 65536).decode()
        return text

    yield stream, read_until
    stream.close()
    os.close(ours)


def drawing_threads():
    return [each for each in threading.enumerate() if each.name == "initcheck progress"]


def test_line_appears_after_two_seconds_and_is_taken_away(terminal):
    (stream, read_until), now = terminal, [0.0]
    with ProgressLine(stream=stream, clock=lambda: now[0]) as line:
        line("building the model")
        now[0] = DELAY + 63
        assert "initcheck: building the model" in read_until("0:01:05")
        line("running the pass", lambda: 12)
        assert "initcheck: running the pass, layer 12" in read_until("layer 12")
    assert not drawing_threads()
    stream.write("END")
    stream.flush()
    last = read_until("END").rpartition("\x1b[2K")[2]
    assert re.sub(r"\x1b\[[?\d]*[A-Za-z]|[\r\n]", "", last) == "END"


def test_quick_work_shows_nothing(terminal):
    stream, read_until = terminal
    with ProgressLine(stream=stream, clock=lambda: 0.0) as line:
        line("building the model")
    stream.write("END")
    stream.flush()
    assert read_until("END") == "END"


@pytest.mark.parametrize("is_terminal", [True, False], ids=["not wanted", "no terminal"])
def test_nothing_is_shown_where_it_has_no_place(terminal, is_terminal):
    stream = terminal[0] if is_terminal else io.StringIO()
    with ProgressLine(not is_terminal, stream, clock=iter(range(0, 900, 3)).__next__):
        assert not drawing_threads()
    assert is_terminal or not stream.getvalue()


def test_an_interrupt_takes_the_line_away(terminal):
    (stream, read_until), now = terminal, [0.0]
    with pytest.raises(KeyboardInterrupt), ProgressLine(stream=stream, clock=lambda: now[0]):
        now[0] = DELAY
        read_until("initcheck")
        raise KeyboardInterrupt
    assert not drawing_threads()


def test_a_stream_that_is_closed_meanwhile_disturbs_nothing(terminal):
    (stream, read_until), now = terminal, [0.0]
    with ProgressLine(stream=stream, clock=lambda: now[0]) as line:
        now[0] = DELAY
        read_until("initcheck")
        stream.close()
        line("judging")
    assert not drawing_threads()
