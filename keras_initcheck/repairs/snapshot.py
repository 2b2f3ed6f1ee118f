"""Values of variables, kept so that they can be put back bitwise."""

from collections.abc import Iterable
from typing import Any

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.interrupts import uninterrupted


class Snapshot:
    """Copies of variables on the host.

    Args:
        variables: Keras variables of any dtype.

    Attributes:
        is_restored: Whether `restore` has put the values back.

    Cost: the variables' memory, once more, on the host.
    """

    def __init__(self, variables: Iterable[Any]) -> None:
        self._values = [(variable, to_numpy(variable)) for variable in variables]
        self.is_restored: bool = False

    def restore(self) -> None:
        """Puts every value back; a Ctrl-C meanwhile takes effect afterwards."""
        with uninterrupted():
            self.rewind()
            self.is_restored = True

    def rewind(self) -> None:
        """Puts every value back for another attempt to change them."""
        with uninterrupted():
            for variable, value in self._values:
                variable.assign(value)
