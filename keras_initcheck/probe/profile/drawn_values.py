"""The values of one weight beside what its initializer promises."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.promises import Promise, promise_of
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.records.draw import Distribution
from keras_initcheck.records.measurement import MEAN, SHARE_NONFINITE, SIZE, VARIANCE
from keras_initcheck.theory.random_draws import are_drawn_from, identify

FloatArray = npt.NDArray[np.float64]

SAMPLE = 2**14
"""Values by which the shape of a distribution is judged: enough to tell its families apart, and a
millisecond to sort."""

MOST_COPIED = 2**24
"""Values of one weight that come to the host, 64 MiB in float32."""

ROUNDINGS = {"float16": 2.0**-9, "bfloat16": 2.0**-6}
"""Relative error of a draw in few bits. JAX draws its uniform numbers from as many equidistant ones
as the type has, 1024 and 128 on each side of zero together, so that each is off by up to two
steps' width."""
SINGLE_ROUNDING = 2.0**-22
"""The same in float32: the last two bits."""

ORTHOGONAL_TOLERANCE = 1e-4
"""Relative error of `Wᵀ W v = gain² v` in a decomposition in float32, which stays near 1e-6, while
independent draws of that size miss by `sqrt(columns / rows)`."""


@dataclass(frozen=True)
class DrawnValues:
    """The values of a weight, or of a part of it, and what they are to be.

    Attributes:
        promise: What the initializer promises; `None` where that is not known.
        row: `(moments,)` statistics of all its values.
        sample: Some of them, in order; empty where there is nothing to compare with.
        rounding: Relative error of a drawn value.
        expected: The promised values of the sample, where they are no random numbers.
        matrices: `(number, rows, columns)` values where orthogonal matrices are promised.
    """

    promise: Promise | None
    row: FloatArray
    sample: FloatArray
    rounding: float
    expected: FloatArray | None = None
    matrices: FloatArray | None = None

    @property
    def is_random(self) -> bool:
        """Whether random numbers are promised."""
        return self.promise is not None and self.expected is None

    @property
    def is_constant_promised(self) -> bool:
        """Whether one number is promised for all values."""
        return self.promise is not None and self.promise.distribution.family == "constant"

    @property
    def is_constant(self) -> bool:
        """Whether all values are equal."""
        return bool(len(self.sample) and np.ptp(self.sample) == 0.0 and self._spread == 0.0)

    @property
    def num(self) -> int:
        """Number of values."""
        return int(self.row[SIZE])

    @property
    def _spread(self) -> float:
        """Standard deviation of all values; 0 for what rounding leaves of equal ones."""
        variance, square = float(self.row[VARIANCE]), float(self.row[MEAN]) ** 2
        return 0.0 if variance <= 1e-6 * square else math.sqrt(variance)

    def fits(self, level: float) -> bool:
        """Whether the values are as promised.

        Args:
            level: Probability, at most, that a true draw is refused.
        """
        assert self.promise is not None
        own = self.promise.distribution
        if self.matrices is not None:
            return self._is_orthogonal(own.deviation)
        if self.expected is not None:
            error = np.abs(self.sample - self.expected)
            return bool(np.all(error <= self.rounding * np.abs(self.expected)))
        shift = (float(self.row[MEAN]) - own.mean) / own.deviation
        return are_drawn_from(
            (self.sample - own.mean) / own.deviation,
            own.family,
            num=self.num,
            mean=shift,
            second_moment=float(self.row[VARIANCE]) / own.deviation**2 + shift**2,
            level=level,
            rounding=self.rounding,
        )

    def describe(self) -> Distribution:
        """What the values look like."""
        mean, deviation = float(self.row[MEAN]), self._spread
        if self.is_constant:
            return Distribution("constant", float(self.sample[0]), 0.0)
        if self.matrices is not None and (factor := self._factor()) and self._is_orthogonal(factor):
            return Distribution("orthogonal", 0.0, factor)
        family: Any = identify(self.sample, self.rounding) or "other"
        # A mean that chance explains is none.
        is_centered = abs(mean) <= 4.0 * deviation / math.sqrt(self.num)
        return Distribution(family, 0.0 if is_centered else mean, deviation)

    def _factor(self) -> float:
        """The factor of an orthogonal matrix of that norm."""
        assert self.matrices is not None
        number, rows, columns = self.matrices.shape
        return math.sqrt(float(np.square(self.matrices).sum()) / (number * min(rows, columns)))

    def _is_orthogonal(self, factor: float) -> bool:
        """Whether `Wᵀ W = factor²`, or `W Wᵀ` where that is smaller, by one random vector.

        Only a matrix of measure zero passes by chance.
        """
        matrices = self.matrices
        assert matrices is not None
        if matrices.shape[1] < matrices.shape[2]:
            matrices = np.swapaxes(matrices, 1, 2)
        vector = np.random.default_rng(0).normal(size=(len(matrices), matrices.shape[2], 1))
        error = np.swapaxes(matrices, 1, 2) @ (matrices @ vector) - factor**2 * vector
        allowed = (ORTHOGONAL_TOLERANCE + 4.0 * self.rounding) * factor**2
        return bool(np.linalg.norm(error) <= allowed * np.linalg.norm(vector))


