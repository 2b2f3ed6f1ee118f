"""Settles layers on a batch: scales their kernels until the pre-activations have the wanted size.

The idea of LSUV (Mishkin & Matas 2016, section 3), with one difference: a layer is corrected when
the pass reaches it, and its new output then goes on to the next. The published procedure runs the
network again for each layer, which costs depth squared.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.interrupts import uninterrupted
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.private_api import flatten_layers, without_rematerialization
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.wrapping import (
    replaced_activation,
    wrapped_calls,
)

ATTEMPTS = 10
"""Corrections of one layer, as in the paper. Without a bias one is exact; a bias does not scale
with the kernel and takes a few.
"""


@dataclass
class Settled:
    """The correction of one layer.

    Attributes:
        factor: Number that each kernel was multiplied by, in all.
        before: Standard deviation of the pre-activation when the pass reached it.
        after: The same when the pass went on.
    """

    factor: float = 1.0
    before: float = math.nan
    after: float = math.nan


@dataclass
class Settler:
    """One pass that corrects layers on its way.

    Args:
        model: A built model.
        kernels: The kernels to multiply, by the identity of their layer.
        target: Wanted standard deviation.
        tolerance: Share by which it may be missed.

    Attributes:
        settled: What happened, by the identity of the layer.
    """

    model: Any
    kernels: Mapping[int, list[Any]]
    target: float = 1.0
    tolerance: float = 0.1
    settled: dict[int, Settled] = field(default_factory=dict)
    _later: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._engine = engine.load()

    def run(self, batch: Batch) -> None:
        """Runs the model on the batch, eagerly and in training mode.

        All but the kernels keep their values, and the kernels do too if it fails.

        Side effects: the kernels get other values.
        """
        kernels = [kernel for each in self.kernels.values() for kernel in each]
        with (
            preserved(self.model),
            keras.StatelessScope(introspection.regularized_values(self.model)) as scope,
        ):
            with contextlib.ExitStack() as stack:
                stack.enter_context(wrapped_calls(self._layers(), self._wrapper))
                stack.enter_context(without_rematerialization(flatten_layers(self.model)))
                stack.enter_context(self._engine.without_gradients())
                introspection.call_in_training(self.model, batch.x)
            self._settle_shared()
            settled = [(kernel, scope.get_current_value(kernel)) for kernel in kernels]
        with ONE_AT_A_TIME, uninterrupted():
            for kernel, value in settled:
                kernel.assign(kernel.value if value is None else value)

    def factor(self, layer: int) -> float:
        """Number by which each kernel of a layer was multiplied; 1 where it was not settled.

        Args:
            layer: Identity of the layer.
        """
        return self.settled[layer].factor if layer in self.settled else 1.0

    def _layers(self) -> list[Any]:
        return [layer for layer in flatten_layers(self.model) if id(layer) in self.kernels]

    def _wrapper(self, layer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            def deviation() -> float | None:
                with replaced_activation(layer, keras.activations.linear):
                    return _standard_deviation(original(*args, **kwargs))

            if id(layer) in self.settled:
                self._later.setdefault(id(layer), []).append(deviation() or math.nan)
            else:
                self._settle(layer, deviation)
            return original(*args, **kwargs)

        return call

    def _settle(self, layer: Any, deviation: Callable[[], float | None]) -> None:
        found = deviation()
        if found is None:  # inside a traced loop, where nothing has a value
            return
        record = self.settled[id(layer)] = Settled(before=found, after=found)
        for _ in range(ATTEMPTS):
            if (
                not 0.0 < record.after < math.inf
                or abs(record.after / self.target - 1.0) <= self._aim
            ):
                break
            self._multiply(layer, self.target / record.after)
            record.after = deviation() or math.nan

    @property
    def _aim(self) -> float:
        """A tenth of the tolerance: rounding and the next batch have their share too."""
        return 0.1 * self.tolerance

    def _multiply(self, layer: Any, factor: float) -> None:
        kernels = self.kernels[id(layer)]
        for kernel in kernels:
            kernel.assign(kernel.value * factor ** (1.0 / len(kernels)))
        self.settled[id(layer)].factor *= factor ** (1.0 / len(kernels))

    def _settle_shared(self) -> None:
        """Corrects a layer with further calls once more, for the geometric mean of all calls."""
        for layer in self._layers():
            later = self._later.get(id(layer), [])
            if later and all(0.0 < each < math.inf for each in later):
                logs = [
                    math.log(each / self.target) for each in (self.settled[id(layer)].after, *later)
                ]
                self._multiply(layer, math.exp(-math.fsum(logs) / len(logs)))


def _standard_deviation(tensor: Any) -> float | None:
    """Standard deviation over all elements; `None` for a tensor without a value.

    It is summed in float32 and safe at any scale.
    """
    values = keras.ops.cast(tensor, "float32")
    try:
        largest = float(to_numpy(keras.ops.max(keras.ops.abs(values))))
    except Exception:  # each framework has its own way to refuse the value of a traced tensor
        return None
    if not 0.0 < largest < math.inf:
        return largest
    return largest * float(to_numpy(keras.ops.std(values / largest)))
