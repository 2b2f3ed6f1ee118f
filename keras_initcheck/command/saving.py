"""Writes a repaired model to the file of `--save`: completely or not at all."""

import os
import shutil
from pathlib import Path
from typing import Any

from keras_initcheck.command.backend import import_tensorflow_quietly
from keras_initcheck.command.leftovers import writing_folder
from keras_initcheck.command.user_code import reason
from keras_initcheck.records.errors import InitCheckError

MODEL_SUFFIX, WEIGHTS_SUFFIX = ".keras", ".weights.h5"


class SaveError(InitCheckError):
    """The repaired model cannot be written to the file, or must not be."""


def check_place(path: str, *, is_forced: bool) -> None:
    """Checks that a model can and may be written to a file, before Keras is started.

    Args:
        path: The file.
        is_forced: Whether an existing file may be replaced.

    Raises:
        SaveError: It cannot or must not.
    """
    place = Path(path)
    if not place.name.endswith((MODEL_SUFFIX, WEIGHTS_SUFFIX)):
        raise SaveError(
            f"--save must name a {MODEL_SUFFIX} file, or a {WEIGHTS_SUFFIX} file for the weights"
            f" alone. Received: {path!r}."
        )
    if place.is_dir() or not place.parent.is_dir() or not os.access(_folder(place), os.W_OK):
        what = (
            "which is a directory"
            if place.is_dir()
            else f"and {str(place.parent)!r} is not a directory that can be written"
        )
        raise SaveError(
            f"--save must name a file in an existing directory. Received: {path!r}, {what}."
        )
    if place.exists() and not is_forced:
        raise SaveError(
            f"--save must name a new file. Received: {path!r}, which exists. Give another name, or"
            " --force to replace it."
        )


def save(model: Any, path: str) -> None:
    """Writes the model, or only its weights if the name ends in `.weights.h5`.

    The model is written next to the file, which it then replaces in one step, with the same
    permissions: an old file stays intact if anything fails. A link is followed. Files that a killed
    process left behind are removed.

    Args:
        model: A Keras model.
        path: The file.

    Raises:
        SaveError: Keras or the operating system cannot write it; an old file is unchanged.
    """
    target = Path(os.path.realpath(path))
    _check_names(model, path)
    try:
        with writing_folder(_folder(target), (MODEL_SUFFIX, WEIGHTS_SUFFIX)) as folder:
            written = folder / target.name
            _write(model, written)
            if target.exists():
                shutil.copymode(target, written)
            os.replace(written, target)
    except Exception as error:  # `get_config`, HDF5 and the operating system raise their own kinds
        advice = (
            ""
            if path.endswith(WEIGHTS_SUFFIX)
            else f" If the model has no configuration: a {WEIGHTS_SUFFIX} file does not need one."
        )
        raise SaveError(
            f"--save {path}: the repaired model could not be written. {reason(error)}{advice}"
        ) from error


def _check_names(model: Any, path: str) -> None:
    r"""Refuses names with `\0`, at which HDF5 would end them."""
    name = next((variable.path for variable in model.variables if "\0" in variable.path), None)
    if name is not None:
        raise SaveError(
            f"--save {path}: names of layers must not contain a NUL character. Received:"
            f" {name!r}. Rename that layer."
        )


def _write(model: Any, path: Path) -> None:
    if path.name.endswith(WEIGHTS_SUFFIX):
        model.save_weights(path)
    else:
        import_tensorflow_quietly()
        model.save(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # a power failure could otherwise leave an empty file


def _folder(path: Path) -> Path:
    return Path(os.path.realpath(path)).parent