def read(owned: OwnedVariable, row: FloatArray) -> DrawnValues:
    """The values of a variable and its promise.

    Cost: a copy of at most `MOST_COPIED` values on the host, unless matrices are promised.

    Args:
        owned: The variable with its owner.
        row: `(moments,)` statistics of its values.
    """
    variable = owned.variable
    shape = tuple(variable.shape)
    rounding = ROUNDINGS.get(keras.backend.standardize_dtype(variable.dtype), SINGLE_ROUNDING)
    name = owned.name.rsplit("/", 1)[-1]
    is_readable = row[SHARE_NONFINITE] == 0.0 and not owned.is_assigned
    promise = promise_of(owned.owner, name, shape) if is_readable else None
    if promise is None:
        return DrawnValues(None, row, np.empty(0), rounding)
    if promise.distribution.family in _FIXED:
        values = np.asarray(to_numpy(variable), np.float64).ravel()
        expected = _FIXED[promise.distribution.family](promise.distribution, shape)
        return DrawnValues(promise, row, values, rounding, expected)
    if promise.matrices is not None:
        whole = np.asarray(to_numpy(variable), np.float64)
        matrices = np.moveaxis(whole.reshape(promise.matrices), 1, 0)
        return DrawnValues(promise, row, _thinned(whole), rounding, matrices=matrices)
    return DrawnValues(promise, row, _thinned(_copied(variable, shape)), rounding)


def _copied(variable: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The values, or of a very large weight those of its first rows."""
    size = math.prod(shape)
    if size <= MOST_COPIED or len(shape) < 2:
        return to_numpy(variable)
    num_rows = max(1, MOST_COPIED * shape[0] // size)
    return to_numpy(keras.ops.convert_to_tensor(variable)[:num_rows])


def _thinned(values: npt.NDArray[Any]) -> FloatArray:
    """At most about `SAMPLE` values, at equal distances of an odd number."""
    flat = values.ravel()
    return np.asarray(flat[:: (len(flat) // SAMPLE) | 1], np.float64)


def _identity(own: Distribution, shape: tuple[int, ...]) -> FloatArray:
    rows, columns = shape
    return own.deviation * np.eye(rows, columns).ravel()


def _equal(own: Distribution, shape: tuple[int, ...]) -> FloatArray:
    return np.full(math.prod(shape), own.mean)


def _forget_bias(own: Distribution, shape: tuple[int, ...]) -> FloatArray:
    values = _equal(own, shape)
    units = len(values) // 4
    values[units : 2 * units] = 1.0
    return values


_FIXED = {"constant": _equal, "identity": _identity, "forget bias": _forget_bias}
"""Promised values by family, where they are no random numbers."""
