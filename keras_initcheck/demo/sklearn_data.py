"""Access to scikit-learn's data sets, which are part of its wheel."""

import importlib
from types import ModuleType

from keras_initcheck.records.errors import InitCheckError


def datasets() -> ModuleType:
    """Imports the module `sklearn.datasets`.

    Raises:
        InitCheckError: scikit-learn is not installed.
    """
    try:
        return importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise InitCheckError(
            f"The demo needs scikit-learn for its photographs and digits. Received: {error}. Try:"
            " pip install 'keras_initcheck[demo]'"
        ) from error
