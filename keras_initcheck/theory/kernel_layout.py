"""A layer's use of its kernel, which the kernel's shape does not show, and the fans of both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keras_initcheck.theory import fans
from keras_initcheck.theory.fans import Fans


@dataclass(frozen=True)
class KernelLayout:
    """A layer's use of its kernel.

    By default it is the use of Dense, or for kernels of three axes and more, of a convolution.

    >>> KernelLayout(is_depthwise=True, strides=2).fans((3, 3, 64, 1))
    Fans(fan_in=9, fan_out=2.25)

    Attributes:
        strides: Strides of the window, one number or one for each axis.
        groups: Groups of a convolution.
        is_depthwise: True if each channel has kernels of its own.
        is_transposed: True for the kernel of a transposed convolution,
            `(*window, filters, channels)`.
        num_gates: Kernels side by side in the last axis: 3 for GRU, 4 for LSTM.
        equation: Equation of an `EinsumDense` layer.

    Raises:
        ValueError: A number is below 1, or two of these exclude each other.
    """

    strides: int | tuple[int, ...] = 1
    groups: int = 1
    is_depthwise: bool = False
    is_transposed: bool = False
    num_gates: int = 1
    equation: str | None = None

    def __post_init__(self) -> None:
        strides = self.strides if isinstance(self.strides, tuple) else (self.strides,)
        for name, numbers in (
            ("strides", strides),
            ("groups", (self.groups,)),
            ("gates", (self.num_gates,)),
        ):
            if not numbers or not all(
                isinstance(number, int) and number >= 1 for number in numbers
            ):
                received = numbers if len(numbers) != 1 else numbers[0]
                raise ValueError(
                    f"`{name}` must be an integer of 1 or"
                    f" more{' for each axis' * (name == 'strides')}. Received: {received!r}."
                )
        chosen = {
            "groups": self.groups > 1,
            "depthwise": self.is_depthwise,
            "transposed": self.is_transposed,
            "gates": self.num_gates > 1,
            "equation": self.equation is not None,
        }
        given = [name for name, is_given in chosen.items() if is_given]
        if len(given) > 1:
            raise ValueError(
                f"At most one of {', '.join(chosen)} can be true of a kernel. Received:"
                f" {' and '.join(given)}. Give one."
            )
        if given and given[0] in ("gates", "equation") and any(stride > 1 for stride in strides):
            raise ValueError(
                f"`strides` must be 1 with `{given[0]}`. Received: strides={self.strides}. Give one"
                " of them."
            )

    def fans(self, shape: Sequence[int]) -> Fans:
        """The true fans of a kernel of that shape.

        Raises:
            ValueError: No kernel of such a layer has that shape.
        """
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(
                f"`shape` must be that of a kernel, of two axes or more. Received: shape={shape}."
                " Vectors have no fans: leave biases at 0 and scales at 1."
            )
        if self.equation is not None:
            return fans.einsum_dense(self.equation, shape)
        if self.num_gates > 1:
            self._require_divisor("gates", self.num_gates, shape)
            return fans.recurrent(shape, (shape[-1] // self.num_gates, shape[-1]), self.num_gates)[
                0
            ]
        return self._convolution(shape)

    def matrices(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """`(number, rows, columns)` of the independent matrices in a kernel.

        Each is the only one that maps its inputs to its outputs. They stand side by side in the
        last axis, or for a depthwise kernel in the last two.

        Raises:
            ValueError: The kernel is one of `EinsumDense`, whose axes have any order.
        """
        if self.equation is not None:
            raise ValueError(
                '`equation` leaves the order of axes open. Received: it with "orthogonal". Use'
                " another distribution."
            )
        shape = tuple(shape)
        if self.is_depthwise:
            return shape[-2], math.prod(shape[:-2]), shape[-1]
        number = self.groups * self.num_gates  # of which one is 1
        return number, math.prod(shape[:-1]), shape[-1] // number

    def _convolution(self, shape: tuple[int, ...]) -> Fans:
        if len(shape) == 2 and self == KernelLayout():
            return fans.dense(shape)
        rank = len(shape) - 2
        strides = self.strides if isinstance(self.strides, tuple) else (self.strides,) * rank
        if rank == 0 or len(strides) != rank:
            raise ValueError(
                "`shape` must be that of a convolution with these strides, `(*window, inputs,"
                f" outputs)`. Received: shape={shape}, strides={self.strides}. Give what belongs to"
                " this layer; a Dense layer needs nothing."
            )
        if self.is_depthwise:
            return fans.depthwise_conv(shape, strides)
        if self.is_transposed:
            return fans.conv_transpose(shape, strides)
        self._require_divisor("groups", self.groups, shape)
        return fans.conv(shape, strides, self.groups)

    def _require_divisor(self, name: str, number: int, shape: tuple[int, ...]) -> None:
        if shape[-1] % number:
            raise ValueError(
                f"`{name}` must divide the kernel's last axis. Received: {name}={number},"
                f" shape={shape}."
            )
