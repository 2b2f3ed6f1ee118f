"""Initializers that give each kernel the size that its activation and its true fans require.

A model that was saved with one of them opens only if this module has been imported:
`import keras_initcheck.initializers`.
"""

import math
import random
from typing import Any, TypeVar

import keras
import numpy as np

from keras_initcheck.probe.keras_model import layer_kinds
from keras_initcheck.probe.keras_model.activations import following_activation
from keras_initcheck.probe.keras_model.promises import Promise
from keras_initcheck.records.draw import Distribution, Family
from keras_initcheck.theory import activations
from keras_initcheck.theory.fans import FORWARD, MODES
from keras_initcheck.theory.kernel_layout import KernelLayout
from keras_initcheck.theory.random_draws import TRUNCATED_DEVIATION
from keras_initcheck.theory.weight_scales import recommended_scale

__all__ = ["ForActivation", "for_activation", "prepare"]

TRUNCATED_NORMAL, NORMAL, UNIFORM, ORTHOGONAL = (
    "truncated_normal",
    "normal",
    "uniform",
    "orthogonal",
)
DISTRIBUTIONS = (TRUNCATED_NORMAL, NORMAL, UNIFORM, ORTHOGONAL)
_FAMILIES: dict[str, Family] = {
    TRUNCATED_NORMAL: "truncated normal",
    NORMAL: "normal",
    UNIFORM: "uniform",
}
_OUTPUT_ACTIVATIONS = (
    "softmax",
    "log_softmax",
    "sparsemax",
    "sigmoid",
    "hard_sigmoid",
    "sparse_sigmoid",
    "log_sigmoid",
)
"""Activations of heads and gates, whose pre-activation has to keep its size."""

Layer = TypeVar("Layer", bound=Any)


