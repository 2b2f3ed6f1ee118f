"""Writes a file completely or not at all. The standard library alone is imported."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` in UTF-8 next to the file, which it then replaces in one step.

    An old file stays as it is if anything fails, and passes its permissions on. A link is followed.
    A pipe or a device is written to directly, and so is a file in a folder that cannot be written.

    Args:
        path: The file.
        text: Its new content.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if _can_be_replaced(target):
            _replace(target, text)
        else:
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _can_be_replaced(target: Path) -> bool:
    return not target.exists() or (target.is_file() and os.access(target.parent, os.W_OK))


def _replace(target: Path, text: str) -> None:
    written = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with written.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # a power failure could otherwise leave an empty file
        if target.exists():
            shutil.copymode(target, written)
        os.replace(written, target)
    except BaseException:
        with contextlib.suppress(OSError):
            written.unlink()
        raise
