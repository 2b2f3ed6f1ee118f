"""Distinguishes what MODEL and DATA may name, and checks it without opening anything."""

import re
from pathlib import Path

from keras_initcheck.records.errors import InitCheckError

_TARGET = re.compile(r"(?P<place>.+):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)")
_FORMS = {
    "MODEL": (
        "a .keras or .h5 file, package.module:factory or file.py:factory",
        (".keras", ".h5", ".hdf5"),
    ),
    "DATA": ("a .npz or .npy file, package.module:function or file.py:function", (".npz", ".npy")),
}


class LoadError(InitCheckError):
    """MODEL or DATA cannot be opened."""


def target(source: str) -> tuple[str, str] | None:
    """Splits the name of an object in code into its module or file and its attribute.

    Returns:
        Both parts, or `None` if the source is a file of data.

    >>> target("train.py:make_model"), target("keras.applications:VGG16"), target("C:/model.keras")
    (('train.py', 'make_model'), ('keras.applications', 'VGG16'), None)
    """
    match = _TARGET.fullmatch(source)
    return None if match is None or Path(source).exists() else (match["place"], match["attribute"])


def check_source(role: str, source: str) -> None:
    """Checks that a source has a known form and that its file exists, before Keras is started.

    Args:
        role: `"MODEL"` or `"DATA"`.
        source: The argument from the command line.

    Raises:
        LoadError: The source cannot be opened.
    """
    form, suffixes = _FORMS[role]
    named = target(source)
    if named is not None and not named[0].endswith(".py"):
        return
    path = Path(source if named is None else named[0])
    if named is None and path.suffix == ".py":
        raise LoadError(
            f"{role} must be {form}. Received: {source!r}, which names no object in the file."
            f" Write {source}:NAME."
        )
    if named is None and path.suffix not in suffixes:
        raise LoadError(f"{role} must be {form}. Received: {source!r}.")
    if not path.exists():
        raise LoadError(f"{role} must name a file that exists. Received: {str(path)!r}.")
    if path.name.endswith(".weights.h5"):
        raise LoadError(
            f"{role} must be a whole model. Received: {source!r}, which holds weights only. Save it"
            " with model.save(...)."
        )
