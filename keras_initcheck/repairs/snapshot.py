"""Values of variables, kept so that they can be put back bitwise."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np


class Snapshot:
    """Copies of variables on the host.

    Args:
        variables: Keras variables of any dtype.

    Cost: the variables' memory, once more, on the host.
    """

    def __init__(self, variables: Iterable[Any]) -> None:
        self._values = [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in variables]

    def restore(self, but: Iterable[Any] = ()) -> None:
        """Puts every value back that is not one of `but`."""
        spared = {id(variable) for variable in but}
        for variable, value in self._values:
            if id(variable) not in spared:
                variable.assign(value)
