"""Provides the folder in which a file is written, and removes the folders of killed processes."""

import contextlib
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def writing_folder(place: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Makes a folder in `place` that is removed on leaving, as are those of dead processes before.

    Args:
        place: An existing directory.
        suffixes: Endings of the files that are written; a folder that contains any other file is
            kept.
    """
    if os.name == "posix":  # elsewhere no harmless call tests whether a process is alive
        for entry in [*os.scandir(place)]:
            if _is_stale(entry):
                _sweep(Path(entry.path), suffixes)
    with tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-", dir=place) as folder:
        yield Path(folder)


def _prefix() -> str:
    """A prefix with the computer's name: a disk may be shared, but process numbers are not."""
    return f".initcheck-{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _is_stale(entry: os.DirEntry[str]) -> bool:
    """Whether the folder was made by a process of this user and computer that no longer exists."""
    found = re.fullmatch(re.escape(_prefix()) + r"(\d{1,9})-[a-z0-9_]{8}", entry.name)
    if found is None or not entry.is_dir(follow_symlinks=False):
        return False
    return entry.stat(follow_symlinks=False).st_uid == os.getuid() and not _is_alive(int(found[1]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sweep(folder: Path, suffixes: tuple[str, ...]) -> None:
    """Removes the folder if it contains such files only; errors, as of a race, are ignored."""
    with contextlib.suppress(OSError):
        entries = [*os.scandir(folder)]
        if all(
            entry.is_file(follow_symlinks=False) and entry.name.endswith(suffixes)
            for entry in entries
        ):
            for entry in entries:
                os.unlink(entry.path)
            folder.rmdir()
