"""Opens the model and the data that the command line names, or reports why it cannot.

A model file is treated as data: code inside it is not run unless the user asks for it. A factory is
the user's own code, and is run. Nothing is probed here.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from packaging.version import Version

from keras_initcheck.command.declared_sizes import check_arrays_file, check_model_file
from keras_initcheck.command.sources import LoadError, target
from keras_initcheck.command.user_code import Importer, call, reason, signature_of
from keras_initcheck.initializers import ForActivation
from keras_initcheck.records.errors import DataError

FIRST_KERAS_WITH_SAFE_H5 = (3, 11, 3)
"""Earlier releases ignore `safe_mode` for .h5 files: CVE-2025-9905, keras-team/keras#21602."""
LARGE_FILE = 2**28
"""Bytes above which a .npy file is mapped, so that only the batch is read."""
_NUMBERED = re.compile(r"([xy])([1-9]\d*)")


class Data(NamedTuple):
    """The arguments of `check` that follow the model."""

    x: Any = None
    y: Any = None
    sample_weight: Any = None


def open_model(
    source: str, importer: Importer, *, is_unsafe: bool = False, most: int | None = None
) -> keras.Model:
    """Opens the model in a file, or from `package.module:factory` or `file.py:factory`.

    Factories of `keras.applications` are called with `weights=None`: nothing is downloaded, and the
    initialization is what is examined.

    Args:
        source: MODEL from the command line.
        importer: Imports the code that MODEL names.
        is_unsafe: Whether code inside a model file may run.
        most: MiB to which a model file may unpack, as in `declared_sizes.check_model_file`.

    Raises:
        LoadError: MODEL is not a model, or cannot be opened.
    """
    named = target(source)
    if named is None:
        return _from_file(Path(source), is_unsafe, most)
    found = importer.find("MODEL", *named)
    model = (
        found
        if isinstance(found, keras.Model)
        else call("MODEL", found, source, **_arguments(found))
    )
    if not isinstance(model, keras.Model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}".removeprefix("builtins.")
        raise LoadError(
            f"MODEL must return a keras.Model. Received: {source!r}, which returns a {kind}."
        )
    return model


def open_data(source: str, importer: Importer, model: keras.Model, most: int | None = None) -> Data:
    """Opens the data in a file, or from `package.module:function` or `file.py:function`.

    Args:
        source: DATA from the command line; a file is a .npz or .npy file.
        importer: Imports the code that DATA names.
        model: The model, whose inputs may give a .npz file its keys.
        most: MiB to which a .npz file may unpack.

    Raises:
        LoadError: The code does not exist, or fails.
        DataError: The file does not contain valid data.
    """
    named = target(source)
    if named is None:
        data = _from_arrays(Path(source), model, most)
    else:
        found = importer.find("DATA", *named)
        result = call("DATA", found, source) if callable(found) else found
        data = (
            Data(*result) if isinstance(result, tuple) and 1 <= len(result) <= 3 else Data(result)
        )
    _check_real(data, source, model)
    return data


def _check_real(data: Data, source: str, model: keras.Model) -> None:
    """Refuses complex data, of which frameworks use the real part with a warning at most."""
    if any("complex" in str(tensor.dtype) for tensor in getattr(model, "inputs", None) or []):
        return
    for array in keras.tree.flatten(tuple(data)):
        if isinstance(array, np.ndarray) and array.dtype.kind == "c":
            raise DataError(
                f"DATA must hold real numbers for this model. Received: {source} with"
                f" {array.dtype}. Pass real and imaginary parts as channels, or the magnitudes."
            )


def _arguments(factory: Any) -> dict[str, Any]:
    is_application = str(getattr(factory, "__module__", "")).startswith(
        ("keras.applications", "keras.src.applications")
    )
    signature = signature_of(factory) if is_application else None
    return {"weights": None} if signature is not None and "weights" in signature.parameters else {}


def _from_file(path: Path, is_unsafe: bool, most: int | None) -> keras.Model:
    if not is_unsafe:
        _check_safety(path)
    check_model_file(path, most)
    try:
        return keras.models.load_model(
            path, custom_objects={"ForActivation": ForActivation}, safe_mode=not is_unsafe
        )
    except Exception as error:  # zip, HDF5, JSON and Keras raise their own kinds
        if "safe_mode" in str(error) and not is_unsafe:
            raise LoadError(
                f"{path} contains Python code, such as a Lambda layer, and code in a model file is"
                " not run unless you allow it. If you trust the file's origin: --unsafe runs it."
            ) from error
        raise LoadError(
            f"MODEL must be a file that Keras has saved. Received: {path}, which Keras cannot open."
            f" {reason(error)} If it needs your own classes, use file.py:factory, a function that"
            " returns the model."
        ) from error


def _check_safety(path: Path) -> None:
    if path.suffix != ".keras" and Version(keras.__version__).release < FIRST_KERAS_WITH_SAFE_H5:
        raise LoadError(
            f"MODEL must be a .keras file with this Keras. Received: {str(path)!r}, and Keras"
            f" {keras.__version__} runs any code in a .h5 file. Upgrade to keras>=3.11.3, save as"
            " .keras, or use --unsafe if you trust the file's origin."
        )


def _from_arrays(path: Path, model: keras.Model, most: int | None) -> Data:
    try:
        check_arrays_file(path, most)
        is_mapped = path.suffix == ".npy" and path.stat().st_size > LARGE_FILE
        content = np.load(path, mmap_mode="r" if is_mapped else None, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return Data(content)
        with content:
            arrays = {name: content[name] for name in content.files}
    except DataError:
        raise
    except Exception as error:  # zip, NumPy and the operating system raise their own kinds
        raise DataError(
            "DATA must contain arrays of numbers as numpy.save or numpy.savez write them. Received:"
            f" {path}. {reason(error)}"
        ) from error
    return _assigned(arrays, path, model)


def _assigned(arrays: dict[str, Any], path: Path, model: keras.Model) -> Data:
    """Assigns the arrays of a .npz file by their keys."""
    rest = dict(arrays)
    sample_weight, y, x = rest.pop("sample_weight", None), _take("y", rest), _take("x", rest)
    names = [str(tensor.name) for tensor in getattr(model, "inputs", None) or []]
    if x is None and rest and set(rest) == set(names):
        return Data(rest, y, sample_weight)
    if x is None or rest:
        raise DataError(
            f"DATA must have the keys x (or x1, x2, ... or the model's input names {names}) and,"
            f" for the loss, y; sample_weight is optional. Received: {path} with the keys"
            f" {list(arrays)}."
        )
    return Data(x, y, sample_weight)


def _take(letter: str, arrays: dict[str, Any]) -> Any:
    """Removes and returns `x`, or else the list of `x1`, `x2` and so on."""
    if letter in arrays:
        return arrays.pop(letter)
    numbered = sorted(
        (int(match[2]), name)
        for name in arrays
        if (match := _NUMBERED.fullmatch(name)) and match[1] == letter
    )
    return [arrays.pop(name) for _, name in numbered] or None