@keras.saving.register_keras_serializable(package="keras_initcheck")
class ForActivation(keras.initializers.Initializer):
    """Random weights with `Var[w] = scale / fan`, for a kernel that an activation follows.

    The scale is 2 for ReLU (He et al. 2015), 1 for tanh, SELU and no activation, and
    `1 / E[f(z)²]` at `z ~ N(0, 1)` for others, such as 2.35 for GELU, so that the signal keeps its
    mean square. Keras passes an initializer the kernel's shape only, which is enough for Dense
    layers, and in the forward mode for convolutions. Other facts that the fans depend on have to be
    given; `prepare` reads them from the layer. (From Keras 3.15 on `EinsumDense` passes its axes to
    Keras' own initializers, but to no other one.)

    Each call makes a new draw, so that one instance serves any number of layers. The numbers follow
    `keras.utils.set_random_seed`, or `seed`: an instance with a seed repeats the same sequence of
    draws each time it is made. A layer that copies its initializer, as `MultiHeadAttention` does,
    begins that sequence for each copy: leave `seed` out there.

    >>> gelu = ForActivation("gelu")
    >>> round(gelu.scale, 2), round(gelu.std((512, 256)), 4)  # sqrt(2.35 / 512)
    (2.35, 0.0678)

    Args:
        activation: Name of a Keras activation, an element-wise function, or an activation layer.
        mode: The quantity that keeps its size: with `"forward"` the signal (`fan` is the fan-in),
            with `"backward"` the gradient (the fan-out), with `"balanced"` the geometric mean of
            both.
        distribution: `"truncated_normal"` (cut at two standard deviations of the distribution
            before the cut), `"normal"`, `"uniform"`, or `"orthogonal"` (orthonormal rows or
            columns, Saxe et al. 2014, scaled to `Var[w]`).
        seed: Seed of the sequence of draws.
        strides: Strides of a convolution, one number or one for each axis.
        groups: Groups of a convolution.
        depthwise: True for a depthwise kernel.
        transposed: True for the kernel of a transposed convolution.
        gates: Kernels side by side: 3 for GRU, 4 for LSTM.
        equation: Equation of an `EinsumDense` layer.

    Raises:
        ValueError: An argument is out of its range, or two arguments contradict each other.
        TypeError: `seed` is not an integer of 0 or more.
    """

    def __init__(
        self,
        activation: Any = "linear",
        mode: str = FORWARD,
        distribution: str = TRUNCATED_NORMAL,
        seed: int | None = None,
        *,
        strides: Any = 1,
        groups: int = 1,
        depthwise: bool = False,
        transposed: bool = False,
        gates: int = 1,
        equation: str | None = None,
    ) -> None:
        for name, value, allowed in (
            ("mode", mode, MODES),
            ("distribution", distribution, DISTRIBUTIONS),
        ):
            if value not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}. Received: {name}={value!r}.")
        if seed is not None and (not isinstance(seed, int) or seed < 0):
            raise TypeError(
                f"`seed` must be an integer of 0 or more, or None. Received: seed={seed!r}."
            )
        self.activation, self.scale = _resolve_activation(activation)
        self.mode = mode
        self.distribution = distribution
        self.seed = seed
        self.layout = KernelLayout(
            tuple(strides) if isinstance(strides, list) else strides,
            groups,
            depthwise,
            transposed,
            gates,
            equation,
        )
        self._num_draws = 0

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A new draw of a kernel of that shape."""
        shape = tuple(shape)
        std, seed = self.std(shape), self._next_seed()
        if self.distribution == TRUNCATED_NORMAL:
            values = keras.random.truncated_normal(
                shape, stddev=std / TRUNCATED_DEVIATION, seed=seed, dtype="float32"
            )
        elif self.distribution == NORMAL:
            values = keras.random.normal(shape, stddev=std, seed=seed, dtype="float32")
        elif self.distribution == UNIFORM:
            limit = math.sqrt(3.0) * std
            values = keras.random.uniform(shape, -limit, limit, seed=seed, dtype="float32")
        else:
            values = _orthogonal(shape, self.layout.matrices(shape), std, seed)
        return keras.ops.cast(values, dtype or keras.config.floatx())

    def std(self, shape: Any) -> float:
        """Standard deviation of a kernel of that shape.

        Raises:
            ValueError: No kernel of such a layer has that shape.
        """
        fans = self.layout.fans(shape)
        return math.sqrt(self.scale / fans.fan_for(self.mode))

    def promise(self, shape: Any) -> Promise:
        """The distribution of a kernel of that shape, to compare a layer's kernel with.

        Raises:
            ValueError: No kernel of such a layer has that shape.
        """
        std, shape = self.std(shape), tuple(shape)
        if self.distribution != ORTHOGONAL:
            return Promise(Distribution(_FAMILIES[self.distribution], 0.0, std))
        number, rows, columns = self.layout.matrices(shape)
        gain = std * math.sqrt(max(rows, columns))
        return Promise(Distribution("orthogonal", 0.0, gain), (rows, number, columns))

    def get_config(self) -> dict[str, Any]:
        """The arguments of an initializer that begins the same sequence of draws."""
        return {
            "activation": keras.activations.serialize(self.activation),
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
            "strides": self.layout.strides,
            "groups": self.layout.groups,
            "depthwise": self.layout.is_depthwise,
            "transposed": self.layout.is_transposed,
            "gates": self.layout.num_gates,
            "equation": self.layout.equation,
        }

    def _next_seed(self) -> int:
        """The seed of the next draw, of 31 bits, which every backend takes."""
        if self.seed is None:
            # `keras.utils.set_random_seed` seeds Python's generator, which Keras' initializers use.
            return random.randrange(2**31)
        self._num_draws += 1
        return int(np.random.SeedSequence([self.seed, self._num_draws]).generate_state(1)[0] >> 1)


for_activation = ForActivation


def prepare(
    layer: Layer,
    activation: Any = None,
    *,
    mode: str = FORWARD,
    distribution: str = TRUNCATED_NORMAL,
) -> Layer:
    """Gives a layer the initializers that fit it, and returns the layer.

    Strides, groups, gates and the equation are read from the layer; biases and recurrent kernels
    keep their initializers. In a separable convolution the activation follows the pointwise kernel.

    >>> layer = prepare(keras.layers.Conv2D(64, 3, strides=2, activation="gelu"), mode="backward")
    >>> layer.kernel_initializer.layout.fans((3, 3, 32, 64))
    Fans(fan_in=288, fan_out=144.0)

    Args:
        layer: Dense, EinsumDense, a convolution of any kind, SimpleRNN, GRU or LSTM, not built yet.
        activation: The activation that follows, if it is a layer of its own. By default it is the
            layer's own activation; if that belongs to heads and gates, such as softmax, or the
            layer is recurrent, the pre-activation gets the size of the input.
        mode: As in `ForActivation`.
        distribution: As in `ForActivation`.

    Returns:
        The same layer.

    Raises:
        TypeError: The layer has no kernel of a known kind.
        ValueError: The layer is built, so that its weights are drawn already, or an argument is out
            of its range.
    """
    layouts = _layout_arguments(layer)
    if layer.built:
        raise ValueError(
            f"`layer` must not be built: its weights are drawn already. Received: {layer.name!r}."
            " Prepare it before it is called, or use keras_initcheck.repair on the model."
        )
    if activation is None and hasattr(layer, "cell"):
        activation = "linear"
    elif activation is None:
        activation = layer.activation
        activation = (
            "linear" if following_activation(activation).name in _OUTPUT_ACTIVATIONS else activation
        )
    for name, layout in layouts.items():
        is_first_of_two = name == "depthwise_initializer" and len(layouts) > 1
        following = "linear" if is_first_of_two else activation
        initializer = ForActivation(following, mode, distribution, **layout)
        setattr(getattr(layer, "cell", layer), name, initializer)
    return layer


def _layout_arguments(layer: Any) -> dict[str, dict[str, Any]]:
    """Arguments of `ForActivation` for each of a layer's kernels, by the attribute's name."""
    gates = layer_kinds.num_gates(layer)
    if gates is not None:
        return {"kernel_initializer": {"gates": gates}}
    if isinstance(layer, keras.layers.Dense):
        return {"kernel_initializer": {}}
    if isinstance(layer, keras.layers.EinsumDense):
        return {"kernel_initializer": {"equation": layer.equation}}
    if isinstance(layer, layer_kinds.SEPARABLE):
        return {
            "depthwise_initializer": {"strides": layer.strides, "depthwise": True},
            "pointwise_initializer": {},
        }
    if isinstance(layer, layer_kinds.DEPTHWISE):
        return {"depthwise_initializer": {"strides": layer.strides, "depthwise": True}}
    if isinstance(layer, layer_kinds.TRANSPOSED):
        return {"kernel_initializer": {"strides": layer.strides, "transposed": True}}
    if isinstance(layer, layer_kinds.CONVOLUTION):
        return {"kernel_initializer": {"strides": layer.strides, "groups": layer.groups}}
    raise TypeError(
        "`layer` must be Dense, EinsumDense, a convolution, SimpleRNN, GRU or LSTM. Received:"
        f" {type(layer).__name__}. Prepare the layer inside a wrapper, and give others a"
        " `ForActivation` of their own."
    )


def _resolve_activation(activation: Any) -> tuple[Any, float]:
    """The activation as a callable, and its scale."""
    try:
        function = keras.activations.get(activation)
        following = following_activation(function)
    except (ValueError, AttributeError):  # no such name; a PReLU that has no slopes yet
        function = following = None
    if following is not None:
        known = recommended_scale(following.name)
        if known is None and following.function is not None:
            factor = activations.activation_moments(
                following.function, precision=following.precision
            ).forward_factor
            known = 1.0 / factor if 0.0 < factor < math.inf else None
        if known is not None:
            return function, known
    raise ValueError(
        "`activation` must be an element-wise activation: its name in Keras, its function or its"
        f" layer. Received: {activation!r}. For a head, or where units are mixed as in softmax,"
        ' give "linear".'
    )


def _orthogonal(
    shape: tuple[int, ...], matrices: tuple[int, int, int], std: float, seed: int
) -> Any:
    """Matrices with orthonormal columns, or rows if there are fewer of them, scaled to `std`.

    They are drawn by the backend, and not by numpy as in `repairs.kernel_draws`: Keras may call an
    initializer inside a trace, and numpy's decomposition takes three times as long on a CPU.
    """
    number, rows, columns = matrices
    long, short = max(rows, columns), min(rows, columns)
    q, r = keras.ops.qr(keras.random.normal((number, long, short), seed=seed, dtype="float32"))
    signs = keras.ops.where(keras.ops.diagonal(r, axis1=-2, axis2=-1) < 0.0, -1.0, 1.0)
    # Without the signs the draw is not uniform over orthogonal matrices (Mezzadri 2007).
    q = q * keras.ops.expand_dims(signs, 1)
    side_by_side = keras.ops.transpose(q, (1, 0, 2) if rows >= columns else (2, 0, 1))
    return keras.ops.reshape(side_by_side * (std * math.sqrt(long)), shape)
