"""Writes a repaired model to the file that `--save` names: whole or not at all, and over nothing
that was not given up.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from keras_initcheck.command.leftovers import writing_folder
from keras_initcheck.command.user_code import reason
from keras_initcheck.records.errors import InitCheckError

MODEL_SUFFIX, WEIGHTS_SUFFIX = ".keras", ".weights.h5"


class SaveError(InitCheckError):
    """The repaired model cannot be written, or must not be."""


def check_place(path: str, *, is_forced: bool) -> None:
    """Checks that a model may and can be written there: in no time, before Keras starts.

    Args:
        path: The file.
        is_forced: Whether a file that is there may be replaced.

    Raises:
        SaveError: It may or can not, and why.
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
            else f"and {str(place.parent)!r} is no directory that can be written"
        )
        raise SaveError(
            f"--save must name a file in a directory that is there. Received: {path!r}, {what}."
        )
    if place.exists() and not is_forced:
        raise SaveError(
            f"--save must name a new file. Received: {path!r}, which exists. Give another name, or"
            " --force to replace it."
        )


def save(model: Any, path: str) -> None:
    """Writes the model, or its weights where the name ends in `.weights.h5`.

    It is written beside the file and then takes its place, with its permissions, in one step:
    whatever happens on the way, an old file is whole. A link is followed. What a killed process
    left there of an earlier attempt is removed.

    Args:
        model: A Keras model.
        path: The file.

    Raises:
        SaveError: Keras or the operating system cannot write it; what was there is as it was.
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
    except (
        Exception
    ) as error:  # a layer's get_config, HDF5 and the operating system each have their own
        advice = (
            ""
            if path.endswith(WEIGHTS_SUFFIX)
            else f" If the model has no configuration: a {WEIGHTS_SUFFIX} file needs none."
        )
        raise SaveError(
            f"--save {path}: the repaired model could not be written. {reason(error)}{advice}"
        ) from error


def _check_names(model: Any, path: str) -> None:
    r"""HDF5 ends a name at its first `\0`."""
    name = next((variable.path for variable in model.variables if "\0" in variable.path), None)
    if name is not None:
        raise SaveError(
            f"--save {path}: names of layers must hold no NUL character in a file. Received:"
            f" {name!r}. Rename that layer."
        )


def _write(model: Any, path: Path) -> None:
    if path.name.endswith(WEIGHTS_SUFFIX):
        model.save_weights(path)
    else:
        model.save(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # or a power cut could leave the new name with nothing behind it


def _folder(path: Path) -> Path:
    return Path(os.path.realpath(path)).parent
