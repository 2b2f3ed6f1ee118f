"""Imports and calls the user's own code, named `package.module:name` or `file.py:name`.

Nothing here needs Keras.
"""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_initcheck.command.sources import LoadError
from keras_initcheck.outputs.cleaning import one_line, without_colors

MOST_NAMES = 8
"""Limit of the names that an error message lists."""


class UserCodeError(LoadError):
    """The user's module or function failed; `__cause__` is the error that it raised."""


class Importer:
    """Imports the objects that one command line names; a file that is named twice is run once.

    Side effects: the current directory, or the file's directory, is put at the front of `sys.path`,
    as `python file.py` does.
    """

    def __init__(self) -> None:
        self._files: dict[Path, ModuleType] = {}

    def find(self, role: str, place: str, attribute: str) -> Any:
        """Returns the object of a name.

        Args:
            role: `"MODEL"` or `"DATA"`, for the error message.
            place: A module, or a file that ends in .py.
            attribute: Name in the module; dots lead to attributes of attributes.

        Raises:
            LoadError: The module or the attribute does not exist.
            UserCodeError: The import failed.
        """
        module = (
            self._file(role, Path(place).resolve())
            if place.endswith(".py")
            else _module(role, place)
        )
        found: Any = module
        for name in attribute.split("."):
            if not hasattr(found, name):
                raise LoadError(
                    f"{role} must name something in {place}. Received: {attribute!r}. It has:"
                    f" {_public(module)}."
                )
            found = getattr(found, name)
        return found

    def _file(self, role: str, path: Path) -> ModuleType:
        if path not in self._files:
            self._files[path] = _run_file(role, path)
        return self._files[path]


def call(role: str, function: Any, source: str, **arguments: Any) -> Any:
    """Calls the user's function and returns its result.

    Args:
        role: `"MODEL"` or `"DATA"`, for the error message.
        function: The function.
        source: Its name on the command line.
        **arguments: Arguments of the call.

    Raises:
        LoadError: It is not callable with these arguments.
        UserCodeError: It failed.
    """
    if not callable(function):
        raise LoadError(
            f"{role} must name a callable. Received: {source!r}, which is of type"
            f" {type(function).__name__}."
        )
    signature = signature_of(function)
    if signature is not None and not _can_bind(signature, arguments):
        raise LoadError(
            f"{role} must be callable without arguments. Received: {source!r}, which takes"
            f" {signature}."
        )
    try:
        return function(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, for example, would set a misleading exit status
        raise UserCodeError(f"{role}: {source} failed. {reason(error)}") from error


def signature_of(function: Any) -> inspect.Signature | None:
    """Returns the signature of a callable, or `None` for one written in C that has none."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def reason(error: BaseException, longest: int = 200) -> str:
    r"""Describes an error by its type and the beginning of its message, on one line.

    >>> reason(ValueError("first line\nsecond line"))
    'ValueError: first line second line.'
    """
    try:
        text = one_line(without_colors(str(error)), longest)
    except Exception:  # the message of a foreign exception may raise itself
        text = "its message cannot be read"
    return f"{type(error).__name__}: {text or 'no message'}".rstrip(".") + "."


def _run_file(role: str, path: Path) -> ModuleType:
    name = f"initcheck_{path.stem}"  # never the name of an installed module
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    _make_importable(path.parent)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserCodeError(f"{role}: {path.name} could not be run. {reason(error)}") from error
    return module


def _module(role: str, name: str) -> ModuleType:
    _make_importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise LoadError(
                f"{role} must name a module that can be imported from here. Received: {name!r}, and"
                f" there is no module {missing!r}. For a file write file.py:NAME."
            ) from error
        raise UserCodeError(
            f"{role}: the module {name!r} could not be imported. {reason(error)}"
        ) from error


def _make_importable(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _can_bind(signature: inspect.Signature, arguments: dict[str, Any]) -> bool:
    try:
        signature.bind(**arguments)
    except TypeError:
        return False
    return True


def _public(module: ModuleType) -> str:
    """Names that the module defines itself, or else those that it imports."""
    public = [name for name in dir(module) if not name.startswith("_")]
    own = [
        name
        for name in public
        if getattr(getattr(module, name), "__module__", None) == module.__name__
    ] or public
    return (
        ", ".join(own[:MOST_NAMES]) + (", ..." if len(own) > MOST_NAMES else "")
        if own
        else "nothing"
    )
