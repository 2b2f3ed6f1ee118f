"""Values of variables, kept so that they can be put back bitwise."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.guards import uninterrupted


class Snapshot:
    """Copies of variables on the host.

    Args:
        variables: Keras variables of any dtype.

    Cost: the variables' memory, once more, on the host.
    """

    def __init__(self, variables: Iterable[Any]) -> None:
        self._values = [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in variables]

    def restore(self) -> None:
        """Puts every value back; a Ctrl-C meanwhile is heard afterwards."""
        with uninterrupted():
            for variable, value in self._values:
                variable.assign(value)
