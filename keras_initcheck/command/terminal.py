"""Prints text that others have written; the command prints it nowhere else.

Nothing is imported here that takes time.
"""

import sys
import traceback
from types import TracebackType
from typing import TextIO

from keras_initcheck.outputs.cleaning import clean, clip, without_colors

MOST_LINES = 200
"""Lines of a traceback that are shown."""


def print_text(text: str, file: TextIO | None = None, end: str = "\n") -> None:
    """Prints a text after cleaning each line and replacing what the file's encoding lacks.

    Args:
        text: Any text, which may contain names and messages of others.
        file: The file; standard output by default.
        end: Text that is appended.
    """
    file = sys.stdout if file is None else file
    shown = "\n".join(clean(line) for line in text.split("\n"))
    encoding = getattr(file, "encoding", None) or "utf-8"
    print(shown.encode(encoding, "replace").decode(encoding), end=end, file=file)


def show_traceback(error: BaseException, frames: TracebackType | None) -> None:
    """Prints the traceback of an error from a frame on, cleaned and with a limited length."""
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except Exception as failure:  # the message of a foreign exception may raise itself
        text = f"{type(error).__name__}, whose message cannot be read: {type(failure).__name__}"
    lines = [clip(line.expandtabs()) for line in without_colors(text).splitlines()]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES // 2 : -MOST_LINES // 2] = [f"… ({len(lines) - MOST_LINES} more lines)"]
    print_text("\n".join(lines), sys.stderr)
