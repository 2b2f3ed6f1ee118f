"""Puts text on the terminal: the one place where the command prints what others have written.
Nothing heavy is imported.
"""

import sys
import traceback
from types import TracebackType
from typing import TextIO

from keras_initcheck.outputs.cleaning import clean, clip, without_colours

MOST_LINES = 200
"""Lines of a traceback that are shown."""


def say(text: str, file: TextIO | None = None, end: str = "\n") -> None:
    """Prints the text, each line cleaned, in what the file's encoding can show.

    Args:
        text: Any text, names and messages of others in it.
        file: Where to; standard output by default.
        end: What comes behind it.
    """
    file = sys.stdout if file is None else file
    shown = "\n".join(clean(line) for line in text.split("\n"))
    encoding = getattr(file, "encoding", None) or "utf-8"
    print(shown.encode(encoding, "replace").decode(encoding), end=end, file=file)


def show_traceback(error: BaseException, frames: TracebackType | None) -> None:
    """Prints what Python would of an error, from these frames on, cleaned and not endless."""
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except Exception as failure:  # an exception of others may fail to say what it is
        text = f"{type(error).__name__}, whose message cannot be read: {type(failure).__name__}"
    lines = [clip(line.expandtabs()) for line in without_colours(text).splitlines()]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES // 2 : -MOST_LINES // 2] = [f"… ({len(lines) - MOST_LINES} more lines)"]
    say("\n".join(lines), sys.stderr)
