"""What a killed `--save` left beside its target is swept by the next one, and nothing else is."""

import os
import signal
import subprocess
import sys

import keras
import pytest

from keras_initcheck.command import leftovers, saving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="nothing is swept elsewhere")
SUFFIXES = (saving.MODEL_SUFFIX, saving.WEIGHTS_SUFFIX)


def killed_while_writing(place, name="model.keras"):
    """The folder that a process leaves which is killed while it writes."""
    code = (
        "import os, pathlib, signal; from keras_initcheck.command.leftovers import writing_folder\n"
        f"with writing_folder(pathlib.Path({str(place)!r}), {SUFFIXES!r}) as folder:\n"
        f"    (folder / {name!r}).write_text('half')\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    return type(place)(done.stdout.strip())


def tiny_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_next_save_sweeps_what_a_killed_one_left(tmp_path, name):
    left = killed_while_writing(tmp_path, name)
    assert left.is_dir()
    saving.save(tiny_model(), str(tmp_path / "new.weights.h5"))
    assert [path.name for path in tmp_path.iterdir()] == ["new.weights.h5"]


def swept(place):
    with (
        leftovers.writing_folder(place, SUFFIXES) as own,
        leftovers.writing_folder(place, SUFFIXES),
    ):
        assert own.is_dir()
    return {path.name for path in place.iterdir()}


def test_folder_that_a_living_process_writes_to_stays(tmp_path):
    with leftovers.writing_folder(tmp_path, SUFFIXES) as own:
        assert swept(tmp_path) == {own.name}


ADDITIONS = {
    "file": lambda folder: (folder / "notes.txt").write_text("mine"),
    "folder": lambda folder: (folder / "deeper.keras").mkdir(),
    "link": lambda folder: (folder / "link.keras").symlink_to(folder),
}


@pytest.mark.parametrize("add", ADDITIONS.values(), ids=ADDITIONS)
def test_folder_with_something_else_in_it_stays(tmp_path, add):
    folder = killed_while_writing(tmp_path)
    add(folder)
    assert swept(tmp_path) == {folder.name}
    assert (folder / "model.keras").exists()


def test_links_files_other_computers_and_other_names_stay(tmp_path):
    stale, elsewhere = killed_while_writing(tmp_path), tmp_path / "elsewhere"
    dead = stale.name.rpartition("-")[0]
    stale.rename(elsewhere)
    (tmp_path / f"{dead}-aaaaaaaa").symlink_to(elsewhere)
    (tmp_path / f"{dead}-bbbbbbbb").write_text("a file")
    for name in (
        ".initcheck-notes",
        f"{dead}-of-mine",
        dead.replace(".initcheck-", ".initcheck-other") + "-cccccccc",
    ):
        (tmp_path / name).mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    assert swept(tmp_path) == before
    assert (elsewhere / "model.keras").read_text() == "half"
