"""The distribution that a layer's initializer promises for each of its variables.

Nothing is drawn here: an initializer's arguments say what it draws.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras

from keras_initcheck.probe.keras_model import layer_kinds
from keras_initcheck.records.draw import Distribution
from keras_initcheck.theory import fans
from keras_initcheck.theory.fans import Fans
from keras_initcheck.theory.random_draws import (
    NORMAL,
    TRUNCATED_DEVIATION,
    TRUNCATED_NORMAL,
    UNIFORM,
)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Promise:
    """What an initializer gives for one shape.

    Attributes:
        distribution: The distribution of the elements.
        matrices: `(rows, number, columns)` of the orthogonal matrices that stand side by side in
            the weight; `None` for every other kind.
    """

    distribution: Distribution
    matrices: tuple[int, int, int] | None = None


def promise_of(layer: Any, variable_name: str, shape: Shape) -> Promise | None:
    """What the initializer of a layer's variable promises; `None` where that is not known.

    Args:
        layer: The layer that created the variable.
        variable_name: The last part of the variable's name.
        shape: Its shape.
    """
    initializer = getattr(layer, _attribute(layer, variable_name), None)
    if initializer is None or not math.prod(shape):
        return None
    if hasattr(initializer, "promise"):  # one of this package, or made like them
        found: Promise | None = initializer.promise(shape)
        return found
    describe = _DESCRIPTIONS.get(type(initializer))
    promise = None if describe is None else describe(initializer, layer, shape)
    if (
        promise is not None
        and variable_name == "bias"
        and getattr(layer, "unit_forget_bias", False)
    ):
        return _with_forget_bias(promise)
    return promise


def _attribute(layer: Any, variable_name: str) -> str:
    """Name of the attribute that holds the initializer: Keras keeps none with the variable."""
    if variable_name == "kernel" and isinstance(layer, layer_kinds.DEPTHWISE):
        return "depthwise_initializer"
    if variable_name == "reverse_embeddings":
        return "embeddings_initializer"
    name = variable_name if variable_name == "kernel" else variable_name.removesuffix("_kernel")
    return f"{name}_initializer"


def _with_forget_bias(promise: Promise) -> Promise | None:
    """The promise for an LSTM's biases, whose second quarter are ones."""
    own = promise.distribution
    if own.family != "constant":
        return None
    return promise if own.mean == 1.0 else Promise(Distribution("forget bias", own.mean, 0.0))


def _normal(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return _random(NORMAL, initializer.mean, initializer.stddev)


def _truncated_normal(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return _random(TRUNCATED_NORMAL, initializer.mean, initializer.stddev * TRUNCATED_DEVIATION)


def _uniform(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    low, high = initializer.minval, initializer.maxval
    return _random(UNIFORM, (low + high) / 2.0, (high - low) / math.sqrt(12.0))


def _variance_scaling(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    assumed = _assumed_fans(initializer, layer, shape)
    modes = {"fan_in": assumed.fan_in, "fan_out": assumed.fan_out}
    fan = modes.get(initializer.mode, (assumed.fan_in + assumed.fan_out) / 2.0)
    families = {"truncated_normal": TRUNCATED_NORMAL, "untruncated_normal": NORMAL}
    family = families.get(initializer.distribution, UNIFORM)
    return _random(family, 0.0, math.sqrt(initializer.scale / max(1.0, fan)))


def _assumed_fans(initializer: Any, layer: Any, shape: Shape) -> Fans:
    """The fans with which `keras.initializers` computes, right or wrong.

    From 3.15 on its initializers take axes, and `EinsumDense` gives them its own.
    """
    inputs = getattr(initializer, "input_axes", None)
    outputs = getattr(initializer, "output_axes", None)
    if inputs is not None and outputs is not None:
        return Fans(math.prod(shape[axis] for axis in inputs), math.prod(shape[a] for a in outputs))
    if isinstance(layer, keras.layers.EinsumDense) and hasattr(initializer, "input_axes"):
        return fans.keras_einsum_fans(shape, fans.einsum_dense(layer.equation, shape).fan_in)
    return fans.keras_fans(shape)


def _random(family: Any, mean: Any, deviation: Any) -> Promise | None:
    """A promise of random numbers; of a deviation that is 0, of a constant."""
    mean, deviation = float(mean), abs(float(deviation))
    if deviation == 0.0:
        return Promise(Distribution("constant", mean, 0.0))
    return Promise(Distribution(family, mean, deviation))


def _orthogonal(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    matrices = (math.prod(shape[:-1]), 1, shape[-1])
    return Promise(Distribution("orthogonal", 0.0, abs(float(initializer.gain))), matrices)


def _identity(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return Promise(Distribution("identity", 0.0, float(initializer.gain)))


def _constant(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return _constant_of(initializer.value)


def _constant_of(value: Any) -> Promise | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Promise(Distribution("constant", float(value), 0.0)) if is_number else None


def _zeros(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return _constant_of(0.0)


def _ones(initializer: Any, layer: Any, shape: Shape) -> Promise | None:
    return _constant_of(1.0)


_VARIANCE_SCALING = (
    "VarianceScaling",
    "GlorotUniform",
    "GlorotNormal",
    "LecunUniform",
    "LecunNormal",
    "HeUniform",
    "HeNormal",
)
_DESCRIPTIONS: Mapping[type, Callable[[Any, Any, Shape], Promise | None]] = MappingProxyType(
    {
        keras.initializers.RandomNormal: _normal,
        keras.initializers.TruncatedNormal: _truncated_normal,
        keras.initializers.RandomUniform: _uniform,
        keras.initializers.Orthogonal: _orthogonal,
        keras.initializers.Identity: _identity,
        keras.initializers.Constant: _constant,
        keras.initializers.Zeros: _zeros,
        keras.initializers.Ones: _ones,
        **{getattr(keras.initializers, name): _variance_scaling for name in _VARIANCE_SCALING},
    }
)
"""By exact class: a subclass may draw whatever it likes."""
