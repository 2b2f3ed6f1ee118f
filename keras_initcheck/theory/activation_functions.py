"""Numpy definitions of Keras' element-wise activations, with Keras' names, parameters and defaults.

`softmax`, `log_softmax`, `sparsemax` and `glu` are left out: they mix units, and no moment of a
single Gaussian describes them.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, ndtr

from keras_initcheck.theory.quadrature import Array

Function = Callable[[Array], Array]

# With these, mean 0 and variance 1 are a fixed point (Klambauer et al. 2017, section 2).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _relu(
    x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    clipped = x if max_value is None else np.clip(x, 0.0, max_value)
    return np.where(x > threshold, clipped, negative_slope * (x - threshold))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _gelu(x: Array, approximate: bool = False) -> Array:
    if not approximate:
        return x * np.asarray(ndtr(x), dtype=np.float64)
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _threshold(x: Array, threshold: float, default_value: float) -> Array:
    return np.where(x > threshold, x, default_value)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, x), dtype=np.float64)


def _sigmoid(x: Array) -> Array:
    return np.asarray(expit(x), dtype=np.float64)


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _hard_silu(x: Array) -> Array:
    return x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)


ACTIVATIONS: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "celu": lambda x, alpha=1.0: np.where(
            x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha)
        ),
        "elu": _elu,
        "exponential": lambda x: np.exp(x),
        "gelu": _gelu,
        "hard_shrink": lambda x, threshold=0.5: np.where(np.abs(x) > threshold, x, 0.0),
        "hard_sigmoid": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        "hard_silu": _hard_silu,
        "hard_swish": _hard_silu,
        "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
        "leaky_relu": lambda x, negative_slope=0.2: np.where(x > 0.0, x, negative_slope * x),
        "linear": lambda x: x,
        "log_sigmoid": lambda x: log_expit(x),
        "mish": lambda x: x * np.tanh(_softplus(x)),
        "relu": _relu,
        "relu6": lambda x: np.clip(x, 0.0, 6.0),
        "selu": lambda x: SELU_SCALE * _elu(x, SELU_ALPHA),
        "sigmoid": _sigmoid,
        "silu": _silu,
        "soft_shrink": lambda x, threshold=0.5: x - np.clip(x, -threshold, threshold),
        "softplus": _softplus,
        "softsign": lambda x: x / (1.0 + np.abs(x)),
        "sparse_plus": lambda x: np.where(x >= 1.0, x, 0.25 * (np.clip(x, -1.0, 1.0) + 1.0) ** 2),
        "sparse_sigmoid": lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
        "squareplus": lambda x, b=4.0: 0.5 * (x + np.hypot(x, math.sqrt(b))),
        "swish": _silu,
        "tanh": lambda x: np.tanh(x),
        "tanh_shrink": lambda x: x - np.tanh(x),
        "threshold": _threshold,
    }
)
"""Every element-wise activation of `keras.activations`, by its name there."""


def numpy_activation(name: str, **parameters: Any) -> Function:
    """The numpy version of the activation of that name in `keras.activations`.

    Parameters that are not given have Keras' defaults.

    >>> numpy_activation("leaky_relu", negative_slope=0.3)(np.array([-1.0, 2.0])).tolist()
    [-0.3, 2.0]

    Raises:
        ValueError: No element-wise activation has that name, or it does not take those parameters.
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"`name` must be one of Keras' element-wise activations: {', '.join(ACTIVATIONS)}. "
            f"Received: name={name!r}. Pass the function itself to `activation_moments`."
        )
    function = ACTIVATIONS[name]
    try:
        inspect.signature(function).bind(None, **parameters)
    except TypeError as error:
        raise ValueError(
            f"`parameters` must suit `{name}`. Received: parameters={parameters}. "
            f"Pass only what it takes: {_describe_parameters(function)}."
        ) from error
    return functools.partial(function, **parameters)


def _describe_parameters(function: Callable[..., Array]) -> str:
    _, *parameters = inspect.signature(function).parameters.values()
    return ", ".join(parameter.name for parameter in parameters) or "no parameters"
