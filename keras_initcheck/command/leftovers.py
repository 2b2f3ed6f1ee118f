"""The folder in which a file is written before it takes its place, and what is left of such folders
where a process was killed.
"""

import contextlib
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def writing_folder(place: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A new folder in `place`, which is removed on leaving. First those are swept that no living
    process writes to any more.

    Args:
        place: An existing directory.
        suffixes: Endings of the files that are written: a folder that holds anything else is not
            swept.
    """
    if os.name == "posix":  # elsewhere there is no harmless way to ask whether a process lives
        for entry in [*os.scandir(place)]:
            if _is_stale(entry):
                _sweep(Path(entry.path), suffixes)
    with tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-", dir=place) as folder:
        yield Path(folder)


def _prefix() -> str:
    """With the computer's name: a number means a process of this computer only, and a disk may be
    shared.
    """
    return f".initcheck-{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _is_stale(entry: os.DirEntry[str]) -> bool:
    """Whether a process of this user on this computer made that folder, and is gone."""
    found = re.fullmatch(re.escape(_prefix()) + r"(\d{1,9})-[a-z0-9_]{8}", entry.name)
    if found is None or not entry.is_dir(follow_symlinks=False):
        return False
    return entry.stat(follow_symlinks=False).st_uid == os.getuid() and not _lives(int(found[1]))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sweep(folder: Path, suffixes: tuple[str, ...]) -> None:
    """Removes the folder if it holds such files only. What another process removes meanwhile, or
    may not be removed, is left to it.
    """
    with contextlib.suppress(OSError):
        entries = [*os.scandir(folder)]
        if all(
            entry.is_file(follow_symlinks=False) and entry.name.endswith(suffixes)
            for entry in entries
        ):
            for entry in entries:
                os.unlink(entry.path)
            folder.rmdir()
