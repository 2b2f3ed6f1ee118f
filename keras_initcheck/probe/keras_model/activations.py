"""The function that follows a weight layer: its name, and a numpy callable to integrate."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.layer_kinds import snake_case
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION
from keras_initcheck.theory import activations

UNKNOWN = UNKNOWN_ACTIVATION
_MIXING = ("softmax", "log_softmax", "sparsemax", "glu")


@dataclass(frozen=True)
class FollowingActivation:
    """An activation by name.

    Attributes:
        name: Its name, such as `"relu"`.
        function: The function of an array of points; `None` where it mixes units or cannot be
            evaluated, so that no factor can be predicted.
        precision: Relative precision of the function's values.
        key: What two activations with the same function have in common.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray] | None
    precision: float = activations.FLOAT64_PRECISION
    key: Hashable = None


def following_activation(activation: Any) -> FollowingActivation:
    """The activation of a fused callable, an activation layer or an operation, such as ReLU."""
    if isinstance(activation, keras.layers.Activation):
        return following_activation(activation.activation)
    name, parameters = _layer_parameters(activation)
    if name is None:
        name = _function_name(activation)
        parameters = _operation_parameters(activation)
    if name in _MIXING:
        return FollowingActivation(name, None)
    try:
        key = (name, *sorted(parameters.items()))
        return FollowingActivation(name, activations.numpy_activation(name, **parameters), key=key)
    except (ValueError, TypeError):
        return _user_activation(name, activation)


def _layer_parameters(layer: Any) -> tuple[str | None, dict[str, Any]]:
    if isinstance(layer, keras.layers.ReLU):
        parameters = {
            "negative_slope": layer.negative_slope,
            "max_value": layer.max_value,
            "threshold": layer.threshold,
        }
        return "relu", {name: value for name, value in parameters.items() if value is not None}
    if isinstance(layer, keras.layers.LeakyReLU):
        return "leaky_relu", {"negative_slope": float(layer.negative_slope)}
    if isinstance(layer, keras.layers.ELU):
        return "elu", {"alpha": float(layer.alpha)}
    if isinstance(layer, keras.layers.PReLU):
        slopes = to_numpy(layer.alpha)
        return "leaky_relu", {"negative_slope": float(slopes.mean())}
    if isinstance(layer, keras.layers.Softmax):
        return "softmax", {}
    return None, {}


def _operation_parameters(operation: Any) -> dict[str, Any]:
    """The parameters that graph operations such as `LeakyRelu` and `Elu` carry as attributes."""
    if isinstance(operation, (keras.layers.Layer, type(None))) or not isinstance(
        operation, keras.Operation
    ):
        return {}
    return {
        name: value
        for name, value in vars(operation).items()
        if name in ("negative_slope", "alpha", "approximate") and value is not None
    }


def _function_name(activation: Any) -> str:
    if isinstance(activation, (keras.layers.Layer, keras.Operation)):
        return snake_case(type(activation).__name__)
    return str(getattr(activation, "__name__", type(activation).__name__))


def _user_activation(name: str, activation: Any) -> FollowingActivation:
    """The activation of a user's own function, evaluated through Keras in float32."""

    def function(points: np.ndarray) -> np.ndarray:
        return np.asarray(
            to_numpy(activation(keras.ops.convert_to_tensor(points, dtype="float32"))), "float64"
        )

    try:
        is_elementwise = function(np.linspace(-2.0, 2.0, 5)).shape == (5,)
    except Exception:  # a user's function may refuse a vector in any way
        is_elementwise = False
    return FollowingActivation(
        name, function if is_elementwise else None, activations.FLOAT32_PRECISION, key=activation
    )
