"""True fans of kernels: inputs that feed one output element, and outputs that one input feeds.

They come from the layer's geometry. Keras' `compute_fans` sees only the kernel's shape, and differs
for strides, groups, depthwise and transposed kernels and gates. From Keras 3.15 on it also knows
which axes of an EinsumDense kernel, and so of the kernels of attention, are summed. Counts are of
an interior element, averaged over the phases of a stride; edges are left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Shape = Sequence[int]
FORWARD, BACKWARD, BALANCED = "forward", "backward", "balanced"
MODES = (FORWARD, BACKWARD, BALANCED)
"""The quantity that keeps its size: the signal, the gradient (He et al. 2015, section 2.2), or both
as far as one kernel can.
"""
MEAN = "mean"
"""The mode of Glorot's initializer: the arithmetic mean of both fans.

Glorot & Bengio 2010, equation 12.
"""


@dataclass(frozen=True)
class Fans:
    """Connections of a kernel.

    Attributes:
        fan_in: Mean number of inputs that feed one output element: `n` in He et al. 2015, section
            2.2.
        fan_out: Mean number of output elements that one input element feeds: `n̂` there.
    """

    fan_in: float
    fan_out: float

    def fan_for(self, mode: str) -> float:
        """The fan whose inverse `Var[w]` has to be for the mode's quantity to keep its size.

        For `BALANCED` it is the geometric mean, so that either gain gets half of the misfit.

        >>> Fans(64.0, 256.0).fan_for(BALANCED)
        128.0
        """
        if mode == MEAN:
            return (self.fan_in + self.fan_out) / 2.0
        return {
            FORWARD: self.fan_in,
            BACKWARD: self.fan_out,
            BALANCED: math.sqrt(self.fan_in * self.fan_out),
        }[mode]


def dense(kernel_shape: Shape) -> Fans:
    """Fans of `(inputs, units)`; further axes of the input are samples.

    >>> dense((784, 128))
    Fans(fan_in=784, fan_out=128)
    """
    _require_rank("dense", kernel_shape, 2)
    return Fans(kernel_shape[0], kernel_shape[1])


def conv(kernel_shape: Shape, strides: Shape, groups: int = 1) -> Fans:
    """Fans of `(*window, channels / groups, filters)`: `k² c/g` and `k² d / (g s²)`.

    A dilated kernel has the same.

    >>> conv((3, 3, 64, 128), strides=(2, 2))
    Fans(fan_in=576, fan_out=288.0)
    """
    _require_rank("conv", kernel_shape, len(strides) + 2)
    *window, channels, filters = kernel_shape
    return Fans(
        math.prod(window) * channels, math.prod(window) * filters / (groups * math.prod(strides))
    )


def depthwise_conv(kernel_shape: Shape, strides: Shape) -> Fans:
    """Fans of `(*window, channels, multiplier)`: `k²` and `k² m / s²`.

    The number of channels does not matter.

    >>> depthwise_conv((3, 3, 64, 1), strides=(1, 1))
    Fans(fan_in=9, fan_out=9.0)
    """
    _require_rank("depthwise_conv", kernel_shape, len(strides) + 2)
    *window, _, multiplier = kernel_shape
    return Fans(math.prod(window), math.prod(window) * multiplier / math.prod(strides))


def conv_transpose(kernel_shape: Shape, strides: Shape) -> Fans:
    """Fans of `(*window, filters, channels)`: `k² c / s²` and `k² d`.

    Where a stride does not divide its window, output elements differ in their number of inputs.

    >>> conv_transpose((4, 4, 64, 128), strides=(2, 2))
    Fans(fan_in=512.0, fan_out=1024)
    """
    _require_rank("conv_transpose", kernel_shape, len(strides) + 2)
    *window, filters, channels = kernel_shape
    return Fans(math.prod(window) * channels / math.prod(strides), math.prod(window) * filters)


def einsum_dense(equation: str, kernel_shape: Shape) -> Fans:
    """Fans of an `EinsumDense` kernel: products of its axes not in the output, not in the input.

    An axis that input, kernel and output share is like a batch of kernels and counts in neither.

    >>> einsum_dense("abc,cde->abde", (512, 8, 64))  # queries of an attention with 8 heads
    Fans(fan_in=512, fan_out=512)
    >>> einsum_dense("...x,xy->...y", (32, 10))
    Fans(fan_in=32, fan_out=10)

    Raises:
        ValueError: The equation is not `input,kernel->output`, does not fit the kernel, or sums an
            input axis that the kernel lacks.
    """
    inputs, kernel, outputs = _split_equation(equation)
    if len(kernel) != len(kernel_shape):
        raise ValueError(
            f"`kernel_shape` must have one size for each of {kernel!r}. Received:"
            f" equation={equation!r}, kernel_shape={tuple(kernel_shape)}. Pass the shape of the"
            " layer's kernel."
        )
    summed = sorted(set(inputs) - set(kernel) - set(outputs))
    if summed:
        raise ValueError(
            "`equation` must not sum an input axis that the kernel lacks. Received:"
            f" equation={equation!r}, which sums {summed}. Sum it in a layer of its own: the kernel"
            " does not have the axis' size."
        )
    sizes = list(zip(kernel, kernel_shape, strict=True))
    return Fans(
        math.prod(size for axis, size in sizes if axis not in outputs),
        math.prod(size for axis, size in sizes if axis not in inputs),
    )


def recurrent(kernel_shape: Shape, recurrent_shape: Shape, num_gates: int) -> tuple[Fans, Fans]:
    """Fans of one gate, in the kernel and in the recurrent kernel.

    The kernel is `(inputs, num_gates * units)`, the recurrent kernel `(units, num_gates * units)`.
    `num_gates` is 1 for SimpleRNN, 3 for GRU, 4 for LSTM. Axes before these are a window, as in
    ConvLSTM.

    >>> recurrent((28, 512), (128, 512), num_gates=4)
    (Fans(fan_in=28, fan_out=128.0), Fans(fan_in=128, fan_out=128.0))
    """
    if (
        kernel_shape[-1] != recurrent_shape[-1]
        or recurrent_shape[-1] != num_gates * recurrent_shape[-2]
    ):
        raise ValueError(
            "`kernel_shape` and `recurrent_shape` must end in `num_gates` times the units."
            f" Received: kernel_shape={tuple(kernel_shape)},"
            f" recurrent_shape={tuple(recurrent_shape)}, num_gates={num_gates}. Pass 1 for"
            " SimpleRNN, 3 for GRU, 4 for LSTM."
        )
    return _gate(kernel_shape, num_gates), _gate(recurrent_shape, num_gates)


def keras_fans(kernel_shape: Shape) -> Fans:
    """The fans that `keras.initializers` assumes for a kernel of that shape.

    From Keras 3.15 on an `EinsumDense` layer has those of `keras_einsum_fans`.

    >>> keras_fans((3, 3, 64, 1))  # a depthwise kernel, in truth 9 and 9
    Fans(fan_in=576, fan_out=9)
    """
    if len(kernel_shape) < 2:
        return Fans(math.prod(kernel_shape), math.prod(kernel_shape))
    *window, inputs, outputs = kernel_shape
    return Fans(math.prod(window) * inputs, math.prod(window) * outputs)


def keras_einsum_fans(kernel_shape: Shape, fan_in: float) -> Fans:
    """The fans that an `EinsumDense` layer of Keras 3.15 or later gives to `keras.initializers`.

    Kernel axes that are not in the output count as inputs, which is right. All others count as
    outputs, also one that input, kernel and output share, which `einsum_dense` counts in neither.

    >>> keras_einsum_fans((8, 512, 64), fan_in=512)  # "abc,bcd->abd", in truth 512 and 64
    Fans(fan_in=512, fan_out=512.0)
    """
    return Fans(fan_in, math.prod(kernel_shape) / fan_in)


def _gate(kernel_shape: Shape, num_gates: int) -> Fans:
    *window, inputs, outputs = kernel_shape
    return Fans(math.prod(window) * inputs, math.prod(window) * outputs / num_gates)


def _split_equation(equation: str) -> tuple[str, str, str]:
    """Axes of input, kernel and output, without the ellipsis.

    It stands for axes that the kernel does not have.
    """
    operands, arrow, outputs = equation.replace(" ", "").replace("...", "").partition("->")
    inputs, comma, kernel = operands.partition(",")
    if not (arrow and comma and (inputs + kernel + outputs).isalpha()):
        raise ValueError(
            "`equation` must have the form 'input,kernel->output'. Received:"
            f" equation={equation!r}. Pass the layer's `equation`."
        )
    return inputs, kernel, outputs


def _require_rank(layer: str, kernel_shape: Shape, rank: int) -> None:
    if len(kernel_shape) != rank:
        raise ValueError(
            f"`kernel_shape` must have {rank} axes for `{layer}` with these strides. Received:"
            f" kernel_shape={tuple(kernel_shape)}. Pass the kernel's shape as Keras stores it, and"
            " one stride for each axis of its window."
        )
